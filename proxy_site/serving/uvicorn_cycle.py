"""A request under uvicorn and its response, as ASGI's `receive` and `send`."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn.protocols.http.flow_control import FlowControl

    from proxy_site.serving.uvicorn import GatewayProtocol

UNFIT_FOR_NAMES = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \\"]')
"""Matches bytes that names of a response's headers must not have."""
UNFIT_FOR_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

REASON_PHRASES = {413: b"Content Too Large", 422: b"Unprocessable Content", 529: b"Overloaded"}
"""Those of RFC 9110 whatever the version of Python, and Anthropic's 529."""
STATUS_LINES = STATUS_LINE | {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in REASON_PHRASES.items()
}
MALFORMED = "a header of the response is malformed"
KEPT_NAMES = 256

Header = tuple[bytes, bytes]
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of a response's headers: the lines with a `%b` in place of each value, and the positions of
    those that matter here, the last one if a name is repeated."""

    lines: bytes
    connection: int | None
    content_length: int | None


@lru_cache(maxsize=KEPT_NAMES)
def _known_names(names: tuple[bytes, ...]) -> KnownNames:
    """Raises RuntimeError for a name that is malformed. Most responses have the same names."""
    lower = [name.lower() for name in names]
    if any(map(UNFIT_FOR_NAMES.search, lower)):
        raise RuntimeError(MALFORMED)
    positions = {name: position for position, name in enumerate(lower)}
    lines = b"".join([name.replace(b"%", b"%%") + b": %b\r\n" for name in lower])
    return KnownNames(lines, positions.get(b"connection"), positions.get(b"content-length"))


class RequestCycle:
    """A request and its response, between the protocol and the application, for which `receive` and `send`
    are ASGI's. It replaces uvicorn's, which looks at each header of a response separately. The head of a
    response is sent together with the first piece of its body."""

    __slots__ = (
        "_flow",
        "_has_news",
        "_head",
        "_is_chunked",
        "_news",
        "_protocol",
        "_unsent",
        "body",
        "disconnected",
        "expects_continue",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "transport",
    )

    def __init__(self, protocol: GatewayProtocol, scope: Message) -> None:
        self.scope = scope
        self.transport: asyncio.Transport = protocol.transport
        self.keep_alive = False
        """True when the connection is to be kept after the response."""
        self.expects_continue = False
        """True when the client waits for 100 Continue before it sends the body."""
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.more_body = True
        self.body = bytearray()
        """The part of the body that has arrived and was not received yet."""
        self._protocol = protocol
        self._flow: FlowControl = protocol.flow
        self._has_news = False
        """True when `receive` need not wait."""
        self._news: asyncio.Event | None = None
        """The event for a `receive` that waits; None until there is one."""
        self._head = b""
        self._is_chunked = False
        self._unsent: float = 0
        """The bytes of the response's body that are still to come, by its Content-Length; infinite for an
        HTTP/1.0 client that gets a body without one, whose end is that of the connection."""

    def tell(self) -> None:
        """End the wait of `receive`."""
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def take_body(self) -> bytearray:
        """Return the body, which has arrived whole, of a client that does not wait for 100 Continue; used in
        place of `receive`."""
        body, self.body = self.body, bytearray()
        self._has_news = False
        return body

    async def receive(self) -> Message:
        if self.expects_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        if not (self.disconnected or self.response_complete):
            self._flow.resume_reading()
            if not self._has_news:
                self._news = self._news or asyncio.Event()
                self._news.clear()
                await self._news.wait()
            self._has_news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """Send an ASGI message. Raises RuntimeError for a response that breaks HTTP or ASGI."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        due = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != due or self.response_complete:
            raise RuntimeError(f"{message['type']} is not what comes next in a response")
        if not self.response_started:
            self.response_started = True
            self.expects_continue = False
            self._head = self._head_of(message["status"], message.get("headers", ()))
            return
        ends = not message.get("more_body", False)
        if self._head and not ends:
            self._protocol.stream_has_begun()
        self._write(message.get("body", b""), ends=ends)
        if ends:
            if 0 < self._unsent < math.inf:
                raise RuntimeError("the response is shorter than its Content-Length")
            self.response_complete = True
            self.tell()
            if not self.keep_alive:
                self.transport.close()
            self._protocol.on_response_complete()

    @property
    def can_send(self) -> bool:
        """Do what DirectSender.can_send does."""
        has_begun = self.response_started and not (self._head or self.response_complete)
        return has_begun and not (self.disconnected or self._flow.write_paused)

    def send_piece(self, piece: bytes) -> None:
        """Do what DirectSender.send_piece does."""
        if self._is_chunked and piece:  # an empty chunk is the end
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._write(piece, ends=False)

    def _head_of(self, status: int, headers: Sequence[Header]) -> bytes:
        values = tuple([value for _, value in headers])
        known = _known_names(tuple([name for name, _ in headers]))
        if UNFIT_FOR_VALUES.search(b"".join(values)):
            raise RuntimeError(MALFORMED)
        head = STATUS_LINES[status] + known.lines % values
        if known.connection is not None and values[known.connection].lower() == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            head += b"connection: close\r\n"
        if known.content_length is not None:
            self._unsent = int(values[known.content_length])
        elif self.scope["method"] != "HEAD" and status not in {204, 304}:
            self._is_chunked = self.scope["http_version"] != "1.0"
            if self._is_chunked:
                head += b"transfer-encoding: chunked\r\n"
            else:
                self._unsent = math.inf  # until the connection is closed
        return head + b"\r\n"

    def _write(self, body: bytes, *, ends: bool) -> None:
        """Write a piece of the body, after the head if that was not sent yet."""
        pieces = [self._head] if self._head else []
        self._head = b""
        if self.scope["method"] == "HEAD":
            self._unsent = 0
        elif self._is_chunked:
            if body:
                pieces += (b"%x\r\n" % len(body), body, b"\r\n")
            if ends:
                pieces.append(b"0\r\n\r\n")
        elif body:
            if len(body) > self._unsent:
                raise RuntimeError("the response is longer than its Content-Length")
            self._unsent -= len(body)
            pieces.append(body)
        if pieces:
            self.transport.writelines(pieces)
