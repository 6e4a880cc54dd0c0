"""uvicorn's protocol on httptools and uvloop, with what a gateway needs beyond a web site.

It adds limits that uvicorn lacks: size, number and time of headers, framing of bodies, pipelined requests.
After a response that precedes the end of a body the connection is closed, late enough for the client to read
it. Errors of the protocol are JSON. Flow control is uvicorn's own: a client waits while more than 64 KiB of
its body are unread, and the application while more than 64 KiB of its response are unsent.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.api.application import send_error
from gateway.bodies.hang_up import ON_GONE
from gateway.errors import OUR_FAULT, GatewayError
from proxy_site.serving.lifecycle import CANCEL_SECONDS, POLL_SECONDS
from proxy_site.serving.limits import (
    IDLE_SECONDS,
    LARGEST_WEBSOCKET_MESSAGE,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    is_cut_too_small,
    slow_headers_response,
    unreadable_response,
)
from proxy_site.serving.listener import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from proxy_site.serving.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

MOST_PIPELINED = 100
"""Requests of one connection that wait for the response to an earlier one."""


@dataclass(slots=True)
class IncomingMessage:
    """A request that is still arriving. Sizes are in bytes."""

    has_head: bool = False
    headers: int = 0
    header_bytes: int = 0
    pieces: int = 0
    body_bytes: int = 0
    received: int = 0
    """Bytes since its first read, which may include the end of an earlier request."""

    def refuse_head(self) -> NoReturn:
        raise httptools.HttpParserError("the headers are too large")

    def add_piece(self, size: int) -> None:
        """Count a piece of the body. Raises HttpParserError."""
        self.pieces += 1
        self.body_bytes += size
        if is_cut_too_small(self.pieces, self.body_bytes):
            raise httptools.HttpParserError("the chunks are too small")

    def is_mostly_framing(self) -> bool:
        """Whether an unfinished header, extensions of chunks or trailers are larger than allowed."""
        return self.received > MAX_HEADER_BYTES + 2 * self.body_bytes


class LingeringTransport(asyncio.Transport):
    """The transport of a request whose body is incomplete: `close` leaves the client time to read the
    response."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self.close = linger  # type: ignore[method-assign]

    def write(self, data: Any) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class GatewayProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState, header_seconds: float) -> None:
        super().__init__(config, state, app_state={})
        self._header_seconds = header_seconds
        self._header_deadline: asyncio.TimerHandle | None = None
        self._message: IncomingMessage | None = None
        self._running: RequestResponseCycle | None = None
        self._may_keep_alive = False
        """True when the connection may be kept after the response, if the body ends before it."""
        self._is_lingering = False
        self._error_response = b""
        """The error for malformed data, sent after the responses to earlier requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn's own timeout begins after the first response.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_header_deadline()
        self._unset_keepalive_if_required()
        if self._running is not None:  # uvicorn notifies the latest request only
            self._disconnect(self._running)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._error_response:
            return
        self._unset_keepalive_if_required()
        message, cycle = self._message, self.cycle
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(unreadable_response())
            return
        if self.transport.get_protocol() is not self:
            return  # a WebSocket by now
        if self._message is None:
            is_in_head = message is None and self.cycle is cycle  # only line ends
        else:
            is_in_head = not self._message.has_head
            if self._message is message:
                message.received += len(data)
                if message.is_mostly_framing():
                    self._refuse(unreadable_response())
                    return
        if is_in_head and self._header_deadline is None:
            self._header_deadline = self.loop.call_later(self._header_seconds, self._refuse_slow_headers)

    def _feed(self, data: bytes) -> None:
        """Parse data. Upgrades to anything but a WebSocket are ignored (RFC 9110, 7.8); httptools would drop
        the body of such a request. Raises HttpParserError."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        headers = [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version.encode(), b"".join(headers))

    def _should_upgrade(self) -> bool:
        """Whether to switch to a WebSocket, which begins with a GET without a body, after the responses to
        all earlier requests."""
        if self.parser.get_method() != b"GET" or self._response_is_due() or not super()._should_upgrade():
            return False
        return all(
            name != b"transfer-encoding" and (name != b"content-length" or value == b"0")
            for name, value in self.headers
        )

    # Callbacks of the parser. An exception becomes an HttpParserError.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._message = IncomingMessage()

    def on_url(self, url: bytes) -> None:
        assert self._message is not None
        self._message.header_bytes += len(url)
        if self._message.header_bytes > MAX_HEADER_BYTES:
            self._message.refuse_head()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and keep it as uvicorn's own method does. Trailers are counted and dropped: the
        headers have been checked by then."""
        message = self._message
        assert message is not None
        message.headers += 1
        message.header_bytes += len(name) + len(value)
        if message.headers > MAX_HEADERS or message.header_bytes > MAX_HEADER_BYTES:
            message.refuse_head()
        if message.has_head:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name == b"expect":
            self.expect_100_continue = self.expect_100_continue or value.lower() == b"100-continue"
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise httptools.HttpParserError("a transfer encoding that nothing here decodes")

    def on_headers_complete(self) -> None:
        assert self._message is not None
        self._clear_header_deadline()
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"} or len(self.pipeline) >= MOST_PIPELINED:
            raise httptools.HttpParserError("another version, or too many requests at once")
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # parsed again
        if not self.url.startswith((b"/", b"*")):
            self._use_absolute_form()
        if version == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        self._message.has_head = True

    def on_body(self, body: bytes) -> None:
        assert self._message is not None
        self._message.add_piece(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._message = None
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if self._is_lingering:
            self.transport.close()
        elif not self.cycle.response_started and self.cycle.transport is not self.transport:
            self.cycle.keep_alive = self._may_keep_alive
        self.cycle.transport = self.transport

    def _use_absolute_form(self) -> None:
        """Use the host of `GET http://host/path` instead of the Host header (RFC 9112, 3.2.2)."""
        authority, _, rest = self.url.partition(b"://")[2].partition(b"/")
        self.url = b"/" + rest
        self.headers[:] = [(b"host", authority), *(pair for pair in self.headers if pair[0] != b"host")]

    # Responses

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, partial(self._answer, cycle))

    async def _answer(self, cycle: RequestResponseCycle, scope: Any, receive: Any, send: Any) -> None:
        """Run the application, and log and answer its failures, since uvicorn would answer in text."""
        if cycle.more_body:
            self._may_keep_alive = cycle.keep_alive
            cycle.keep_alive = False
            cycle.transport = LingeringTransport(self.transport, self._linger)
        scope[ON_GONE] = []
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            logger.debug("a request was cancelled by the shutdown")
        except Exception:
            logger.exception("the application failed")
            if not cycle.response_started:
                await send_error(GatewayError(OUR_FAULT), scope, send)
        if not (cycle.response_complete or cycle.disconnected):
            cycle.disconnected = True
            self.transport.abort()  # a response that is half sent can only be ended so

    def on_response_complete(self) -> None:
        if self._error_response and not self.pipeline:
            self._end_with(self._error_response)
        elif not self._is_lingering:
            super().on_response_complete()

    def _response_is_due(self) -> bool:
        return self._running is not None and not (
            self._running.response_complete or self._running.disconnected
        )

    def _linger(self) -> None:
        """Read and drop the rest of the body for LINGER_SECONDS, because a client whose connection is closed
        while it writes never reads the response."""
        self._is_lingering = True
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _refuse_slow_headers(self) -> None:
        self._refuse(slow_headers_response(self._header_seconds))

    def _refuse(self, response: bytes) -> None:
        """Send this error after the responses to earlier requests, and close the connection."""
        self._clear_header_deadline()
        self._error_response = response
        if self._message is not None and self._message.has_head:
            if self.cycle is not self._running:
                self.pipeline.popleft()
            elif self.cycle.response_started:
                self.transport.abort()
                return
            else:
                self._disconnect(self.cycle)
        if not self._response_is_due():
            self._end_with(response)

    def _end_with(self, response: bytes) -> None:
        self.transport.write(response)
        self.transport.close()

    def _disconnect(self, cycle: RequestResponseCycle) -> None:
        """Tell the application that the client has disconnected."""
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            scope: Any = cycle.scope
            for tell in scope.get(ON_GONE, ()):
                tell()

    def shutdown(self) -> None:
        """Accept no further request on this connection."""
        self._may_keep_alive = False
        super().shutdown()

    def _clear_header_deadline(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None


class GatewayServer:
    """Serves one listening socket until its lifecycle ends. `header_seconds` is the deadline of headers."""

    def __init__(
        self, application: Any, listener: socket.socket, lifecycle: Lifecycle, *, header_seconds: float
    ) -> None:
        self._config = uvicorn.Config(
            application,
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # proxy_headers.py decides which senders to trust
            timeout_keep_alive=IDLE_SECONDS,
            ws="websockets-sansio",
            ws_max_size=LARGEST_WEBSOCKET_MESSAGE,
        )
        self._config.load()
        self._state = ServerState()
        self._listener = listener
        self._lifecycle = lifecycle
        self._header_seconds = header_seconds
        self._accepting: asyncio.Server | None = None

    def run(self) -> None:
        make_loop = self._config.get_loop_factory() or asyncio.new_event_loop
        loop = make_loop()
        try:
            loop.run_until_complete(self.serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    async def serve(self) -> None:
        """Serve inside a running event loop."""
        await self._lifecycle.start()
        self._accepting = await asyncio.get_running_loop().create_server(
            self._connection, sock=self._listener, backlog=BACKLOG
        )
        await self._lifecycle.serve(self)
        await self._close_connections()

    def _connection(self) -> GatewayProtocol:
        return GatewayProtocol(self._config, self._state, self._header_seconds)

    def stop_accepting(self) -> None:
        assert self._accepting is not None
        self._accepting.close()
        for connection in list(self._state.connections):
            if isinstance(connection, GatewayProtocol):  # the application ends WebSockets itself
                connection.shutdown()

    def has_unsent(self) -> bool:
        return any(connection.transport.get_write_buffer_size() for connection in self._state.connections)

    async def _close_connections(self) -> None:
        """Close all connections, after sending what they hold within CANCEL_SECONDS."""
        for connection in list(self._state.connections):
            connection.transport.close()
        waited = 0.0
        while self._state.connections and waited < CANCEL_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
