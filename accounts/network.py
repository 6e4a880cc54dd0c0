"""How connections leave this machine: proxies, certificates, and the HTTP client for account calls.

The libraries below would read the environment by themselves, each in its own way and httpx at import;
we tell them instead, so that `.env` counts as well and loopback addresses are never sent to a proxy.
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
"""For one call in total, however slowly its answer drips."""
ANSWER_BYTES = 1024 * 1024
"""Of one answer, as it comes and unpacked; a list of all models there are has a twentieth of it."""


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


class CallFailed(Exception):
    """No usable answer: nobody was reached, it took too long, or it is larger than ANSWER_BYTES.

    The text goes on where the name of the other side ends: `cannot be reached (…)`.
    """


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    content: bytes = field(repr=False)


class AccountsClient:
    """httpx for the few calls that set an account up. Model calls: gateway/upstreams/transport.py."""

    def __init__(self) -> None:
        self._clients: dict[str | None, httpx.AsyncClient] = {}

    async def post(self, url: str, **kwargs: Any) -> WholeAnswer:
        """An answer of any status. Raises CallFailed."""
        return await self._ask("POST", url, **kwargs)

    async def get(self, url: str, **kwargs: Any) -> WholeAnswer:
        """The same; a redirect is an answer like any other."""
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
                # httpx would send what Google sets for one account with the calls of the next.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._clients[proxy]


async def _read(response: httpx.Response) -> bytes:
    """The bytes on the wire, still compressed: httpx unpacks a piece whole, and 64 KiB may hold 64 MiB."""
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
