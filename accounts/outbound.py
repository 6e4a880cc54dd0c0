"""How connections leave this machine: proxies, certificates, and the HTTP client for account calls.

The libraries below would read the environment by themselves, each in its own way and httpx at import;
we tell them instead, so that `.env` counts as well and loopback addresses are never sent to a proxy.
"""

from __future__ import annotations

import ipaddress
import ssl
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import certifi
import httpx
from django.conf import settings

TIMEOUT_SECONDS = 30.0


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """For a host name, an address, or an address in brackets."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    # A socket for both families reports IPv4 callers as ::ffff:127.0.0.1.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@lru_cache(maxsize=64)
def proxy_for(url: str) -> str | None:
    """The proxy to reach this address through, or None to go straight."""
    address = urlsplit(url)
    host = address.hostname or ""
    proxy = settings.HTTPS_PROXY if address.scheme == "https" else settings.HTTP_PROXY
    if not proxy or is_loopback(host):
        return None
    if proxy_bypass_environment(host, {"no": ",".join(settings.NO_PROXY)}):
        return None
    return str(proxy)


@cache
def tls_context() -> ssl.SSLContext:
    """SSL_CERT_FILE alone when it is set; else what the system trusts and certifi's list together, because
    a bare container may have none of its own."""
    if settings.SSL_CERT_FILE:
        return ssl.create_default_context(cafile=settings.SSL_CERT_FILE)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class AccountsClient:
    """httpx for the few calls that set an account up. Model calls: gateway/upstreams/transport.py."""

    def __init__(self) -> None:
        self._clients: dict[str | None, httpx.AsyncClient] = {}

    async def post(self, url: str, **kwargs: Any) -> httpx.Response:
        """Raises httpx.HTTPError for trouble on the way; an answer of any status is returned."""
        return await self._client(proxy_for(url)).post(url, **kwargs)

    async def get(self, url: str, **kwargs: Any) -> httpx.Response:
        return await self._client(proxy_for(url)).get(url, **kwargs)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def _client(self, proxy: str | None) -> httpx.AsyncClient:
        if proxy not in self._clients:
            self._clients[proxy] = httpx.AsyncClient(
                proxy=proxy, verify=tls_context(), timeout=TIMEOUT_SECONDS, trust_env=False
            )
        return self._clients[proxy]
