"""Daphne, extended by what a gateway needs beyond a web site.

The application gets a request with its headers, and reads the body as it arrives, so that limits are kept
there (gateway/bodies/arrival.py). A burst of connections finds a backlog; a slow reader slows its sender
instead of filling our memory; errors of the protocol are JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
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

from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import GatewayError, InvalidRequest
from gateway.telemetry.request_ids import accepted_or_new
from proxy_site.serving.limits import (
    LARGEST_WEBSOCKET_MESSAGE,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    is_cut_too_small,
    slow_headers_response,
    unreadable_response,
)
from proxy_site.serving.listener import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from proxy_site.serving.lifecycle import Lifecycle

MOST_UNREAD_BYTES = 256 * 1024
WEBSOCKET_HANDSHAKE_SECONDS = 5


class GatewayChannel(HTTPChannel):
    """One connection.

    Malformed HTTP gets a JSON error, too. Headers have a deadline, however slowly they arrive. The rest of a
    body that nobody reads is dropped, instead of being parsed as the next request.
    """

    _host: Any = None
    _peer: Any = None
    _is_leaving = False
    has_refused = False
    """True once an error has been sent; the application's response is then dropped."""
    headers_due: float | None = None
    """The deadline of unfinished headers, on the loop's clock; None between headers."""
    MAX_LENGTH = MAX_HEADER_BYTES
    totalHeadersSize = MAX_HEADER_BYTES  # noqa: N815  # Twisted's name

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        super().dataReceived(data)
        # Twisted's own timeout begins anew with each byte.
        if self.is_idle_or_busy():
            self.headers_due = None
        elif self.headers_due is None:
            self.headers_due = twisted_loop.time() + self.factory.server.header_seconds
            self.factory.server.unfinished_heads.add(self)

    def is_idle_or_busy(self) -> bool:
        """True unless the headers of a request are being received."""
        is_between_requests = not self._buffer and not hasattr(self, "_command")
        return is_between_requests or not self.line_mode

    def refuse_slow_headers(self) -> None:
        self.transport.write(slow_headers_response(self.factory.server.header_seconds))
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        self.has_refused = True
        if not self._is_leaving:
            self.transport.write(unreadable_response())
        self.loseConnection()

    def getHost(self) -> Any:  # noqa: N802
        """Return the local address, which is cached: Twisted asks the kernel each time."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def getPeer(self) -> Any:  # noqa: N802
        """Return the address of the other end, which never changes either."""
        if self._peer is None:
            self._peer = super().getPeer()
        return self._peer

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self._respondToBadRequestAndDisconnect()

    def requestDone(self, request: GatewayRequest) -> None:  # noqa: N802
        """End a request. When its response is complete before its body, the connection is closed afterwards.
        The rest of the body is read and dropped for LINGER_SECONDS, because a client whose connection is
        closed while it writes never reads the response."""
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
        """Do nothing: `allow_body` sends 100 Continue once the application reads the body."""


REASON_PHRASES = {
    **{status.value: status.phrase.encode("ascii") for status in HTTPStatus},
    # The names of RFC 9110, whatever the version of Python; 529 is Anthropic's.
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    529: b"Overloaded",
}
"""Reason phrases. Twisted's own table has those of 1999, and none for 429."""


class GatewayRequest(WebRequest):
    """A request that the application gets with its headers. Its body is passed on as it arrives, no faster
    than the application reads it; the application is slowed when the client reads slowly."""

    is_body_complete = False
    awaits_continue = False
    drained: asyncio.Future[None] | None = None
    _mailbox: Mailbox | None = None
    _pieces = _piece_bytes = 0
    """Counts of the body's pieces and of their bytes."""
    # Requests are compared by identity, as Daphne's own are, but without a call of Python: Daphne looks each
    # request up many times.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def isSecure(self) -> bool:  # noqa: N802  # Twisted's name
        """Return False, since the listener speaks plain HTTP; Twisted would look at each connection for an
        adapter to TLS."""
        return False

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
        if is_cut_too_small(self._pieces, self._piece_bytes):
            raise _MalformedChunkedDataError("the chunks are too small")  # the channel refuses the request
        if self._mailbox is not None:
            self._mailbox.put_body(data, is_last=False)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """End the body. Twisted's own method would parse form bodies of any size."""
        self.is_body_complete = True
        if self._mailbox is not None:
            self._mailbox.put_body(b"", is_last=True)
        elif not self._response_started:
            self._begin(command, path, version)

    def _begin(self, command: bytes, path: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = command, path, version
        # Daphne takes it for the root path: any client could move every path of this site.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        if path.startswith((b"http://", b"https://")):
            self._use_absolute_form(path)
        self.path = self.uri.partition(b"?")[0]
        self.args: dict[bytes, list[bytes]] = {}
        self.client, self.host = self.channel.getPeer(), self.channel.getHost()
        if not self.is_body_complete and self.requestHeaders.hasHeader(b"upgrade"):
            self.requestHeaders.removeHeader(b"upgrade")  # a WebSocket begins without a body
        self.process()

    def _use_absolute_form(self, path: bytes) -> None:
        """Use the host of `GET http://host/path` instead of the Host header (RFC 9112, 3.2.2)."""
        authority, _, rest = path.partition(b"://")[2].partition(b"/")
        self.uri = b"/" + rest
        self.requestHeaders.setRawHeaders(b"host", [authority])

    def mailbox(self) -> Mailbox:
        """Create the application's mailbox, which gets the body as it arrives."""
        mailbox = Mailbox()
        if not self.is_body_complete:
            mailbox.expect_body(self)
            self._mailbox = mailbox
        return mailbox

    def allow_body(self) -> None:
        """Send 100 Continue, once the application waits for the body."""
        if self.awaits_continue and self.channel is not None:
            self.awaits_continue = False
            self.channel.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def slow_down(self, *, is_full: bool) -> None:
        """Pause or resume reading the body from the connection."""
        if self.channel is None:
            return
        if is_full:
            self.channel._networkProducer.pauseProducing()
        else:
            self.channel._networkProducer.resumeProducing()

    def _request_id(self) -> str:
        """Return the client's own request id if it is usable, else a new one."""
        asked = self.requestHeaders.getRawHeaders(b"x-request-id", [b""])[0]
        return accepted_or_new(asked.decode("latin1"))

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Send an error of Daphne's own as JSON."""
        error = InvalidRequest(body) if status < 500 else GatewayError(body)
        request_id = self._request_id()
        headers = [(b"content-type", b"application/json"), (b"request-id", request_id.encode("ascii"))]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        envelope = orjson.dumps(ANTHROPIC.error_body(error, request_id))
        self.handle_reply({"type": "http.response.body", "body": envelope})

    def handle_exception(self, exception: Exception) -> None:
        """Answer for an application that failed. A response that is partly sent can only be ended by closing
        the connection."""
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
        self._mailbox = None  # the rest of the body is dropped
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
            if not self.drained.done():  # the sending task may have been cancelled
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
        """Do nothing, since Twisted would write an access log."""


class WebSocket(WebSocketProtocol):
    """Daphne's protocol, also for handshakes that fail before it has a server."""

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N802, N803
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)

    def serverSend(self, content: str, binary: bool = False) -> None:  # noqa: N802
        """Send without a limit; Autobahn would apply the limit of received messages."""
        if self.state == self.STATE_OPEN:
            self.sendFrame(opcode=1, payload=content.encode())

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802
        """Close with any code; Autobahn allows applications only 1000 and private codes."""
        self.sendCloseFrame(code=code or 1000)


class GatewayWebSocketFactory(WebSocketFactory):
    """Factory with the limits that Daphne sets in its own `run`; Autobahn has none by default."""

    protocol = WebSocket

    def __init__(self, server: Any) -> None:
        super().__init__(server, server="")
        self.setProtocolOptions(
            failByDrop=False,  # a page learns from the code what it did wrong
            openHandshakeTimeout=WEBSOCKET_HANDSHAKE_SECONDS,
            autoPingTimeout=server.ping_timeout,
            maxMessagePayloadSize=LARGEST_WEBSOCKET_MESSAGE,
            maxFramePayloadSize=LARGEST_WEBSOCKET_MESSAGE,
        )


class PromptConnection(tcp.Server):
    """A connection that writes everything of one turn of the event loop together at its end. Twisted would
    wait one turn longer for the kernel to report the socket as writable."""

    _is_flush_due = False

    def startWriting(self) -> None:  # noqa: N802
        if not self._is_flush_due:
            self._is_flush_due = True
            twisted_loop.call_soon(self._flush)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:  # noqa: N802
        """Write the pieces at once; Twisted would check and keep each of them separately."""
        self.write(b"".join(iovec))

    def _flush(self) -> None:
        self._is_flush_due = False
        if not self.connected:
            return
        reactor._readOrWrite(self, read=False)
        if self.connected and (self.offset < len(self.dataBuffer) or self._tempDataBuffer):
            super().startWriting()


class Mailbox:
    """The queue of ASGI messages for one application. An asyncio.Queue would take 4 kB for each stream."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._reader: asyncio.Future[None] | None = None
        self._request: GatewayRequest | None = None
        """The request whose body is still arriving, else None."""
        self._unread = bytearray()
        """The unread part of the body, in one buffer: a sender may cut it into a million chunks."""

    def expect_body(self, request: GatewayRequest) -> None:
        self._request = request

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Add a message. Daphne's own message with the body is ignored while the body is still arriving."""
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
                self._request.allow_body()
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
    """Serves one listening socket until its lifecycle ends. `header_seconds` is the deadline of headers."""

    def __init__(
        self, application: Any, listener: socket.socket, lifecycle: Lifecycle, *, header_seconds: float
    ) -> None:
        super().__init__(
            application,
            endpoints=["a socket of our own"],
            server_name="",
        )
        self.listener = listener
        self.lifecycle = lifecycle
        self.header_seconds = header_seconds
        self.unfinished_heads: set[GatewayChannel] = set()
        self.connections: dict[Any, dict[str, Any]] = {}

    def run(self) -> None:
        globalLogBeginner.beginLoggingTo([lambda _: None], redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(twisted_loop)
        twisted_loop.run_until_complete(self.lifecycle.start())
        self.http_factory = GatewayFactory(self)
        self.ws_factory = GatewayWebSocketFactory(self)
        self.listener.listen(BACKLOG)
        self._port = reactor.adoptStreamPort(self.listener.fileno(), self.listener.family, self.http_factory)
        self._port.transport = PromptConnection
        self.listener.close()  # the reactor has a copy; this one would still accept when that one has stopped
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        serving = twisted_loop.create_task(self._serve())
        reactor.run(installSignalHandlers=False)
        serving.result()

    async def _serve(self) -> None:
        try:
            await self.lifecycle.serve(self)
        finally:
            reactor.stop()

    def stop_accepting(self) -> None:
        self._port.stopListening()

    def has_unsent(self) -> bool:
        """Return False: `handle_reply` waits until a response has been sent, so its request is in flight
        until then."""
        return False

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Mailbox:
        mailbox = protocol.mailbox() if isinstance(protocol, GatewayRequest) else Mailbox()
        send = partial(self.handle_reply, protocol)
        application = twisted_loop.create_task(self.application(scope, mailbox.get, send))
        self.connections[protocol]["application_instance"] = application
        application.add_done_callback(lambda _: self._forget(protocol))
        return mailbox

    def timeout_checker(self) -> None:
        """Check the deadlines of headers. Daphne calls this every two seconds."""
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
        """Drop an ended request at once. Daphne does so once a second, and keeps all bodies in memory until
        then. Failed requests are left to Daphne, which logs them."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and _ended_well(details.get("application_instance")):
            del self.connections[protocol]

    async def handle_reply(self, protocol: GatewayRequest, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        drained = getattr(protocol, "drained", None)  # a WebSocket has none
        if drained is not None:
            await drained

    def kill_all_applications(self) -> None:
        """Do nothing: all applications have ended before Daphne calls this."""


def _ended_well(application: asyncio.Task[None] | None) -> bool:
    if application is None:
        return True
    return application.done() and not application.cancelled() and application.exception() is None
