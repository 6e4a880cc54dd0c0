"""A message that has begun: its first content is there, the rest arrives while it is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.failures import UpstreamError
from gateway.errors import GatewayError, UpstreamFailed, UpstreamTimedOut
from gateway.google_api.content import has_content
from gateway.google_api.sse import ChunkReader, MalformedStream
from gateway.relay.error_policy import Failure, failure_of
from gateway.translation.response.message import MessageCollector
from gateway.translation.response.stream import BrokenAnswer, MessageStream
from gateway.upstreams.transport import Response, TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from accounts.pool.pool import Lease, PooledAccount
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.translation.response.usage import TokenUsage

KEEP_ALIVE_SECONDS = 10.0
WHOLE_ANSWER_BYTES = 64 * 1024 * 1024
"""Of the upstream's bytes, for an answer that is kept in memory until it is complete."""


class Answer:
    """Made by `begin`; whoever holds one must `close` it, read or not."""

    def __init__(
        self, response: Response, stream: MessageStream, model_id: str, account: PooledAccount
    ) -> None:
        self.model_id = model_id
        self.lease: Lease | None = None
        self.on_failure: Callable[[Failure], Awaitable[None]] = _forget
        """Called with an error of the upstream's in the middle of the answer."""
        self._account = account
        self._response = response
        self._stream = stream
        self._reader = ChunkReader()
        self._first: list[StreamEvent] = []
        self._ended = False
        self._was_read_to_its_end = False
        self._received_bytes = 0
        self._content_at = time.monotonic()
        """When something of the answer came last. Comments, empty lines and usage could come for ever."""
        self._failure: UpstreamError | MalformedStream | BrokenAnswer | None = None

    @classmethod
    async def begin(
        cls, response: Response, stream: MessageStream, model_id: str, account: PooledAccount
    ) -> Answer:
        """Reads until there is content, so that whatever fails before can still be tried elsewhere; for at
        most UPSTREAM_FIRST_BYTE_TIMEOUT_MS in total.

        Raises UpstreamError, EmptyAnswer, MalformedStream or TransportFailed.
        """
        answer = cls(response, stream, model_id, account)
        try:
            await answer._read_first_content(settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS)
        except BaseException:
            answer.close()
            raise
        return answer

    async def batches(self) -> AsyncGenerator[list[StreamEvent]]:
        """Events as they arrive, those that came together in one list; an empty one after ten silent seconds.

        Raises GatewayError when the upstream fails on the way, or sends nothing of the answer for
        UPSTREAM_IDLE_TIMEOUT_MS.
        """
        first, self._first = self._first, []
        yield first
        del first  # a stream may be held open for long: what has been sent is not kept
        last_sent = self._content_at = time.monotonic()
        while not self._ended:
            idle_ends_at = self._idle_ends_at
            wait_until = min(last_sent + KEEP_ALIVE_SECONDS, idle_ends_at)
            try:
                self._raise_failure()
                events = await self._next_events(wait_until - time.monotonic())
            except TimeoutError:
                if wait_until == idle_ends_at:
                    raise _silence() from None
                yield []
                last_sent = time.monotonic()
            except UpstreamError as error:
                raise await self._error_after_content(error) from error
            except (MalformedStream, TransportFailed, BrokenAnswer) as error:
                raise UpstreamFailed(f"The answer broke off: {error}.") from error
            else:
                now = time.monotonic()
                if not events and self._failure is None and now >= self._idle_ends_at:
                    raise _silence()
                # Bytes without an event, comments for example, tell the client nothing: it needs a ping, too.
                if events or now - last_sent >= KEEP_ALIVE_SECONDS:
                    yield events
                    last_sent = time.monotonic()
                    if events:
                        self._content_at = last_sent  # a slow reader is no silence of the upstream
                del events

    @property
    def _idle_ends_at(self) -> float:
        seconds: float = settings.UPSTREAM_IDLE_TIMEOUT_SECONDS
        return self._content_at + seconds

    async def _error_after_content(self, error: UpstreamError) -> GatewayError:
        failure = failure_of(error)
        await self.on_failure(failure)
        return failure.as_error(self._account, "The answer broke off")

    @property
    def stop_reason(self) -> str:
        """Empty until it has ended well."""
        return self._stream.stop_reason if self._ended else ""

    @property
    def may_call_tools(self) -> bool:
        """Of the client."""
        return self._stream.declares_tools

    @property
    def grounding_metadata(self) -> dict[str, Any]:
        """Google's, where sources are wanted: complete at the end of the answer."""
        return self._stream.grounding_metadata

    @property
    def usage(self) -> TokenUsage:
        return self._stream.usage

    async def hold(self, max_characters: int) -> list[StreamEvent]:
        """All events; none of them leaves before ``say`` has been told which. Raises GatewayError."""
        held: list[StreamEvent] = []
        size = 0
        async for events in self.batches():
            held += events
            size += sum(map(_characters_in, events))
            if size > max_characters or self._received_bytes > WHOLE_ANSWER_BYTES:
                raise UpstreamFailed(f"The answer has more than {max_characters:,} characters.")
        return held

    def say(self, events: list[StreamEvent]) -> None:
        """What leaves of an answer that was held."""
        self._first = events

    async def message(self) -> dict[str, Any]:
        """The whole message, for a client that did not ask for a stream. Raises GatewayError."""
        collector = MessageCollector()
        async for events in self.batches():
            if self._received_bytes > WHOLE_ANSWER_BYTES:
                limit = WHOLE_ANSWER_BYTES // (1024 * 1024)
                raise UpstreamFailed(f"The answer is larger than {limit} MiB. Ask for it as a stream.")
            for event in events:
                collector.add(event)
        return collector.message()

    def close(self) -> None:
        """A finished connection is kept for the next request; any other is closed at once, so that the
        upstream stops working for nobody. The account is given back."""
        if self._was_read_to_its_end:
            self._response.release()
        else:
            self._response.abort()
        if self.lease is not None:
            self.lease.release()

    async def _read_first_content(self, first_byte_seconds: float) -> None:
        deadline = time.monotonic() + first_byte_seconds
        try:
            while not self._ended and not self._first:
                self._first += await self._next_events(deadline - time.monotonic())
                self._raise_failure()
                if not self._first and time.monotonic() >= deadline:
                    raise TimeoutError  # whatever drips
        except TimeoutError as error:
            raise TransportTimedOut(f"no content within {first_byte_seconds:.0f} s") from error
        except BrokenAnswer as error:
            raise TransportFailed(f"the answer broke off: {error}") from error

    async def _next_events(self, timeout_seconds: float) -> list[StreamEvent]:
        """What came before a failure is handed out first; `_raise_failure` follows with the rest."""
        data = await self._response.read(timeout_seconds)
        self._received_bytes += len(data)
        events: list[StreamEvent] = []
        try:
            for chunk in self._reader.receive(data) if data else self._reader.close():
                events += self._stream.receive(chunk)
                if events or has_content(chunk):
                    self._content_at = time.monotonic()
            if not data or self._stream.is_complete:
                events += self._stream.close()
                self._ended, self._was_read_to_its_end = True, not data
        except (UpstreamError, MalformedStream, BrokenAnswer) as error:
            self._failure = error.with_traceback(None)  # whose frames hold this answer
        return events

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _silence() -> UpstreamTimedOut:
    seconds = settings.UPSTREAM_IDLE_TIMEOUT_SECONDS
    return UpstreamTimedOut(f"The model sent nothing for {seconds:.3g} s.")


def _characters_in(event: StreamEvent) -> int:
    delta = event.get("delta") or {}
    return sum(len(value) for value in delta.values() if isinstance(value, str))


async def _forget(failure: Failure) -> None:
    """Before the answer belongs to a lease."""
