"""Reading of request bodies, with limits of size, of total size and of time. It works with any ASGI server;
nothing is read before the application has checked the headers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.bodies.encodings import Decoder, decoder_for
from gateway.errors import InvalidRequest, RequestTimedOut, RequestTooLarge, Unavailable
from gateway.timeouts import time_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]

MIB = 1024 * 1024
WHOLE_BODY = "gateway.whole_body"
"""Put into the scope by a server of the gateway when the whole body had arrived before the request began: a
function that returns it, a bytearray, in place of the messages that `receive` would return."""
FULL_RETRY_SECONDS = 5.0


class ClientGone(Exception):
    """Raised when the client closed the connection before its body was complete."""


@dataclass(slots=True)
class BodyLimits:
    """The limits and the number of bytes in memory, one object for a process. `held_bytes` counts all bodies
    that are being read or kept."""

    body_bytes: int
    total_bytes: int
    seconds: float
    held_bytes: int = field(default=0, init=False)


class IncomingBody:
    """The body of one request. The caller must release it when the body is no longer needed."""

    __slots__ = (
        "_body",
        "_has_begun",
        "_headers",
        "_held_bytes",
        "_limits",
        "_receive",
        "_take_whole",
    )

    def __init__(self, scope: dict[str, Any], receive: Receive, limits: BodyLimits) -> None:
        self._headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self._take_whole: Callable[[], bytearray] | None = scope.get(WHOLE_BODY)
        self._receive = receive
        self._limits = limits
        self._held_bytes = 0
        self._body: bytearray | bytes = b""
        self._has_begun = False

    async def read(self) -> bytearray:
        """Read the whole body, decoded. It is not copied, which would block the event loop. Raises
        GatewayError or ClientGone."""
        names = [name for name, _ in self._headers]
        if b"content-encoding" not in names and self._take_whole is not None:
            whole = self._take_whole()
            self._count(len(whole))
            return whole
        headers = dict(self._headers)
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        encoding = headers.get(b"content-encoding")
        decoder = decoder_for(encoding) if encoding else None
        if decoder is not None:
            self._hold(decoder.memory_bytes)
        body = self._body = bytearray()  # one buffer, because a sender may cut it into a million chunks
        try:
            with time_limit(self._limits.seconds):
                while await self._add(await self._receive(), decoder):
                    pass
        except TimeoutError as error:
            raise RequestTimedOut(f"The body took longer than {self._limits.seconds:g} s.") from error
        if decoder is not None and self._has_begun and not decoder.has_ended:
            raise InvalidRequest("content-encoding: the body ends before its text is whole.")
        self._body = b""
        return body

    def release(self) -> None:
        """Drop the body, and what it was read by."""
        self._limits.held_bytes -= self._held_bytes
        self._held_bytes = 0
        self._body, self._headers, self._take_whole = b"", (), None

    async def _add(self, message: Message, decoder: Decoder | None) -> bool:
        """Add a piece; return True when more follow."""
        if message["type"] == "http.disconnect":
            raise ClientGone
        data = message.get("body", b"")
        self._has_begun = self._has_begun or bool(data)
        if decoder is None:
            self._keep(data)
        else:
            for piece in decoder.pieces(data):
                self._keep(piece)
                await asyncio.sleep(0)
        return bool(message.get("more_body"))

    def _keep(self, piece: bytes) -> None:
        self._count(len(piece))
        self._body += piece

    def _count(self, size: int) -> None:
        if len(self._body) + size > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        self._hold(size)

    def _hold(self, size: int) -> None:
        if self._limits.held_bytes + size > self._limits.total_bytes:
            raise Unavailable(
                "The gateway is reading as many requests as it has memory for. Try again in a moment.",
                retry_after_seconds=FULL_RETRY_SECONDS,
            )
        self._limits.held_bytes += size
        self._held_bytes += size


def too_large(limit_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limit_bytes // MIB} MiB.")
