"""The layers of the gateway's code, which the costs of a request are divided among."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

LAYERS = (
    (
        "HTTP server",
        ("uvicorn/", "proxy_site/serving/uvicorn.py", "daphne/", "twisted/", "proxy_site/serving/daphne.py"),
    ),
    ("Django", ("django/", "asgiref/")),
    ("API", ("gateway/api/", "gateway/bodies/", "proxy_site/", "channels/")),
    ("pool", ("accounts/pool/",)),
    ("relay, accounts", ("gateway/relay/", "gateway/routing/", "accounts/")),
    ("upstream", ("gateway/upstreams/", "aiohttp/", "yarl/", "multidict/", "propcache/")),
    ("events from Google", ("gateway/google_api/",)),
    ("translation of the answer", ("gateway/translation/response/",)),
    ("translation of the request", ("gateway/translation/",)),
    ("events for the client", ("gateway/dialects/anthropic/sse.py", "gateway/dialects/anthropic/stream")),
    ("checks of the request", ("gateway/preparation/", "gateway/dialects/")),
    ("ledger", ("gateway/ledger/",)),
    ("log", ("gateway/telemetry/", "/logging/")),
    ("asyncio", ("/asyncio/",)),
)
"""By a part of the file's path, the first that fits. Calls of code in no such file, as of built-in functions,
count where they are made."""
ELSEWHERE = "elsewhere"
FORMER_FILES = (
    ("HTTP server", ("proxy_site/server.py",)),
    (
        "API",
        ("gateway/api.py", "gateway/message_views.py", "gateway/authentication.py", "gateway/request_ids.py"),
    ),
    ("pool", ("accounts/pool.py", "accounts/strategies.py", "accounts/cooldowns.py")),
    ("events for the client", ("gateway/anthropic_api/sse.py", "gateway/anthropic_api/stream_events.py")),
    ("checks of the request", ("gateway/anthropic_api/", "gateway/limits.py")),
    (
        "translation of the answer",
        (
            "gateway/translation/response.py",
            "gateway/translation/stream.py",
            "gateway/translation/stop_reason.py",
            "gateway/translation/usage.py",
        ),
    ),
    ("log", ("gateway/log_format.py", "gateway/bookkeeper.py", "gateway/journey.py", "gateway/activity.py")),
    (
        "relay, accounts",
        ("gateway/relay.py", "gateway/answer.py", "gateway/routes.py", "gateway/failures.py"),
    ),
)
"""Where the code of version 0.1 was, which had no folders for some layers."""


def layer_of_file(path: str, project: Path = PROJECT) -> str | None:
    """The layer of a file in the project's folder or that of a library; None for one that belongs to none."""
    path = path.removeprefix(f"{project}/").rpartition("site-packages/")[2]
    table = (*FORMER_FILES, *LAYERS)
    return next((layer for layer, parts in table if any(_is_in(path, part) for part in parts)), None)


def _is_in(path: str, part: str) -> bool:
    return part in path if part.startswith("/") else path.startswith(part)
