"""Daphne, with what a gateway needs beyond a web site.

A request reaches the application with its headers, and its body as the application reads it, so that limits
hold there (gateway/bodies/arrival.py); a burst of connections finds a backlog; a slow reader slows its sender
instead of filling our memory; errors of the protocol are JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import gc
import io
import logging
import resource
import shutil
import signal
import socket
import sys
import threading
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

if sys.platform != "win32":
    with contextlib.suppress(ImportError):
        import uvloop

        # Before Daphne, which makes the event loop while it is imported.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server, twisted_loop
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import reactor, tcp
from twisted.logger import globalLogBeginner
from twisted.web.http import HTTPChannel, _MalformedChunkedDataError

from gateway.errors import GatewayError, InvalidRequest, RequestTimedOut
from gateway.telemetry.request_ids import accepted_or_new

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.service import Gateway

logger = logging.getLogger(__name__)

BACKLOG = 4096
MAX_HEADER_BYTES = 64 * 1024
MOST_UNREAD_BYTES = 256 * 1024
MANY_PIECES, SMALL_PIECE_BYTES = 2_000, 64
"""A body in more pieces than that, on average smaller than that, costs more to take apart than to read."""
LINGER_SECONDS = 5.0
ENOUGH_OPEN_FILES = 4096
POLL_SECONDS = 0.05
WEBSOCKET_HANDSHAKE_SECONDS = 5
LARGEST_WEBSOCKET_MESSAGE = 1024 * 1024
FAREWELL_SECONDS = 1.0
STOP_SECONDS = 5.0
QUIET_SECONDS = 1.0
FEW_OBJECTS = 1_000
M_MMAP_THRESHOLD = -3
"""Of malloc.h."""
LARGE_MEMORY_BYTES = 1024 * 1024


class PortTaken(Exception):
    """The address cannot be listened on; the text says why."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that owns the address but does not listen yet: nobody connects before we are ready."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise PortTaken(f"{host} is not an address of this machine: {error.strerror}.") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        hint = _who_has(port) if error.errno == errno.EADDRINUSE else ""
        raise PortTaken(f"{host} port {port} cannot be used: {error.strerror}.{hint}") from error
    listener.setblocking(False)
    return listener


def _who_has(port: int) -> str:
    """How the operator finds the program there, with what is installed."""
    commands = {"ss": f"ss -ltnp 'sport = :{port}'", "lsof": f"lsof -nP -iTCP:{port} -sTCP:LISTEN"}
    found = next((command for program, command in commands.items() if shutil.which(program)), "")
    return f" `{found}` shows which program has it; another port: runserver PORT." if found else ""


class GatewayChannel(HTTPChannel):
    """One connection. What cannot be read as HTTP is refused in the envelope, too; headers have a deadline,
    however slowly they trickle in; a body that nobody wants any more is dropped, not taken for a request."""

    _host: Any = None
    _is_leaving = False
    has_refused = False
    """What the application still says is no answer to anybody then."""
    headers_due: float | None = None
    """While headers are coming in: by when they must be complete, on the loop's clock."""
    MAX_LENGTH = MAX_HEADER_BYTES
    totalHeadersSize = MAX_HEADER_BYTES  # noqa: N815  # Twisted's name

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        super().dataReceived(data)
        # Twisted's own clock starts anew with each byte.
        if self.is_idle_or_busy():
            self.headers_due = None
        elif self.headers_due is None:
            self.headers_due = twisted_loop.time() + self.factory.server.header_seconds
            self.factory.server.unfinished_heads.add(self)

    def is_idle_or_busy(self) -> bool:
        """Not in the middle of headers."""
        is_between_requests = not self._buffer and not hasattr(self, "_command")
        return is_between_requests or not self.line_mode

    def refuse_slow_headers(self) -> None:
        seconds = self.factory.server.header_seconds
        error = RequestTimedOut(f"The headers took longer than {seconds:g} s.")
        self.transport.write(raw_error_response(b"408 Request Timeout", error, accepted_or_new("")))
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802  # Twisted's name for its last word
        error = InvalidRequest(
            "This is not a readable HTTP/1.1 request, or its headers are too large, or its chunks too small."
        )
        self.has_refused = True
        if not self._is_leaving:
            self.transport.write(raw_error_response(b"400 Bad Request", error, accepted_or_new("")))
        self.loseConnection()

    def host(self) -> Any:
        """Our end of the connection. Twisted asks the kernel each time, and it never changes."""
        if self._host is None:
            self._host = self.getHost()
        return self._host

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self._respondToBadRequestAndDisconnect()

    def requestDone(self, request: GatewayRequest) -> None:  # noqa: N802
        """An answer may be complete before the body is: then the connection ends with it. The rest is read
        and dropped for a while, as a client that is cut off while it writes never reads the answer."""
        if request.is_body_complete:
            super().requestDone(request)
            return
        self.requests.remove(request)
        self._is_leaving = True
        self._networkProducer.resumeProducing()
        self.factory.server.leave_later(self.transport)

    def allContentReceived(self) -> None:  # noqa: N802
        if self._is_leaving:
            self.transport.loseConnection()
        else:
            super().allContentReceived()

    def _send100Continue(self) -> None:  # noqa: N802
        """Sent when the application asks for the body, which it may never do."""


def raw_error_response(status: bytes, error: GatewayError, request_id: str) -> bytes:
    """A whole answer for a connection that ends with it."""
    body = orjson.dumps(error.as_body(request_id))
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
    head += b"request-id: %s\r\n" % request_id.encode("ascii")
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


REASON_PHRASES = {
    **{status.value: status.phrase.encode("ascii") for status in HTTPStatus},
    # As RFC 9110 has them, whatever the version of Python; and Anthropic's own.
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    529: b"Overloaded",
}
"""Twisted's own table has no 429 and names others as they were called in 1999."""


class GatewayRequest(WebRequest):
    """Goes to the application with its headers and hands on the body as it comes, no faster than it is read;
    tells its sender when the reader is slow."""

    is_body_complete = False
    awaits_continue = False
    drained: asyncio.Future[None] | None = None
    _mailbox: Mailbox | None = None
    _pieces = _piece_bytes = 0
    """Of the body."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802  # Twisted's name
        self.content: io.BytesIO = io.BytesIO()  # Twisted would put more than 100 kB into a temporary file
        if length == 0:
            return
        channel = self.channel
        self.awaits_continue = (
            channel._version == b"HTTP/1.1"
            and self.requestHeaders.getRawHeaders(b"expect", [b""])[0].lower() == b"100-continue"
        )
        self._begin(channel._command, channel._path, channel._version)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self._pieces += 1
        self._piece_bytes += len(data)
        if self._pieces > MANY_PIECES and self._piece_bytes < self._pieces * SMALL_PIECE_BYTES:
            raise _MalformedChunkedDataError("the chunks are too small")  # the channel refuses the request
        if self._mailbox is not None:
            self._mailbox.put_body(data, is_last=False)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Twisted's own would parse form bodies here, of any size; nobody reads them."""
        self.is_body_complete = True
        if self._mailbox is not None:
            self._mailbox.put_body(b"", is_last=True)
        elif not self._response_started:
            self._begin(command, path, version)

    def _begin(self, command: bytes, path: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = command, path, version
        # Daphne would take it for its own setting: a stranger could move every path of this site.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        if path.startswith((b"http://", b"https://")):
            self._use_absolute_form(path)
        self.path = self.uri.partition(b"?")[0]
        self.args: dict[bytes, list[bytes]] = {}
        self.client, self.host = self.channel.getPeer(), self.channel.host()
        if not self.is_body_complete and self.requestHeaders.hasHeader(b"upgrade"):
            self.requestHeaders.removeHeader(b"upgrade")  # a WebSocket begins without a body
        self.process()

    def _use_absolute_form(self, path: bytes) -> None:
        """`GET http://host/path`: the address counts, not the Host header (RFC 9112, 3.2.2)."""
        authority, _, rest = path.partition(b"://")[2].partition(b"/")
        self.uri = b"/" + rest
        self.requestHeaders.setRawHeaders(b"host", [authority])

    def mailbox(self) -> Mailbox:
        """For the application. Daphne reads the body once the application is there, and it comes later."""
        mailbox = Mailbox()
        if not self.is_body_complete:
            mailbox.expect_body(self)
            self._mailbox = mailbox
        return mailbox

    def body_wanted(self) -> None:
        """The application waits for it."""
        if self.awaits_continue and self.channel is not None:
            self.awaits_continue = False
            self.channel.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def slow_down(self, *, is_full: bool) -> None:
        """Stops or lets go on who sends the body."""
        if self.channel is None:
            return
        if is_full:
            self.channel._networkProducer.pauseProducing()
        else:
            self.channel._networkProducer.resumeProducing()

    def _request_id(self) -> str:
        """The client's own, if it has sent one that can be used."""
        asked = self.requestHeaders.getRawHeaders(b"x-request-id", [b""])[0]
        return accepted_or_new(asked.decode("latin1"))

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """What Daphne itself refuses, in the envelope that clients can read."""
        error = InvalidRequest(body) if status < 500 else GatewayError(body)
        request_id = self._request_id()
        headers = [(b"content-type", b"application/json"), (b"request-id", request_id.encode("ascii"))]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": orjson.dumps(error.as_body(request_id))})

    def handle_exception(self, exception: Exception) -> None:
        """An application failed. With its answer half sent, only a broken connection says so."""
        if not self._response_started:
            super().handle_exception(exception)
        elif self.channel is not None:
            self.channel.forceAbortClient()

    def handle_reply(self, message: dict[str, Any]) -> None:
        if self.channel is None or self.channel.has_refused:
            return
        starts = message["type"] == "http.response.start" and not self._response_started
        if starts and not self.is_body_complete:
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        super().handle_reply(message)
        if starts and self.channel is not None:
            self.registerProducer(self, True)

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:  # noqa: N802
        super().setResponseCode(code, message or REASON_PHRASES.get(code))

    def finish(self) -> None:
        if self.producer is not None:
            self.unregisterProducer()
        self._mailbox = None  # what still comes of the body is dropped
        super().finish()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self.resumeProducing()
        super().connectionLost(reason)

    # Twisted calls these when the connection's buffer fills and when it has room again.

    def pauseProducing(self) -> None:  # noqa: N802
        if self.drained is None:
            self.drained = twisted_loop.create_future()

    def resumeProducing(self) -> None:  # noqa: N802
        if self.drained is not None:
            if not self.drained.done():  # the sender may have been cancelled
                self.drained.set_result(None)
            self.drained = None

    def stopProducing(self) -> None:  # noqa: N802
        self.resumeProducing()


class GatewayFactory(HTTPFactory):
    protocol = GatewayChannel

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = GatewayRequest
        return protocol

    def log(self, request: Any) -> None:
        """Twisted would write an access log, whose lines nobody reads."""


class WebSocket(WebSocketProtocol):
    """Daphne's, which knows its server from a handshake that is one; any other has ended before it began."""

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N802, N803
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)


class GatewayWebSocketFactory(WebSocketFactory):
    """With the bounds that Daphne sets in its own `run`; Autobahn has none by itself."""

    protocol = WebSocket

    def __init__(self, server: Any) -> None:
        super().__init__(server, server="")
        self.setProtocolOptions(
            openHandshakeTimeout=WEBSOCKET_HANDSHAKE_SECONDS,
            autoPingTimeout=server.ping_timeout,
            maxMessagePayloadSize=LARGEST_WEBSOCKET_MESSAGE,
            maxFramePayloadSize=LARGEST_WEBSOCKET_MESSAGE,
        )


class PromptConnection(tcp.Server):
    """Writes at the end of the current turn of the loop, all that has come together until then. Twisted
    would ask the kernel for permission first, which comes a turn later, and take leave afterwards."""

    _is_flush_due = False

    def startWriting(self) -> None:  # noqa: N802
        if not self._is_flush_due:
            self._is_flush_due = True
            twisted_loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if not self.connected:
            return
        reactor._readOrWrite(self, read=False)
        if self.connected and (self.offset < len(self.dataBuffer) or self._tempDataBuffer):
            super().startWriting()


class Mailbox:
    """What Daphne has to tell one application. An asyncio.Queue would take 4 kB, and every stream has one."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._reader: asyncio.Future[None] | None = None
        self._request: GatewayRequest | None = None
        """Whose body is on its way."""
        self._unread = bytearray()
        """Of the body, in one: a sender may cut it into a million chunks."""

    def expect_body(self, request: GatewayRequest) -> None:
        self._request = request

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Daphne's own message of the body is none while that is on its way."""
        if self._request is None or message["type"] != "http.request":
            self._put(message)

    def put_body(self, data: bytes, *, is_last: bool) -> None:
        self._unread += data
        if self._request is not None and len(self._unread) > MOST_UNREAD_BYTES:
            self._request.slow_down(is_full=not is_last)
        if is_last:
            self._request = None
        if not self._messages:
            self._put({"type": "http.request"})

    def _put(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> dict[str, Any]:
        while not self._messages:
            if self._request is not None:
                self._request.body_wanted()
            self._reader = twisted_loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.pop(0)
        if message["type"] == "http.request" and "body" not in message:
            return self._take_body()
        return message

    def _take_body(self) -> dict[str, Any]:
        body, self._unread = bytes(self._unread), bytearray()
        if self._request is not None and len(body) > MOST_UNREAD_BYTES:
            self._request.slow_down(is_full=False)
        return {"type": "http.request", "body": body, "more_body": self._request is not None}


class GatewayServer(Server):
    """Serves one listening socket until a signal comes. `on_ready` runs when connections are accepted."""

    def __init__(
        self,
        application: Any,
        gateway: Gateway,
        listener: socket.socket,
        *,
        header_seconds: float,
        grace_seconds: float,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(
            application,
            endpoints=["a socket of our own"],
            server_name="",
        )
        self.gateway = gateway
        self.listener = listener
        self.header_seconds = header_seconds
        self.grace_seconds = grace_seconds
        self.on_ready = on_ready
        self.unfinished_heads: set[GatewayChannel] = set()
        self.connections: dict[Any, dict[str, Any]] = {}
        self._stopping: asyncio.Task[None] | None = None

    def run(self) -> None:
        globalLogBeginner.beginLoggingTo([lambda _: None], redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(twisted_loop)
        twisted_loop.run_until_complete(self.gateway.start())
        self.http_factory = GatewayFactory(self)
        self.ws_factory = GatewayWebSocketFactory(self)
        self.listener.listen(BACKLOG)
        self._port = reactor.adoptStreamPort(self.listener.fileno(), self.listener.family, self.http_factory)
        self._port.transport = PromptConnection
        self.listener.close()  # the reactor has a copy; ours would go on accepting when that one stops
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        _settle_garbage_collector()
        _give_back_large_memory()
        reactor.callLater(QUIET_SECONDS, self._free_memory_when_quiet, was_quiet=False)
        # In the loop, not before: a signal is heard only there, and may come as soon as "ready" is printed.
        twisted_loop.call_soon(self._begin)
        reactor.run(installSignalHandlers=False)

    def _begin(self) -> None:
        # Under --reload this is not the main thread, and the reloader itself minds the signals.
        if threading.current_thread() is threading.main_thread():
            self._listen_for_signals()
        self.on_ready()

    def _free_memory_when_quiet(self, *, was_quiet: bool) -> None:
        """Under load the collector comes seldom (`_settle_garbage_collector`), and objects in cycles pile up,
        such as errors with tracebacks; malloc keeps what was freed. All of it goes when no request has run
        for QUIET_SECONDS."""
        is_quiet = not self.gateway.recorder.in_flight
        youngest, *older = gc.get_count()
        if is_quiet and was_quiet and (youngest > FEW_OBJECTS or any(older)):
            gc.collect()
            give_back_free_memory()
        reactor.callLater(QUIET_SECONDS, self._free_memory_when_quiet, was_quiet=is_quiet)

    def _listen_for_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            twisted_loop.add_signal_handler(number, self._on_signal)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Mailbox:
        mailbox = protocol.mailbox() if isinstance(protocol, GatewayRequest) else Mailbox()
        send = partial(self.handle_reply, protocol)
        application = twisted_loop.create_task(self.application(scope, mailbox.get, send))
        self.connections[protocol]["application_instance"] = application
        application.add_done_callback(lambda _: self._forget(protocol))
        return mailbox

    def timeout_checker(self) -> None:
        """Every two seconds."""
        super().timeout_checker()
        now = twisted_loop.time()
        for channel in list(self.unfinished_heads):
            if channel.headers_due is None or not channel.transport.connected:
                self.unfinished_heads.discard(channel)
            elif channel.headers_due <= now:
                self.unfinished_heads.discard(channel)
                channel.refuse_slow_headers()

    def leave_later(self, transport: Any) -> None:
        reactor.callLater(LINGER_SECONDS, transport.abortConnection)

    def protocol_disconnected(self, protocol: Any) -> None:
        if protocol in self.connections:
            super().protocol_disconnected(protocol)
            self._forget(protocol)

    def _forget(self, protocol: Any) -> None:
        """A request that is over, at once: Daphne looks once a second, and until then it keeps all bodies of
        that second in memory. What failed is left to Daphne, which reports it."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and _ended_well(details.get("application_instance")):
            del self.connections[protocol]

    async def handle_reply(self, protocol: GatewayRequest, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        drained = getattr(protocol, "drained", None)  # a WebSocket has no such thing
        if drained is not None:
            await drained

    def _on_signal(self) -> None:
        """The first one lets running requests finish, the second one does not wait."""
        if self._stopping is None:
            self._stopping = twisted_loop.create_task(self._shut_down())
        else:
            self.grace_seconds = 0

    async def _shut_down(self) -> None:
        self._port.stopListening()
        await self.gateway.close_listeners()
        waited = 0.0
        while self._running() and waited < self.grace_seconds:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        self.gateway.is_stopping = True
        if applications := self._running():
            logger.warning("%d requests are cut short by the shutdown", len(applications))
            for application in applications:
                application.cancel()
            await asyncio.wait(applications, timeout=FAREWELL_SECONDS)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.gateway.stop()
        except Exception:
            logger.exception("Not everything could be stored at the end")
        finally:
            reactor.stop()

    def kill_all_applications(self) -> None:
        """Daphne's own way to end them; here they have ended by now."""

    def _running(self) -> list[asyncio.Future[Any]]:
        """Not those whose bodies are still on their way: nothing has been done for them yet."""
        applications = [
            details.get("application_instance")
            for protocol, details in self.connections.items()
            if getattr(protocol, "is_body_complete", True)
        ]
        return [each for each in applications if each is not None and not each.done()]


def _ended_well(application: asyncio.Task[None] | None) -> bool:
    if application is None:
        return True
    return application.done() and not application.cancelled() and application.exception() is None


def raise_open_files_limit() -> str | None:
    """Each stream holds two sockets. Returns a warning when the machine allows only a few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_OPEN_FILES:
        return None
    return f"Only {soft} files may be open at once, enough for about {soft // 2} streams: raise `ulimit -n`."


def _settle_garbage_collector() -> None:
    """What is there now stays: leave it out of every later collection, and collect less often. Cuts the
    longest pauses under load to a tenth (docs/performance.md)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _give_back_large_memory() -> None:
    """glibc keeps the memory of large bodies for the next ones, unless it is told from which size on to give
    it back. Other C libraries have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY_BYTES)


def give_back_free_memory() -> None:
    """What glibc keeps between pieces in use: after a burst most of what that took. A gigabyte takes 0.15 s.
    Other C libraries have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
