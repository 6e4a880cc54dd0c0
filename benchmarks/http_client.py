"""An HTTP/1.1 client that records when each piece of an answer arrived. For measurements, not for general
use."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

from benchmarks.processes import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")


class Disconnected(Exception):
    """The server closed the connection before its answer was complete."""


def post_request(port: int, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a whole request."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {LOOPBACK}:{port}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Answer:
    """An answer while it arrives. Times are of time.monotonic, which all processes of a machine share."""

    def __init__(self) -> None:
        self.sent_at = time.monotonic()
        self.first_body_at: float | None = None
        self.status = 0
        self.pieces: list[tuple[float, bytes]] = []
        self.body = bytearray()  # with the framing of chunks, if it is chunked
        self._head = b""
        self._length: int | None = None

    @property
    def first_event_seconds(self) -> float:
        return (self.first_body_at or time.monotonic()) - self.sent_at

    @property
    def is_complete(self) -> bool:
        if not self.status:
            return False
        if self._length is not None:
            return len(self.body) >= self._length
        return self.body.endswith(b"0\r\n\r\n")  # no event of the gateway ends like this

    def receive(self, at: float, data: bytes) -> None:
        if not self.status:
            data = self._receive_head(data)
        if not data:
            return
        if self.first_body_at is None:
            self.first_body_at = at
        self.pieces.append((at, data))
        self.body += data

    def _receive_head(self, data: bytes) -> bytes:
        """Read the head; returns the bytes behind it."""
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if not end:
            self._head = head
            return b""
        first_line, *lines = head.split(b"\r\n")
        self.status = int(first_line.split()[1])
        for line in lines:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                self._length = int(value)
        return rest


class Connection(asyncio.Protocol):
    """A kept-alive connection for one request at a time. `answer` is that to the latest request, so far."""

    def __init__(self) -> None:
        self.answer = Answer()
        self._done: asyncio.Future[None] | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and read its answer. Raises Disconnected."""
        self._done = asyncio.get_running_loop().create_future()
        self.answer = Answer()
        self._transport.write(request)
        await self._done
        return self.answer

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self.answer.receive(time.monotonic(), data)
        if self._done is not None and not self._done.done() and self.answer.is_complete:
            self._done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(Disconnected())


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, LOOPBACK, port)
    return connection


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
