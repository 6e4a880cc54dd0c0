# docs/container.md says how to build and run this image.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /app
COPY requirements.txt ./
# Wheels alone: what needs a compiler fails here. Of this stage nothing but the two folders is kept, so no cache either.
# hadolint ignore=DL3042
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt \
    && /opt/venv/bin/pip uninstall --yes pip
COPY manage.py pyproject.toml ./
COPY accounts accounts
COPY dashboard dashboard
COPY gateway gateway
COPY proxy_site proxy_site
# Readable for every user, whatever the umask of the clone.
RUN /opt/venv/bin/python -m compileall -q . && chmod -R a+rX .

FROM python:${PYTHON}
ARG VERSION=""
LABEL org.opencontainers.image.title="Antigravity Claude Proxy" \
      org.opencontainers.image.description="A gateway that lets Claude Code and the Anthropic SDKs talk to Google's Cloud Code" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    IN_CONTAINER=true \
    DATA_DIR=/root/.config/antigravity-proxy \
    HOST=0.0.0.0 \
    PORT=8672 \
    SHUTDOWN_GRACE_SECONDS=8
# A new volume takes over owner and mode of the folder it is mounted on. The number is in proxy_site/container/user.py, too.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
    && install -d -m 711 ~root ~root/.config \
    && install -d -m 700 -o gateway -g gateway "$DATA_DIR" \
    && ln -s /app/manage.py /usr/local/bin/manage.py
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
VOLUME /root/.config/antigravity-proxy
EXPOSE 8672
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "proxy_site.container.health"]
# It starts as root, and goes on as the owner of DATA_DIR (proxy_site/container/user.py).
ENTRYPOINT ["python", "manage.py"]
CMD ["runserver"]
