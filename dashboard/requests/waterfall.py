"""What was tried for a request, as bars on one scale of time. Pure.

The scale ends at the first event, since that is what people mean by slow: a stream of 41 seconds would press
the attempts of the first one into a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard.charts.shapes import Tick, round_steps
from gateway.ledger.record import ANSWERED, HUNG_UP
from gateway.relay.error_messages import NOTICEABLE_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.models import RequestAttempt, RequestLog

WIDTH = 1000.0
LEAST_WIDTH = 2.0

Kind = Literal[
    "waited", "failed", "until first event", "stream", "broken stream", "in line", "in flight", "not recorded"
]
"""The kinds of time. waited: before an attempt, in the queue or for a limit to end. in line: outside of all
attempts, though all are known. in flight: attempts that the ledger does not have yet, since the request has
not ended. not recorded: attempts of a request whose server stopped."""


class Segment(NamedTuple):
    """Part of the request's time, in seconds since its start, and where it is drawn on a width of WIDTH."""

    kind: Kind
    start: float
    end: float
    x: float
    width: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Row:
    """An attempt, or a time between attempts. Segments that begin beyond the scale are left out; `goes_on` is
    True when the row lasts longer than the scale."""

    attempt: RequestAttempt | None
    kind: Kind
    """The kind of segment for the time after the wait and before the stream."""
    segments: tuple[Segment, ...]
    goes_on: bool
    waited_seconds: float
    took_seconds: float
    stream_seconds: float | None
    """The seconds of the stream; None without a first event."""

    @property
    def drawn_seconds(self) -> float:
        """The seconds that the bar shows: those to the first event when the stream is not drawn."""
        return self.took_seconds - (self.stream_seconds or 0.0 if self.goes_on else 0.0)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The chart. `seconds` is the time that the width stands for; `can_be_whole` is True when some part lies
    beyond it."""

    rows: tuple[Row, ...]
    seconds: float
    ticks: tuple[Tick, ...]
    can_be_whole: bool


class _Part(NamedTuple):
    kind: Kind
    start: float
    end: float


class _Track(NamedTuple):
    """A row whose scale is not known yet."""

    attempt: RequestAttempt | None
    parts: list[_Part]


def waterfall(
    request: RequestLog, attempts: Sequence[RequestAttempt], *, whole: bool = False, age: float | None = None
) -> Waterfall:
    """Return the bars of `attempts`, in their order, and of the times outside of all attempts. With `whole`
    the scale ends with the request instead of its first event. `age` is how many seconds ago a request that
    is still open began."""
    first_event = request.first_event_seconds
    tracks = list(_tracks(request, attempts, first_event, age))
    last = max((part.end for track in tracks for part in track.parts), default=0.0)
    end = last if whole or first_event is None else min(last, first_event)
    ticks = [step for step in round_steps(end, whole=False) if step <= end]
    return Waterfall(
        tuple(_row(track, end) for track in tracks),
        end,
        tuple(Tick(step, _place(step, end)) for step in ticks) if end > 0 else (),
        can_be_whole=first_event is not None and last > first_event,
    )


def _tracks(
    request: RequestLog, attempts: Sequence[RequestAttempt], first_event: float | None, age: float | None
) -> Iterator[_Track]:
    gap, end, at = _gap_of(request, attempts), _end_of(request, age), 0.0
    for number, attempt in enumerate(attempts, 1):
        start = max(at, (attempt.started_at - request.started_at).total_seconds())
        waited_from = max(at, start - attempt.waited_seconds)
        yield from _gap(gap, at, waited_from)
        is_open = request.duration_seconds is None and not attempt.reason
        at = max(start, end) if is_open else start + max(0.0, attempt.took_seconds)
        is_last = number == len(attempts)
        parts = _parts_of(request, attempt, start, at, first_event, is_last=is_last)
        yield _Track(attempt, [*_some(_Part("waited", waited_from, start)), *parts])
    yield from _gap(gap, at, end)


def _end_of(request: RequestLog, age: float | None) -> float:
    """Return when the request ended, in seconds since its start; for an open one the present. The last known
    time of an interrupted one is its first event."""
    if request.problem == request.INTERRUPTED and request.duration_seconds is None:
        return request.first_event_seconds or 0.0
    return (age if request.duration_seconds is None else request.duration_seconds) or 0.0


def _gap_of(request: RequestLog, attempts: Sequence[RequestAttempt]) -> Kind:
    if request.problem == request.INTERRUPTED:
        return "not recorded"
    return "in line" if len(attempts) >= request.attempts else "in flight"


def _parts_of(
    request: RequestLog,
    attempt: RequestAttempt,
    start: float,
    end: float,
    first_event: float | None,
    *,
    is_last: bool,
) -> list[_Part]:
    has_failed = attempt.reason not in {"", ANSWERED} and not (is_last and request.problem == HUNG_UP)
    if first_event is not None and start <= first_event and (is_last or first_event <= end):
        begun = min(first_event, end)
        stream: Kind = "broken stream" if has_failed else "stream"
        return [_Part("until first event", start, begun), *_some(_Part(stream, begun, end))]
    return [_Part("failed" if has_failed else "until first event", start, end)]


def _gap(kind: Kind, start: float, end: float) -> Iterator[_Track]:
    if end - start >= NOTICEABLE_WAIT_SECONDS:
        yield _Track(None, [_Part(kind, start, end)])


def _some(part: _Part) -> Iterator[_Part]:
    if part.end > part.start:
        yield part


def _row(track: _Track, end: float) -> Row:
    seconds = {part.kind: part.end - part.start for part in track.parts}
    waited = seconds.pop("waited", 0.0)
    drawn = [part for part in track.parts if part.start < end or part.start == part.end <= end]
    return Row(
        track.attempt,
        kind=next(iter(seconds)),
        segments=tuple(_segment(part, end) for part in drawn),
        goes_on=track.parts[-1].end > end,
        waited_seconds=waited,
        took_seconds=sum(seconds.values()),
        stream_seconds=seconds.get("stream", seconds.get("broken stream")),
    )


def _segment(part: _Part, end: float) -> Segment:
    x = min(_place(part.start, end), WIDTH - LEAST_WIDTH)
    width = max(LEAST_WIDTH, _place(min(part.end, end), end) - x)
    return Segment(part.kind, part.start, part.end, round(x, 2), round(width, 2))


def _place(seconds: float, end: float) -> float:
    return round(seconds / end * WIDTH, 2) if end > 0 else 0.0
