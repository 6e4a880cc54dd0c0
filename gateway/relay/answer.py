"""An answer that has begun: its first content has arrived, and the rest arrives while it is read."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Protocol

from accounts.failures import UpstreamError
from gateway.dialects.anthropic.stream_events import WHOLE, one_by_one
from gateway.errors import GatewayError, UpstreamFailed, UpstreamTimedOut
from gateway.google_api.sse import MalformedStream
from gateway.known_settings import known_settings
from gateway.relay.error_policy import Failure, failure_of
from gateway.translation.response.message import MessageCollector
from gateway.translation.response.stream import BrokenAnswer
from gateway.upstreams.transport import Response, TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from accounts.pool.pool import Lease, PooledAccount
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.relay.formats.base import AnswerReader

KEEP_ALIVE_SECONDS = 10.0
FAILURES = (UpstreamError, MalformedStream, BrokenAnswer)
REQUEST_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
WHOLE_ANSWER_BYTES = 64 * 1024 * 1024
"""The most bytes from the upstream of an answer that is kept in memory until it is complete."""


class EventSender(Protocol):
    def send_now(self, events: list[StreamEvent]) -> bool:
        """Send events to the client. Returns False when that is not possible now."""


class Answer:
    """An answer, which begins with `begin`. The caller must `close` it, read or not."""

    __slots__ = (
        "_account",
        "_content_at",
        "_ended",
        "_failure",
        "_failure_at_end",
        "_first",
        "_idle_seconds",
        "_last_sent",
        "_reader",
        "_received_bytes",
        "_response",
        "_returned_events",
        "_sender",
        "_unsent",
        "_was_read_to_its_end",
        "checks_calls",
        "lease",
        "model_id",
        "on_failure",
        "passes_through",
        "stop_reason",
        "upstream_request_id",
        "usage",
        "whole_bytes",
    )

    def __init__(
        self, response: Response, reader: AnswerReader, model_id: str, account: PooledAccount
    ) -> None:
        self.model_id = model_id
        self.lease: Lease | None = None
        self.whole_bytes = b""
        """The message as the upstream sent it; b"" until `message` was called, and when it cannot be passed
        on unchanged."""
        self.on_failure: Callable[[Lease, Failure], Awaitable[None]] | None = None
        """Called with the lease and the upstream's error when the answer fails after its first content."""
        self.upstream_request_id = ""
        """Anthropic's id of the request; "" when the upstream names none."""
        self.usage = reader.usage
        self.passes_through = reader.passes_through
        """True when the upstream uses Anthropic's format, so that its answer is not checked again."""
        self.checks_calls = reader.checks_calls
        """True when the upstream itself answers the requested safety checks."""
        self.stop_reason = ""
        """The stop_reason; "" until the answer has ended without an error."""
        self._account = account
        self._idle_seconds: float = known_settings.UPSTREAM_IDLE_TIMEOUT_SECONDS
        self._response = response
        self._reader = reader
        self._first: list[StreamEvent] | None = None
        """The first events until they are returned."""
        self._returned_events = True
        """False after an empty list was returned last."""
        self._last_sent = self._content_at = 0.0
        """When the events returned last had been sent, and when content arrived last; time.monotonic()."""
        self._sender: EventSender | None = None
        self._unsent: list[StreamEvent] | Exception | None = None
        """Events that `receive_now` could not send, or its failure, for the iterator that waits."""
        self._ended = False
        self._was_read_to_its_end = False
        self._received_bytes = 0
        self._failure: UpstreamError | MalformedStream | BrokenAnswer | None = None
        self._failure_at_end: UpstreamError | MalformedStream | BrokenAnswer | None = None

    async def begin(self) -> None:
        """Read until there is content, so that an earlier failure can still be retried. The time limit is
        UPSTREAM_FIRST_BYTE_TIMEOUT_MS in total, or the one in the account's switches.

        Raises UpstreamError, EmptyAnswer, MalformedStream or TransportFailed; the answer is then closed.
        """
        own_seconds = self._account.switches.first_byte_seconds
        seconds = own_seconds or known_settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS
        now = time.monotonic()
        deadline = now + seconds
        first: list[StreamEvent] = []
        try:
            while not self._ended and not first:
                if self._failure_at_end is not None:
                    raise self._failure_at_end
                first += self._events_in(await self._response.read(deadline - now))
                if self._failure is not None:
                    raise self._failure
                if not first and (now := time.monotonic()) >= deadline:
                    raise TimeoutError  # data without content may arrive for ever
        except TimeoutError as error:
            self.close()
            raise TransportTimedOut(f"no content within {seconds:.0f} s") from error
        except BrokenAnswer as error:
            self.close()
            raise TransportFailed(f"the answer broke off: {error}") from error
        except BaseException:
            self.close()
            raise
        if self.passes_through:
            named = self._response.headers.get("request-id", "")
            self.upstream_request_id = named if REQUEST_ID.fullmatch(named) else ""
        self._first = first
        self._response.forget_headers()

    def batches(self) -> Answer:
        """Return an iterator over the events as they arrive, those that arrived together in one list; an
        empty list after KEEP_ALIVE_SECONDS without any. It is the answer itself, since the event loop would
        keep track of an async generator.

        Raises GatewayError when the upstream fails midway, or sends no content for UPSTREAM_IDLE_TIMEOUT_MS.
        """
        return self

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> list[StreamEvent]:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        now = self._last_sent = time.monotonic()
        if self._returned_events:
            self._content_at = now  # a slow reader is not an idle upstream
        while not self._ended:
            wait_until = min(self._idle_ends_at, self._last_sent + KEEP_ALIVE_SECONDS)
            try:
                if (failure := self._failure or self._failure_at_end) is not None:
                    raise failure
                data = await self._response.read(wait_until - now)
                # Without data when `receive_now` has taken it.
                events = self._events_in(data) if self._unsent is None else self._take_unsent()
            except TimeoutError:
                if self._idle_ends_at <= self._last_sent + KEEP_ALIVE_SECONDS:
                    raise self._silence() from None
                self._returned_events = False
                return []
            except UpstreamError as error:
                raise await self._error_after_content(error) from error
            except (MalformedStream, TransportFailed, BrokenAnswer) as error:
                raise UpstreamFailed(f"The answer broke off: {error}.") from error
            now = time.monotonic()
            self._note_content(events, now)
            # Bytes without an event, such as comments, do not reach the client, which then needs a ping.
            if events or now - self._last_sent >= KEEP_ALIVE_SECONDS:
                self._returned_events = bool(events)
                return events
        raise StopAsyncIteration

    def push_to(self, sender: EventSender) -> None:
        """Give events that arrive while the iterator waits to the sender, without waking the task that waits.
        The iterator returns those that the sender cannot send now, and whatever is not only content: the end,
        a failure, bytes without an event. An HTTP client may be unable to do this; then the iterator returns
        everything."""
        self._sender = sender
        self._response.push_to(self)

    def receive_now(self, data: bytes) -> float:
        """Send the events in bytes that have just arrived. Returns the seconds until a ping or the end of the
        model's silence is due; 0 when the iterator has to go on."""
        try:
            events = self._events_before_end(data)
            self._unsent = events
            if (
                events
                and self._reader.has_content
                and not (self._ended or self._failure or self._failure_at_end)
                and self._sender is not None
                and self._sender.send_now(events)
            ):
                self._unsent = None
                self._returned_events = True
                self._last_sent = self._content_at = time.monotonic()
                idle = self._idle_seconds
                return idle if idle < KEEP_ALIVE_SECONDS else KEEP_ALIVE_SECONDS  # noqa: FURB136
        except Exception as error:  # for the task that reads
            self._unsent = error
        return 0.0

    def _take_unsent(self) -> list[StreamEvent]:
        unsent, self._unsent = self._unsent, None
        if isinstance(unsent, Exception):
            raise unsent
        return unsent or []

    @property
    def _idle_ends_at(self) -> float:
        return self._content_at + self._idle_seconds

    def _note_content(self, events: list[StreamEvent], now: float) -> None:
        """Note when content arrived. Comments, empty lines and usage do not count as content, since they
        could come for ever. Raises GatewayError when there was none for too long."""
        if self._reader.has_content:
            self._content_at = now
        elif not events and self._failure is None and now >= self._idle_ends_at:
            raise self._silence()

    def _silence(self) -> UpstreamTimedOut:
        return UpstreamTimedOut(f"The model sent nothing for {self._idle_seconds:.3g} s.")

    async def aclose(self) -> None:
        """Do nothing: `close` ends the answer."""

    async def _error_after_content(self, error: UpstreamError) -> GatewayError:
        failure = failure_of(error)
        if self.on_failure is not None and self.lease is not None:
            await self.on_failure(self.lease, failure)
        return failure.as_error(self._account, "The answer broke off")

    @property
    def has_ended(self) -> bool:
        """True when all events have been returned, or are in the batch returned last."""
        return self._ended and not self._first

    @property
    def may_call_tools(self) -> bool:
        """True when the request declares tools of the client."""
        return self._reader.declares_tools

    @property
    def grounding_metadata(self) -> dict[str, Any]:
        """Google's groundingMetadata, if sources are needed; complete at the end of the answer."""
        return self._reader.grounding_metadata

    async def hold(self, max_characters: int) -> list[StreamEvent]:
        """Read all events without sending any. `set_events` then sets the events to send. Raises
        GatewayError."""
        held: list[StreamEvent] = []
        size = 0
        async for events in self.batches():
            events = [*one_by_one(events)]
            held += events
            size += sum(map(_characters_in, events))
            if size > max_characters or self._received_bytes > WHOLE_ANSWER_BYTES:
                raise UpstreamFailed(f"The answer has more than {max_characters:,} characters.")
        return held

    def set_events(self, events: list[StreamEvent]) -> None:
        """Set the events to send, for an answer that was read with `hold`."""
        self._first = events

    async def message(self) -> dict[str, Any]:
        """Read the whole message, for a request without streaming. Raises GatewayError."""
        collector = MessageCollector()
        async for events in self.batches():
            if self._received_bytes > WHOLE_ANSWER_BYTES:
                limit = WHOLE_ANSWER_BYTES // (1024 * 1024)
                raise UpstreamFailed(f"The answer is larger than {limit} MiB. Ask for it as a stream.")
            for event in events:
                collector.add(event)
                if event["type"] == WHOLE:
                    self.whole_bytes = event["data"]
        return collector.message()

    def close(self) -> None:
        """Release the account and the connection. A connection whose answer was read to its end is kept for
        the next request; any other is closed, so that the upstream stops generating."""
        self._sender = None  # it belongs to an object that refers to this answer
        if self._was_read_to_its_end:
            self._response.release()
        else:
            self._response.abort()
        if self.lease is not None:
            if self.lease.counts_tokens:
                self.lease.count_tokens(self._limited_tokens)
            self.lease.release()

    @property
    def _limited_tokens(self) -> int:
        """The tokens of the prompt that count against a limit. Anthropic does not count those read from its
        cache (accounts/anthropic/limits.py)."""
        cached = self.usage.cached_tokens if self.passes_through else 0
        return max(0, (self.usage.prompt_tokens or 0) - (cached or 0))

    def _events_in(self, data: bytes) -> list[StreamEvent]:
        """Return the events in what `read` returned, with the final ones when it was the upstream's last.
        Returns those before a failure; the caller raises it afterwards. This is no coroutine, which would
        take memory for as long as the upstream is silent."""
        events = self._events_before_end(data)
        if not (self._ended or self._failure) and self._response.is_at_end:
            self._read_end(events)
        return events

    def _events_before_end(self, data: bytes) -> list[StreamEvent]:
        self._received_bytes += len(data)
        events: list[StreamEvent] = []
        self._reader.has_content = False
        try:
            events += self._reader.receive(data)
            if not data or self._reader.is_complete:
                self._end(events, was_read_to_its_end=not data)
        except FAILURES as error:
            self._failure = error.with_traceback(None)  # whose frames hold this answer
        return events

    def _read_end(self, events: list[StreamEvent]) -> None:
        """Append the final events to `events`, when the upstream's answer ended in the same read. If the end
        is malformed or missing, the failure is kept for the next read, so that `events` are sent first."""
        try:
            events += self._reader.receive(b"")
            self._end(events, was_read_to_its_end=True)
        except FAILURES as error:
            self._failure_at_end = error.with_traceback(None)

    def _end(self, events: list[StreamEvent], *, was_read_to_its_end: bool) -> None:
        events += self._reader.close()
        self._ended, self._was_read_to_its_end = True, was_read_to_its_end
        self.stop_reason = self._reader.stop_reason


def _characters_in(event: StreamEvent) -> int:
    delta = event.get("delta") or {}
    return sum(len(value) for value in delta.values() if isinstance(value, str))
