"""Outgoing connections: proxies, certificates, and the HTTP client for account calls.

Proxy and certificate settings are passed to aiohttp explicitly: it would read the environment, without
`.env`, and would send loopback addresses to a proxy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import aiohttp
import certifi
from django.conf import settings
from yarl import URL

from accounts.values.sanitize import truncate
from accounts.values.server_addresses import AddressRefused, refuse_addresses, refuse_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from aiohttp.abc import ResolveResult

TIMEOUT_SECONDS = 30.0
"""The time limit of one call, including the reading of its answer."""
ANSWER_BYTES = 1024 * 1024
"""The largest answer in bytes, both compressed and uncompressed. A list of all models takes a twentieth of
it."""


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


def is_private(host: str) -> bool:
    """Return True for addresses that are not on the Internet. In a container, requests from the host to a
    published port come from such an address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_private


@lru_cache(maxsize=64)
def proxy_for(url: str) -> str | None:
    """Return the proxy for this URL; None for a direct connection."""
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
    """Return a TLS context that trusts only SSL_CERT_FILE when it is set; else the certificates of the system
    and of certifi, since a bare container may have none of its own."""
    if settings.SSL_CERT_FILE:
        return ssl.create_default_context(cafile=settings.SSL_CERT_FILE)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class CarefulResolver(aiohttp.ThreadedResolver):
    """A resolver that refuses names of addresses that must never get a key. Literal addresses are not
    resolved: see `addresses_of` and `refuse_literal`."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        try:
            refuse_addresses(host, [one["host"] for one in found])
        except AddressRefused as error:
            raise OSError(str(error)) from None
        return found


async def addresses_of(url: str) -> set[str]:
    """Return the addresses of the URL's host, in whatever form it is written (0x7f.1, 2130706433).

    Raises AddressRefused for one that must never get a key, OSError when the name is not found.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    refuse_name(host)
    found = await asyncio.get_running_loop().getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
    addresses = {str(address[0]) for *_, address in found}
    refuse_addresses(host, addresses)
    return addresses


@lru_cache(maxsize=256)
def refuse_literal(url: str) -> None:
    """Raise AddressRefused for a URL whose host must never get a key: by its name, or as an address in any
    form (169.254.169.254, 2852039166). Names are not resolved."""
    host = urlsplit(url).hostname or ""
    refuse_name(host.rstrip("."))
    refuse_addresses(host, _literal(host))


def _literal(host: str) -> list[str]:
    """Return the address that the host is, in its usual form; an empty list for a name."""
    with suppress(OSError):
        return [socket.inet_ntoa(socket.inet_aton(host))]
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    return []


class CallFailed(Exception):
    """A call without a usable answer: the connection failed, timed out, or the answer exceeds ANSWER_BYTES.

    The text continues a sentence that begins with the name of the server: `cannot be reached (…)`.
    """

    def __init__(self, message: str, error: Exception | None = None) -> None:
        super().__init__(message)
        self.error = error
        """The error of the connection, or None. Never show it: it may contain the proxy's password."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    status: int
    headers: Mapping[str, str]
    """The headers; names are case-insensitive."""
    content: bytes = field(repr=False)


class AccountsClient:
    """The HTTP client for calls about accounts, such as OAuth and lists of models. Model calls use
    gateway/upstreams/transport.py.

    It is used and closed in one event loop.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, **kwargs: Any) -> WholeAnswer:
        """Send a POST and return the answer, of any status. Raises CallFailed."""
        return await self._ask("POST", url, **kwargs)

    async def get(self, url: str, **kwargs: Any) -> WholeAnswer:
        """Send a GET and return the answer, of any status; redirects are not followed. Raises CallFailed."""
        return await self._ask("GET", url, **kwargs)

    async def head(self, url: str, **kwargs: Any) -> WholeAnswer:
        """Send a HEAD and return the answer, of any status; redirects are not followed. Raises CallFailed."""
        return await self._ask("HEAD", url, **kwargs)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, url: str, **kwargs: Any) -> WholeAnswer:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._request(method, url, **kwargs) as response:
                raw = await _read(response)
        except TimeoutError as error:
            raise CallFailed(f"has not answered within {TIMEOUT_SECONDS:.0f} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallFailed(f"cannot be reached: {truncate(in_words(error), 200)}", error) from None
        encoding = response.headers.get("content-encoding", "")
        content = _unpacked(raw, encoding) if raw else b""
        return WholeAnswer(response.status, response.headers, content)

    def _request(
        self, method: str, url: str, **kwargs: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls_context(), resolver=CarefulResolver()),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"Accept-Encoding": "gzip"},
                # Cookies that Google set for one account would be sent with the calls of the next.
                cookie_jar=aiohttp.DummyCookieJar(),
                # aiohttp would decompress without a limit.
                auto_decompress=False,
            )
        return self._session.request(
            method, URL(url, encoded=True), proxy=proxy_for(url), allow_redirects=False, **kwargs
        )


def in_words(error: Exception) -> str:
    """Return an error of aiohttp as text for people and logs. Raise what has this text `from None`, since
    aiohttp's own may contain the proxy's password."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return f"the certificate or TLS was refused ({error})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError):
        is_proxys = isinstance(error, aiohttp.ClientProxyConnectionError)
        what = "the connection to the proxy" if is_proxys else "the connection"
        return f"{what} could not be made ({error.os_error.strerror or error})"
    return f"the connection broke ({type(error).__name__})"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for piece in response.content.iter_any():
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
