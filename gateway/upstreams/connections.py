"""The HTTP client of model calls: POST over HTTP/1.1, with answers that are read as they arrive.

aiohttp opens each connection, with names, addresses, proxies and TLS. Its code for requests and bodies takes
some 240 function calls a request and 16 for each chunk of an answer, so an open connection is then used by a
protocol of our own; llhttp (httptools), the parser of Node.js, reads the framing. It supports only what model
calls need: no redirects, no cookies, no compression, no pipelining, no protocol upgrades.

A connection is kept after an answer whose end was read, if both sides allow it. It is closed by data or an
end that arrive while it is idle. When the server closes a kept connection as it is used again, the request is
sent once more on a new one. A reset, or a new connection that is closed without an answer, is a failure,
since the upstream may have begun to work.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
import httptools
from multidict import CIMultiDict
from yarl import URL

from accounts.values.server_addresses import are_near
from gateway.timeouts import NEVER, Timeouts, Waiting, timeouts
from gateway.upstreams.response import Response, TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from gateway.upstreams.response import Receiver


MAX_CONNECTIONS = 10_000
KEEP_WARM_SECONDS = 75.0
READ_BUFFER_BYTES = 256 * 1024
"""The most bytes of an answer that wait to be read; then reading from the connection pauses."""
PIECE_BYTES = 256 * 1024
"""A longer body is written in pieces of this size, between which other requests run."""
PUBLIC_PLAIN_HTTP = (
    "the address begins with http://, but leads to the public internet, where the key could be read: it must "
    "begin with https://"
)
MAX_HEAD_BYTES = 64 * 1024
FRAMING = (b"transfer-encoding", b"content-length")
NO_CONTEXT = Context()
INFORMATION = range(100, 200)
UNSENDABLE = re.compile(r"[\r\n\0]")
KEPT_TARGETS = 256


@dataclass(frozen=True, slots=True)
class Target:
    """The server of a request, and the way to it. Connections are shared by requests with the same origin and
    proxy."""

    url: URL
    proxy: URL | None = field(repr=False)
    origin: tuple[str, str | None] = field(repr=False)
    head: str = field(repr=False)
    """The first line of the request, the Host header, and the password of a proxy that reads the request."""


@lru_cache(maxsize=KEPT_TARGETS)
def target_of(url: str, proxy: str | None) -> Target:
    """Return the target of a URL. Raises ValueError for a URL that names no server."""
    parsed, through = URL(url), None if proxy is None else URL(proxy)
    # A proxy gets the whole address; through TLS it only passes bytes on (RFC 9112, 3.2.2).
    whole_for = through if parsed.scheme == "http" else None
    path = str(parsed.with_user(None).with_fragment(None)) if whole_for else parsed.raw_path_qs
    host = parsed.host_port_subcomponent
    if host is None:
        raise ValueError("the URL names no server")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
    if whole_for is not None and whole_for.user is not None:
        password = b64encode(f"{whole_for.user}:{whole_for.password or ''}".encode()).decode()
        head += f"Proxy-Authorization: Basic {password}\r\n"
    return Target(parsed, through, (str(parsed.origin()), proxy), head)


class KeptHeaders(dict[str, str]):
    """Headers that many requests have, and that never change, so that they are encoded only once."""

    @cached_property
    def lines(self) -> str:
        """The headers as lines. Raises ValueError for a header that cannot be sent."""
        return lines_of(self)


class BrokenConnection(TransportFailed):
    """Raised when the connection ended before the answer did."""


class ClosedByServer(BrokenConnection):
    """Raised when the server closed the connection in order, without a reset."""


class ModelConnection(asyncio.Protocol, Waiting):
    """One connection, with one request at a time. The task that waits for it (`_change`) is woken by each
    change."""

    __slots__ = (
        "_buffered",
        "_context",
        "_ends_with_connection",
        "_failure",
        "_head_bytes",
        "_is_reading",
        "_loop",
        "_may_be_kept",
        "_may_write",
        "_must_return",
        "_parser",
        "_permit",
        "_pieces",
        "_pool",
        "_read_until",
        "_receiver",
        "_timeouts",
        "_transport",
        "_waiter",
        "_was_refused",
        "content_encoding",
        "has_answered",
        "has_been_used",
        "has_head",
        "is_complete",
        "on_body",
        "raw_headers",
        "status",
    )

    def __init__(self, timeouts: Timeouts, transport: asyncio.Transport, permit: asyncio.Semaphore) -> None:
        """`permit` limits the number of connections: the caller has acquired it, and the connection releases
        it when it is closed."""
        self.deadline = self.looked_at = NEVER
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._permit: asyncio.Semaphore | None = permit
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None
        self._may_write = True
        self._is_reading = True
        self._pool: list[ModelConnection] | None = None
        """The list of idle connections that has it, while it is idle; else None."""
        self.has_been_used = False
        self._failure: TransportFailed | None = None
        self._receiver: Receiver | None = None
        self._context = NO_CONTEXT
        """That in which the receiver is called."""
        self._read_until = NEVER
        """The deadline of `read`."""
        self._must_return = False
        """True when the receiver wants `read` to return."""
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called by the parser, without a call of Python for each chunk
        self._parser = httptools.HttpResponseParser(self)
        self._forget_answer()
        transport.set_protocol(self)

    def _forget_answer(self) -> None:
        self.status = 0
        self.content_encoding = ""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._buffered = 0
        self.has_head = self.is_complete = self.has_answered = False
        self._ends_with_connection = self._may_be_kept = self._was_refused = False

    @property
    def is_private(self) -> bool:
        """True when the server is on this machine or in a private network."""
        return are_near([self._transport.get_extra_info("peername")[0]])

    @property
    def is_open(self) -> bool:
        return self._failure is None and not self._transport.is_closing()

    # The request

    async def send(self, head: bytes, body: Sequence[bytes | bytearray], deadline: float) -> None:
        """Send a request, and wait until the head of its answer has arrived. Raises TimeoutError at the
        deadline, and TransportFailed."""
        self._pool, self.deadline = None, NEVER
        if sum(map(len, body)) <= PIECE_BYTES:
            self._transport.writelines((head, *body))
        else:
            self._transport.write(head)
            await self._send_pieces(body, deadline)
        while not self.has_head:
            await self._change(deadline)
        if self._failure is not None and not (self._pieces or self.is_complete):
            raise self._failure

    async def _send_pieces(self, body: Sequence[bytes | bytearray], deadline: float) -> None:
        is_first = True
        for part in [memoryview(one) for one in body]:
            for start in range(0, len(part), PIECE_BYTES):
                if not is_first and await self._is_answered_early(deadline):
                    self._was_refused = True
                    return
                is_first = False
                self._transport.write(part[start : start + PIECE_BYTES])

    async def _is_answered_early(self, deadline: float) -> bool:
        """Return True when the server has answered, or gone, before the request was whole. Let others run
        first, and wait until the socket can take more."""
        await asyncio.sleep(0)
        while not (self._may_write or self.has_head):
            await self._change(deadline)
        return self.has_head or self._failure is not None

    # The answer

    async def read(self, timeout_seconds: float) -> bytes:
        """Do what Response.read does."""
        if not (self._pieces or self.is_complete):
            self._read_until = self._loop.time() + timeout_seconds
            while not (self._pieces or self.is_complete):
                await self._change(self._read_until)
                if self._must_return:
                    self._must_return = False
                    return b""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if not self._is_reading and self._failure is None:
            self._is_reading = True
            self._transport.resume_reading()
        return data

    def push_to(self, receiver: Receiver) -> None:
        """Do what Response.push_to does, until the answer's end."""
        self._receiver, self._context = receiver, copy_context()

    def _give_to(self, receiver: Receiver) -> None:
        """Give what has arrived to the receiver. Wake `read` when the receiver says so."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        seconds = self._context.run(receiver.receive_now, data)
        if seconds:
            self._read_until = self.deadline = self._loop.time() + seconds
        else:
            self._must_return = True
            self._wake()

    @property
    def is_at_end(self) -> bool:
        """True when the answer is complete and all of it has been read."""
        return self.is_complete and not self._pieces

    def _change(self, deadline: float) -> asyncio.Future[None]:
        """Return a future that ends with the next change, or with a TimeoutError at the deadline. Raises the
        failure of the connection. This is no coroutine, which would take memory for as long as the upstream
        is silent."""
        if self._failure is not None:
            raise self._failure
        assert self._waiter is None or self._waiter.done(), "a connection has one reader"
        self._waiter = self._loop.create_future()
        self.deadline = deadline
        self._timeouts.watch(self)
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            self.deadline = NEVER
            waiter.set_result(None)

    def expire(self) -> None:
        waiter, self._waiter = self._waiter, None
        self.deadline = NEVER
        if self._pool is not None:
            self.close()  # idle for too long
        elif waiter is not None and not waiter.done():
            waiter.set_exception(TimeoutError())

    # Its end

    def keep_in(self, pool: list[ModelConnection]) -> None:
        """Keep the connection for the next request, if its answer has been read to the end and both sides
        allow it; else close it."""
        if not self._has_ended_well():
            self.close()
            return
        self._receiver, self._context = None, NO_CONTEXT
        self._forget_answer()
        self.has_been_used = True
        self._pool = pool
        pool.append(self)
        self.deadline = self._loop.time() + KEEP_WARM_SECONDS
        self._timeouts.watch(self)

    def _has_ended_well(self) -> bool:
        if self._pieces or not (self.is_complete and self._may_be_kept) or self._was_refused:
            return False
        return self.is_open and self._transport.get_write_buffer_size() == 0

    def close(self) -> None:
        """Close the connection at once. It may have been closed already."""
        self._timeouts.forget(self)
        if self._pool is not None:
            with suppress(ValueError):
                self._pool.remove(self)
            self._pool = None
        self._receiver, self._context = None, NO_CONTEXT
        if self._failure is None:
            self._failure = BrokenConnection("the connection was closed")
        self._transport.abort()
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()

    def _fail(self, failure: TransportFailed) -> None:
        if self._failure is None:
            self._failure = failure
        self.close()
        self._wake()

    # Called by the transport

    def data_received(self, data: bytes) -> None:
        if self._pool is not None or self.is_complete:
            self.close()  # nobody asked
            return
        self.has_answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse("the answer is not HTTP")
        if not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse("headers without an end")
        if self._failure is not None:
            return
        if self._receiver is not None and self._pieces and self._waiter is not None and not self.is_complete:
            self._give_to(self._receiver)
            return
        self._buffered += len(data)
        if self._buffered > READ_BUFFER_BYTES and not self.is_complete:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake()

    def _refuse(self, reason: str) -> None:
        """Close the connection; but if the answer is complete and only followed by more data, just do not
        keep it."""
        self._may_be_kept = False
        if not self.is_complete:
            self._fail(BrokenConnection(f"the connection broke ({reason})"))

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ends_with_connection and exc is None:
            self.is_complete = True
        if exc is None:
            self._fail(ClosedByServer("the connection broke (closed by the provider)"))
        else:
            self._fail(BrokenConnection(f"the connection broke ({type(exc).__name__})"))

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._wake()

    # Called by the parser, before all of `data_received` has been read

    def on_message_begin(self) -> None:
        """Refuse a second answer in the same data, since only one was asked for."""
        if self.is_complete:
            raise httptools.HttpParserError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # else it is a trailer
            self.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status in INFORMATION:
            self.raw_headers.clear()
            return
        encodings: list[bytes] = []
        has_framing = False
        for name, value in self.raw_headers:
            lower_name = name.lower()
            has_framing = has_framing or lower_name in FRAMING
            if lower_name == b"transfer-encoding":
                encodings.append(value.lower())
            elif lower_name == b"content-encoding":
                self.content_encoding = value.decode("latin1")
        if encodings not in ([], [b"chunked"]):
            raise httptools.HttpParserError("a transfer encoding that nothing here decodes")
        self._ends_with_connection = not has_framing
        self.status, self.has_head = status, True

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True
            self._may_be_kept = self._parser.should_keep_alive() and not self._ends_with_connection


class ConnectedResponse(Response):
    """A response on one of our connections, which no other request uses until it is released or aborted."""

    __slots__ = ("_connection", "_content_encoding", "_headers", "_pool", "_raw_headers", "status")

    def __init__(self, connection: ModelConnection, pool: list[ModelConnection]) -> None:
        self._connection: ModelConnection | None = connection
        self._pool = pool
        self._raw_headers = connection.raw_headers
        self._headers: Mapping[str, str] | None = None
        self.status = connection.status
        self._content_encoding = connection.content_encoding

    @property
    def content_encoding(self) -> str:
        return self._content_encoding

    def read(self, timeout_seconds: float) -> Coroutine[Any, Any, bytes]:
        assert self._connection is not None, "the connection has been released"
        return self._connection.read(timeout_seconds)

    def push_to(self, receiver: Receiver) -> None:
        if self._connection is not None:
            self._connection.push_to(receiver)

    @property
    def is_at_end(self) -> bool:
        return self._connection is not None and self._connection.is_at_end

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        if self._headers is None:
            self._headers = CIMultiDict(
                [(str(name, "latin1"), str(value, "latin1")) for name, value in self._raw_headers]
            )
        return self._headers

    def forget_headers(self) -> None:
        self._raw_headers.clear()
        self._headers = None

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.keep_in(self._pool)

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Connections:
    """All our connections for model calls. Used in one event loop."""

    def __init__(self, session: aiohttp.ClientSession, connect_timeout_seconds: float) -> None:
        assert session.connector is not None
        self._session = session
        self._connector = session.connector
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._timeouts = timeouts()
        self._loop = asyncio.get_running_loop()
        self._permits = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: dict[tuple[str, str | None], list[ModelConnection]] = {}

    async def post(
        self,
        target: Target,
        headers: Mapping[str, str],
        body: Sequence[bytes | bytearray],
        first_byte_seconds: float,
    ) -> Response:
        """Send a request, and return when the headers of its answer have arrived. Raises TransportFailed, and
        aiohttp's errors and OSError while a connection is made."""
        deadline = self._loop.time() + first_byte_seconds
        idle = self._idle.setdefault(target.origin, [])
        head = head_of(target, headers, body)
        try:
            if (connection := _open_one(idle)) is not None:
                try:
                    return await self._exchange(connection, idle, head, body, deadline)
                except _Stale:
                    pass  # once more, on a new one
            async with asyncio.timeout_at(deadline):
                connection = await self._open(target)
            return await self._exchange(connection, idle, head, body, deadline)
        except TimeoutError as error:
            raise TransportTimedOut(f"no answer within {first_byte_seconds:.0f} s") from error

    async def _exchange(
        self,
        connection: ModelConnection,
        idle: list[ModelConnection],
        head: bytes,
        body: Sequence[bytes | bytearray],
        deadline: float,
    ) -> Response:
        try:
            await connection.send(head, body, deadline)
        except BaseException as error:
            was_closed = isinstance(error, ClosedByServer) and not connection.has_answered
            connection.close()
            if was_closed and connection.has_been_used:
                raise _Stale from None
            raise
        return ConnectedResponse(connection, idle)

    async def _open(self, target: Target) -> ModelConnection:
        """Open a connection, once there are fewer than MAX_CONNECTIONS."""
        await self._permits.acquire()
        try:
            transport = await self._connect(target)
        except BaseException:
            self._permits.release()
            raise
        connection = ModelConnection(self._timeouts, transport, self._permits)
        # The name had a private address when it was saved, and may have another one since.
        if target.url.scheme == "http" and target.proxy is None and not connection.is_private:
            connection.close()
            raise TransportFailed(PUBLIC_PLAIN_HTTP)
        return connection

    async def _connect(self, target: Target) -> asyncio.Transport:
        """Open a connection with aiohttp and return its transport. aiohttp then forgets the connection, since
        its own objects for one take 1.3 kB."""
        request = aiohttp.ClientRequest(
            "POST", target.url, loop=self._loop, proxy=target.proxy, session=self._session
        )
        opened = await self._connector.connect(request, [], self._timeout)
        handler, transport = opened.protocol, opened.transport
        if handler is None or transport is None or handler.should_close:
            opened.close()
            raise BrokenConnection("the connection broke (an answer before the request)")
        handler.connection_lost(None)
        opened.close()
        return transport

    def close(self) -> None:
        for pool in self._idle.values():
            for connection in pool.copy():
                connection.close()


class _Stale(Exception):
    """Raised when the server closed a kept connection as it was used again."""


def _open_one(idle: list[ModelConnection]) -> ModelConnection | None:
    """Take the connection that was used last, which is the least likely to be closed meanwhile."""
    while idle:
        connection = idle.pop()
        if connection.is_open:
            return connection
    return None


def head_of(target: Target, headers: Mapping[str, str], body: Sequence[bytes | bytearray]) -> bytes:
    """Return the head of the request. Raises ValueError for a header that cannot be sent."""
    lines = headers.lines if isinstance(headers, KeptHeaders) else lines_of(headers)
    return f"{target.head}{lines}Content-Length: {sum(map(len, body))}\r\n\r\n".encode()


def lines_of(headers: Mapping[str, str]) -> str:
    """Return the headers as lines. Raises ValueError for a header that cannot be sent."""
    if UNSENDABLE.search("".join(headers.values())):
        raise ValueError("a header that cannot be sent")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
