"""HTTP connections for model calls.

The HTTP client is gateway/upstreams/connections.py or, with UPSTREAM_HTTP_CLIENT=aiohttp, aiohttp's own.
Errors of aiohttp are converted here, so that callers do not depend on the library.
"""

from __future__ import annotations

import asyncio
import socket
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
from django.conf import settings
from yarl import URL

from accounts.network import CarefulResolver, in_words, proxy_for, refuse_literal, tls_context
from accounts.values.server_addresses import AddressRefused
from gateway.upstreams.connections import (
    KEEP_WARM_SECONDS,
    MAX_CONNECTIONS,
    PIECE_BYTES,
    READ_BUFFER_BYTES,
    Connections,
    target_of,
)
from gateway.upstreams.response import ERROR_BODY_BYTES, Response, TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiohttp.connector import AddrInfoType

    Body = Sequence[bytes | bytearray]

REDIRECTS = (301, 302, 303, 307, 308)

__all__ = ["ERROR_BODY_BYTES", "PIECE_BYTES", "Response", "Transport", "TransportFailed", "TransportTimedOut"]

OUR_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(slots=True)
class _Call:
    reuses_connection: bool = True
    """True until a new socket is made for the call."""


_current_call: ContextVar[_Call | None] = ContextVar("current_call", default=None)


class AiohttpResponse(Response):
    """A response of aiohttp's client."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self, timeout_seconds: float) -> bytes:
        content = self._response.content
        try:
            # No timer is needed for data that has arrived: a short answer often comes together with its
            # headers.
            data = content.read_nowait(-1)
            if data or content.at_eof():
                return data
            async with asyncio.timeout(timeout_seconds):
                return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise TransportFailed(in_words(error)) from None

    @property
    def is_at_end(self) -> bool:
        return self._response.content.at_eof()

    def release(self) -> None:
        self._response.release()

    def abort(self) -> None:
        self._response.close()


class Transport:
    """A pool of kept-alive connections for all upstreams. Start it inside the event loop."""

    def __init__(self, connect_timeout_seconds: float) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self._connections: Connections | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS,
                keepalive_timeout=KEEP_WARM_SECONDS,
                ssl=tls_context(),
                resolver=CarefulResolver(),
                socket_factory=_new_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=OUR_HEADERS,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
        )
        if settings.UPSTREAM_HTTP_CLIENT == "gateway":
            self._connections = Connections(self._session, self._connect_timeout_seconds)

    async def close(self) -> None:
        if self._connections is not None:
            self._connections.close()
            self._connections = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        first_byte_seconds: float,
    ) -> Response:
        """Send a body in pieces. Returns when the headers of the answer have arrived, whatever the status.

        Raises TransportTimedOut or TransportFailed.
        """
        if self._session is None:
            raise TransportFailed("the gateway is stopping")
        try:
            refuse_literal(url)  # the resolver, which refuses such addresses of names, never sees it
            if self._connections is not None:
                target = target_of(url, proxy_for(url))
                return await self._connections.post(target, headers, body, first_byte_seconds)
            async with asyncio.timeout(first_byte_seconds):
                return AiohttpResponse(await self._send(self._session, url, headers, body))
        except TimeoutError as error:
            raise TransportTimedOut(f"no answer within {first_byte_seconds:.0f} s") from error
        except AddressRefused as error:
            raise TransportFailed(str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: a header that cannot be sent.
            raise TransportFailed(in_words(error)) from None

    async def location_of(self, url: str) -> str | None:
        """Return the Location of the redirect that a HEAD gets, without following it; None for any other
        answer. No headers of the gateway's clients or accounts are sent. Raises TransportFailed."""
        if self._session is None:
            raise TransportFailed("the gateway is stopping")
        try:
            async with self._session.head(
                URL(url, encoded=True), proxy=proxy_for(url), allow_redirects=False
            ) as response:
                return response.headers.get("Location") if response.status in REDIRECTS else None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportFailed(in_words(error)) from None

    async def _send(
        self,
        session: aiohttp.ClientSession,
        url: str,
        headers: Mapping[str, str],
        body: Body,
    ) -> aiohttp.ClientResponse:
        call = _Call()
        _current_call.set(call)
        if size := _size_in_pieces(body):
            headers = {**headers, "Content-Length": str(size)}
        post = partial(session.post, url, headers=headers, proxy=proxy_for(url), allow_redirects=False)
        try:
            return await post(data=_pieces(body) if size else body[0])
        except aiohttp.ServerDisconnectedError:
            # The server closed a kept-alive connection as it was reused: send once more. A new connection
            # that is closed without an answer has failed: the upstream may have begun to work.
            if not call.reuses_connection:
                raise
            return await post(data=_pieces(body) if size else body[0])


def _size_in_pieces(body: Body) -> int:
    """Return the size of a body that is sent in pieces; 0 for a short one, which is sent whole."""
    is_short = len(body) == 1 and len(body[0]) <= PIECE_BYTES
    return 0 if is_short else sum(map(len, body))


async def _pieces(body: Body) -> AsyncIterator[memoryview]:
    """Yield pieces short enough that other requests run between them."""
    for part in [memoryview(one) for one in body]:
        for start in range(0, len(part), PIECE_BYTES):
            yield part[start : start + PIECE_BYTES]


def _new_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket of a new connection, in the context of the call that needs it. aiohttp's tracing
    reports the same, but takes forty function calls for each request."""
    call = _current_call.get()
    if call is not None:
        call.reuses_connection = False
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)
