"""uvicorn's protocol on httptools and uvloop, extended by what a gateway needs beyond a web site.

It adds limits that uvicorn lacks: size, number and time of headers, framing of bodies, pipelined requests.
After a response that precedes the end of a body the connection is closed, late enough for the client to read
it. Errors of the protocol are JSON. Flow control is uvicorn's own: a client waits while more than 64 KiB of
its body are unread, and the application while more than 64 KiB of its response are unsent.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.api.application import DIRECT_SENDER, send_error
from gateway.bodies.arrival import WHOLE_BODY
from gateway.bodies.hang_up import ON_GONE, TASK
from gateway.errors import OUR_FAULT, GatewayError
from gateway.timeouts import NEVER, Waiting, timeouts
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
from proxy_site.serving.uvicorn_cycle import Message, RequestCycle

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from proxy_site.serving.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

MOST_PIPELINED = 100
"""The most requests of one connection that wait for the response to an earlier one."""
ASGI = {"version": "3.0", "spec_version": "2.3"}


@dataclass(slots=True)
class IncomingMessage:
    """A request that is still arriving. Sizes are in bytes."""

    has_head: bool = False
    upgrades: bool = False
    """True when the headers ask for another protocol. If the request is not upgraded, it is parsed again
    without that header."""
    headers: int = 0
    header_bytes: int = 0
    pieces: int = 0
    body_bytes: int = 0
    received: int = 0
    """The bytes since its first read, which may include the end of an earlier request."""

    def add_headers(self, number: int, size: int) -> None:
        """Count headers or trailers. Raises HttpParserError."""
        self.headers += number
        self.header_bytes += size
        if self.headers > MAX_HEADERS or self.header_bytes > MAX_HEADER_BYTES:
            raise httptools.HttpParserError("the headers are too large")

    def is_mostly_framing(self) -> bool:
        """Return whether an unfinished header, extensions of chunks or trailers are larger than allowed."""
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

    def writelines(self, pieces: Any) -> None:
        self._transport.writelines(pieces)

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class IdleLimit(Waiting):
    """Closes a connection that has had no request for IDLE_SECONDS. During a request its deadline is
    NEVER."""

    __slots__ = ("_connection", "_timeouts")

    def __init__(self, connection: GatewayProtocol) -> None:
        self.deadline = self.looked_at = NEVER
        self._connection: GatewayProtocol | None = connection
        self._timeouts = timeouts()

    def begin(self) -> None:
        self.deadline = self._timeouts.loop.time() + IDLE_SECONDS
        self._timeouts.watch(self)

    def end(self) -> None:
        """Stop, for a connection that is closed or has become a WebSocket."""
        self._connection = None
        self._timeouts.forget(self)

    def expire(self) -> None:
        if self._connection is not None:
            self._connection.close_idle()


class Flow(FlowControl):
    """uvicorn's flow control of one connection, without an event until a response has to wait: its event
    takes 0.8 kB of memory, for as long as a client is connected."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        while self.write_paused:
            self._writable = self._writable or asyncio.Event()
            await self._writable.wait()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a client. Its attributes are slots, uvicorn's too: a dictionary of them would take
    1.3 kB for as long as a client is connected."""

    __slots__ = (
        "_error_response",
        "_header_deadline",
        "_header_seconds",
        "_idle_limit",
        "_is_lingering",
        "_may_keep_alive",
        "_message",
        "_running",
        "_task",
        "client",
        "config",
        "connections",
        "cycle",
        "flow",
        "headers",
        "loop",
        "parser",
        "pipeline",
        "scheme",
        "scope",
        "server",
        "server_state",
        "transport",
        "url",
    )

    app_state: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # which WebSockets copy
    logger = logging.getLogger("uvicorn.error")

    config: uvicorn.Config
    cycle: RequestCycle | None  # type: ignore[assignment]
    pipeline: tuple[RequestCycle, ...]  # type: ignore[assignment]
    """The requests that wait for the responses to earlier ones. It is nearly always empty."""

    def __init__(self, config: uvicorn.Config, state: ServerState, header_seconds: float) -> None:
        """Set the attributes of uvicorn's protocol that this class uses. uvicorn's own `__init__`, which sets
        more, is not called: each attribute takes memory for as long as a client is connected."""
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.server_state = state
        self.connections = state.connections
        self._new_parser()
        self.cycle = None
        self.pipeline = ()
        self._header_seconds = header_seconds
        self._header_deadline: asyncio.TimerHandle | None = None
        self._idle_limit = IdleLimit(self)
        self._message: IncomingMessage | None = None
        self._running: RequestCycle | None = None
        self._may_keep_alive = False
        """True when the connection may be kept after the response, if the body ends before it."""
        self._is_lingering = False
        self._error_response = b""
        """The error for malformed data, sent after the responses to earlier requests."""

    @property
    def ws_protocol_class(self) -> Any:  # type: ignore[override]
        return self.config.ws_protocol_class

    def stream_has_begun(self) -> None:
        """Drop the parser until the next request begins: it takes 1 kB, and a stream may last for long."""
        if self._message is None:
            self.parser = None  # type: ignore[assignment]

    def _new_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._idle_limit.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_header_deadline()
        self._idle_limit.end()
        self.connections.discard(self)
        if self._running is not None:
            self._disconnect(self._running)
        if self.cycle is not None:
            self._disconnect(self.cycle)
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._error_response:
            return
        self._idle_limit.deadline = NEVER
        message, cycle = self._message, self.cycle
        if self.parser is None:
            self._new_parser()  # type: ignore[unreachable]  # uvicorn says that there always is one
        try:
            self._feed(data)
            is_in_head = self._message is not None and not self._message.has_head
            if is_in_head:
                self._count_headers()
        except httptools.HttpParserError:
            self._refuse(unreadable_response())
            return
        if self.transport.get_protocol() is not self:
            self._idle_limit.end()
            return  # a WebSocket by now
        if self._message is None:
            is_in_head = message is None and self.cycle is cycle  # only line ends
        elif self._message is message:
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
                self._new_parser()
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        headers = [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version.encode(), b"".join(headers))

    def _should_upgrade(self) -> bool:
        """Return whether to switch to a WebSocket, which begins with a GET without a body, after the
        responses to all earlier requests."""
        if self.parser.get_method() != b"GET" or self._response_is_due() or not super()._should_upgrade():
            return False
        return all(
            name != b"transfer-encoding" and (name != b"content-length" or value == b"0")
            for name, value in self.headers
        )

    # Callbacks of the parser. An exception becomes an HttpParserError.

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._message = IncomingMessage()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, with its name in lower case. Trailers are counted and dropped: the headers have been
        checked by then."""
        message = self._message
        assert message is not None
        if message.has_head:
            message.add_headers(1, len(name) + len(value))
        else:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        message, parser = self._message, self.parser
        assert message is not None
        self._count_headers()
        self._clear_header_deadline()
        names = [name for name, _ in self.headers]
        version = parser.get_http_version()
        if version not in {"1.0", "1.1"} or len(self.pipeline) >= MOST_PIPELINED:
            raise httptools.HttpParserError("another version, or too many requests at once")
        if b"transfer-encoding" in names and not all(
            value.lower() == b"chunked" for name, value in self.headers if name == b"transfer-encoding"
        ):
            raise httptools.HttpParserError("a transfer encoding that nothing here decodes")
        message.upgrades = parser.should_upgrade()
        if message.upgrades and not self._should_upgrade():
            return  # parsed again
        if not self.url.startswith((b"/", b"*")):
            self._use_absolute_form()
        scope = self._scope(version)
        message.has_head = True
        if message.upgrades:
            self.scope = scope  # type: ignore[assignment]
            return
        cycle = RequestCycle(self, scope)
        cycle.expects_continue = version != "1.0" and b"expect" in names and self._expects_continue()
        cycle.keep_alive = version != "1.0" and parser.should_keep_alive()
        del self.url, self.headers  # the application drops those of the scope when a stream begins
        self._begin(cycle)

    def _count_headers(self) -> None:
        """Count the headers so far, and the path. Raises HttpParserError."""
        message = self._message
        assert message is not None
        message.headers = message.header_bytes = 0
        size = sum([len(name) + len(value) for name, value in self.headers])
        message.add_headers(len(self.headers), len(self.url) + size)

    def _scope(self, version: str) -> Message:
        parsed = httptools.parse_url(self.url)
        path = parsed.path.decode("ascii")
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": parsed.path,
            "query_string": parsed.query or b"",
            "headers": self.headers,
            "state": {},
            ON_GONE: [],
        }

    def _expects_continue(self) -> bool:
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers)

    def _begin(self, cycle: RequestCycle) -> None:
        """Start the application, after the responses to all earlier requests."""
        earlier, self.cycle = self.cycle, cycle
        if earlier is None or earlier.response_complete:
            self._start(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline += (cycle,)

    def on_body(self, body: bytes) -> None:
        message, cycle = self._message, self.cycle
        assert message is not None
        assert cycle is not None
        message.pieces += 1
        message.body_bytes += len(body)
        if is_cut_too_small(message.pieces, message.body_bytes):
            raise httptools.HttpParserError("the chunks are too small")
        if message.upgrades or cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.tell()

    def on_message_complete(self) -> None:
        message, cycle = self._message, self.cycle
        self._message = None
        assert message is not None
        if message.upgrades:
            return
        assert cycle is not None
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.tell()
        if self._is_lingering:
            self.transport.close()
        elif not cycle.response_started and cycle.transport is not self.transport:
            cycle.keep_alive = self._may_keep_alive
        cycle.transport = self.transport

    def _use_absolute_form(self) -> None:
        """Use the host of `GET http://host/path` instead of the Host header (RFC 9112, 3.2.2)."""
        authority, _, rest = self.url.partition(b"://")[2].partition(b"/")
        self.url = b"/" + rest
        self.headers[:] = [(b"host", authority), *(pair for pair in self.headers if pair[0] != b"host")]

    # Responses

    def _start(self, cycle: RequestCycle) -> None:
        self._running = cycle
        self._task = cycle.scope[TASK] = self.loop.create_task(self._answer(cycle))

    async def _answer(self, cycle: RequestCycle) -> None:
        """Run the application, and log and answer its failures."""
        scope = cycle.scope
        if cycle.more_body:
            self._may_keep_alive = cycle.keep_alive
            cycle.keep_alive = False
            cycle.transport = LingeringTransport(self.transport, self._linger)
        elif not cycle.expects_continue:
            scope[WHOLE_BODY] = cycle.take_body
        scope[DIRECT_SENDER] = cycle
        try:
            await self.config.loaded_app(scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            logger.debug("a request was cancelled by the shutdown")
        except Exception:
            logger.exception("the application failed")
            if not cycle.response_started:
                await send_error(GatewayError(OUR_FAULT), scope, cycle.send)
        finally:
            # They refer to the cycle or the coroutine, which refer to the scope.
            scope.pop(DIRECT_SENDER, None)
            scope.pop(WHOLE_BODY, None)
            scope.pop(TASK, None)
            if not (cycle.response_complete or cycle.disconnected):
                cycle.disconnected = True
                self.transport.abort()  # a response that is half sent can only be ended so

    def on_response_complete(self) -> None:
        if self._error_response and not self.pipeline:
            self._end_with(self._error_response)
        elif not (self._is_lingering or self.transport.is_closing()):
            if self.flow.read_paused:
                self.flow.resume_reading()
            if self.pipeline:
                following, *rest = self.pipeline
                self.pipeline = tuple(rest)
                self._start(following)
            else:
                self._idle_limit.begin()

    def close_idle(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

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
            if self._running is None or self.cycle is not self._running:
                self.pipeline = self.pipeline[:-1]
            elif self._running.response_started:
                self.transport.abort()
                return
            else:
                self._disconnect(self._running)
        if not self._response_is_due():
            self._end_with(response)

    def _end_with(self, response: bytes) -> None:
        self.transport.write(response)
        self.transport.close()

    def _disconnect(self, cycle: RequestCycle) -> None:
        """Tell the application that the client has disconnected."""
        if not (cycle.response_complete or cycle.disconnected):
            cycle.disconnected = True
            cycle.tell()
            for tell in cycle.scope[ON_GONE]:
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
