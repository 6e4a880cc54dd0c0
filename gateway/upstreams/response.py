"""The interface of an answer to a model call, and the errors of its connection, for every HTTP client."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

ERROR_BODY_BYTES = 256 * 1024


class TransportFailed(Exception):
    """The connection failed or broke."""


class TransportTimedOut(TransportFailed):
    """No data arrived within the timeout."""


class Receiver(Protocol):
    def receive_now(self, data: bytes) -> float:
        """Take bytes of a body that have just arrived. Returns the seconds for which `read` waits on; with 0
        it returns. This is no coroutine."""


class Response(ABC):
    """A response whose headers have arrived; the body is read piece by piece."""

    __slots__ = ()

    status: int
    headers: Mapping[str, str]
    """The headers; names are case-insensitive."""

    @property
    def content_encoding(self) -> str:
        """The Content-Encoding header; "" without one."""
        return self.headers.get("content-encoding", "")

    def forget_headers(self) -> None:  # noqa: B027  # nothing to do for most
        """Drop the headers where that frees memory, because a stream may last for long. They must not be used
        any more."""

    @abstractmethod
    def read(self, timeout_seconds: float) -> Coroutine[Any, Any, bytes]:
        """Return the bytes that have arrived, at least one; b"" at the end, and when a receiver says so.

        Raises TimeoutError when nothing has arrived in that time; no data is lost, and `read` may be called
        again. Raises TransportFailed when the connection breaks.
        """

    def push_to(self, receiver: Receiver) -> None:  # noqa: B027  # not every HTTP client can
        """Give bytes that arrive while `read` waits to `receiver` instead of to `read`, as they arrive, which
        saves the event loop's work of waking a task. `read` gets the last ones. The receiver is called in the
        context of the caller."""

    @property
    @abstractmethod
    def is_at_end(self) -> bool:
        """True when the body has been read to its end: `read` would return b"" at once."""

    @abstractmethod
    def release(self) -> None:
        """Return the connection to the pool, after the body was read to its end. After a first `release` or
        `abort` both do nothing, since another request may use the connection."""

    @abstractmethod
    def abort(self) -> None:
        """Close the connection at once, so that the upstream stops generating."""

    async def read_error_body(self, timeout_seconds: float) -> bytes:
        """Read at most ERROR_BODY_BYTES of an error's body, without what has not arrived within the
        timeout."""
        body = bytearray()
        with suppress(TransportFailed, TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while len(body) < ERROR_BODY_BYTES and (piece := await self.read(timeout_seconds)):
                    body += piece
        return bytes(body[:ERROR_BODY_BYTES])
