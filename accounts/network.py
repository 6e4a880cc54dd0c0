"""Outgoing connections: proxies, certificates, and the HTTP client for account calls.

Proxy and certificate settings are passed to the libraries explicitly: they would read the environment, each
in its own way and httpx at import, without `.env`, and would send loopback addresses to a proxy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import zlib
from dataclasses import dataclass, field
from functools import cache, lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import certifi
import httpx
from django.conf import settings

from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS = 30.0
"""The total time of one call, including the reading of its answer."""
ANSWER_BYTES = 1024 * 1024
"""The largest answer, compressed and uncompressed; a list of all models has a twentieth of it."""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses, also in brackets."""
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
    """The proxy for this URL; None for a direct connection."""
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
    """A TLS context that trusts SSL_CERT_FILE alone when it is set; else the system's and certifi's
    certificates, because a bare container may have none of its own."""
    if settings.SSL_CERT_FILE:
        return ssl.create_default_context(cafile=settings.SSL_CERT_FILE)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class CallFailed(Exception):
    """No usable answer: the connection failed, the call timed out, or the answer exceeds ANSWER_BYTES.

    The text continues a sentence that begins with the name of the server: `cannot be reached (…)`.
    """


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    content: bytes = field(repr=False)


class AccountsClient:
    """HTTP client for account calls: OAuth and Code Assist. Model calls: gateway/upstreams/transport.py."""

    def __init__(self) -> None:
        self._clients: dict[str | None, httpx.AsyncClient] = {}

    async def post(self, url: str, **kwargs: Any) -> WholeAnswer:
        """Send a POST and return the answer, of any status. Raises CallFailed."""
        return await self._ask("POST", url, **kwargs)

    async def get(self, url: str, **kwargs: Any) -> WholeAnswer:
        """Send a GET and return the answer, of any status; redirects are not followed. Raises CallFailed."""
        return await self._ask("GET", url, **kwargs)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _ask(self, method: str, url: str, **kwargs: Any) -> WholeAnswer:
        client = self._client(proxy_for(url))
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), client.stream(method, url, **kwargs) as response:
                raw = await _read(response)
        except TimeoutError as error:
            raise CallFailed(f"has not answered within {TIMEOUT_SECONDS:.0f} s") from error
        except httpx.HTTPError as error:
            raise CallFailed(f"cannot be reached ({truncate(repr(error), 200)})") from error
        encoding = response.headers.get("content-encoding", "")
        return WholeAnswer(response.status_code, response.headers, _unpacked(raw, encoding))

    def _client(self, proxy: str | None) -> httpx.AsyncClient:
        if proxy not in self._clients:
            self._clients[proxy] = httpx.AsyncClient(
                proxy=proxy,
                verify=tls_context(),
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
                headers={"Accept-Encoding": "gzip"},
                # httpx would send cookies that Google set for one account with the calls of the next.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._clients[proxy]


async def _read(response: httpx.Response) -> bytes:
    """The body still compressed: httpx decompresses a chunk whole, and 64 KiB may hold 64 MiB."""
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > ANSWER_BYTES:
            raise _too_large()
    return bytes(raw)


def _unpacked(raw: bytes, encoding: str) -> bytes:
    if encoding.lower() in {"", "identity"}:
        return raw
    if encoding.lower() not in {"gzip", "x-gzip"}:
        raise CallFailed(f"answered in an encoding that was not asked for ({truncate(encoding, 40)})")
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacking.decompress(raw, ANSWER_BYTES + 1)
    except zlib.error as error:
        raise CallFailed("answered with something that is not gzip") from error
    if len(content) > ANSWER_BYTES:
        raise _too_large()
    if not unpacking.eof:
        raise CallFailed("answered with half of something packed")
    return content


def _too_large() -> CallFailed:
    return CallFailed(f"answered with more than {ANSWER_BYTES // (1024 * 1024)} MiB")
