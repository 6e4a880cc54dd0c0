"""The updates that wait for one socket: bounded, merged by id, and sent no faster than the page draws them.
Pure.

Times are seconds on a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from dashboard.live.protocol import LEVELS, Changed, Delta, Row, Snapshot, Update, Watch, is_newer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dashboard.live.protocol import Totals

UPDATE_SECONDS, SLOWEST_UPDATE_SECONDS = 0.2, 1.0
UPDATES_A_SECOND = 20
"""The most updates a second to all sockets of a process together. One with its acknowledgement takes a tenth
of the time of a small request."""
WAITING_ROWS = 200
WAITING_LINES = 1_000
UPDATE_ROWS = 60
UPDATE_LINES = 200
CHANGED_SECONDS = 2.0
"""The shortest time between two messages about changes."""


def seconds_between_updates(sockets: int) -> float:
    """Return the shortest time between two updates of one socket, for this number of sockets."""
    return min(max(UPDATE_SECONDS, sockets / UPDATES_A_SECOND), SLOWEST_UPDATE_SECONDS)


class WaitingLine(NamedTuple):
    number: int
    """The line's number in the ring of this process; 0 for a line of another process."""
    level: str
    text: bytes


class Outbox:
    def __init__(self) -> None:
        self.watch = Watch()
        self.misses_rows = False
        """True when rows were left out since the last snapshot, so that another one is due."""
        self._matches: Callable[[Row], bool] | None = None
        self._is_watching = self._awaits_snapshot = False
        self._snapshot: Snapshot | None = None
        self._rows: dict[str, tuple[Row, bytes]] = {}
        self._lines: deque[WaitingLine] = deque()
        self._ring_until = 0
        """The number of the last line of this process that a snapshot had."""
        self._more = self._skipped = 0
        self._totals: Totals = {}
        self._has_new_totals = False
        self._changed: set[str] = set()
        self._changed_at = -CHANGED_SECONDS

    def begin(self, watch: Watch, matches: Callable[[Row], bool] | None) -> None:
        """Watch something else: drop what waits, and have a snapshot made. Without `matches` there is no
        filter."""
        self.watch, self._matches = watch, matches
        self._is_watching = self._awaits_snapshot = True
        self._snapshot = None
        self._rows.clear()
        self._lines.clear()
        self._more = self._skipped = 0

    # Events that arrive

    def put_snapshot(self, snapshot: Snapshot, ring_until: int = 0) -> None:
        """Put a snapshot. `ring_until` is the number of the newest log line in it."""
        self._awaits_snapshot = False
        self._snapshot, self._totals = snapshot, snapshot.totals
        self.misses_rows = False
        self._ring_until = ring_until
        waiting, self._lines = self._lines, deque()
        self.put_lines(waiting)

    def put_rows(self, rows: Iterable[tuple[Row, bytes]]) -> None:
        if "requests" not in self.watch.topics:
            return
        matches, waiting = self._matches, self._rows
        for row, text in rows:
            known = waiting.get(row.id)
            if (matches is None or matches(row)) and (known is None or is_newer(row, known[0])):
                waiting[row.id] = (row, text)
        while len(self._rows) > WAITING_ROWS:
            del self._rows[next(iter(self._rows))]
            self._more += 1
            self.misses_rows = True

    def put_lines(self, lines: Iterable[WaitingLine]) -> None:
        if "log" not in self.watch.topics:
            return
        lowest, until = LEVELS[self.watch.level], self._ring_until
        self._lines.extend(
            line
            for line in lines
            if LEVELS.get(line.level, lowest) >= lowest and not 0 < line.number <= until
        )
        while len(self._lines) > WAITING_LINES:
            self._lines.popleft()
            self._skipped += 1

    def put_totals(self, totals: Totals) -> None:
        self._has_new_totals |= self._is_watching and totals != self._totals
        self._totals = totals

    def put_changed(self, what: Iterable[str]) -> None:
        if self._is_watching:
            self._changed.update(what)

    # Updates for the page

    def due_in(self, now: float) -> float | None:
        """Return the seconds until the next update may be sent; None when there is none, and while a snapshot
        is being made."""
        if self._awaits_snapshot:
            return None
        if self._snapshot is not None or self._rows or self._lines or self._has_new_totals:
            return 0.0
        return max(0.0, self._changed_at + CHANGED_SECONDS - now) if self._changed else None

    def take(self, now: float) -> Update | None:
        """Take the next update out."""
        if self._snapshot is not None:
            taken, self._snapshot, self._has_new_totals = self._snapshot, None, False
            return taken
        if self._changed and now - self._changed_at >= CHANGED_SECONDS:
            what, self._changed, self._changed_at = frozenset(self._changed), set(), now
            return Changed(what)
        return self._take_delta()

    def _take_delta(self) -> Delta | None:
        if not (self._rows or self._lines or self._has_new_totals):
            return None
        rows = [self._rows.pop(key)[1] for key in list(self._rows)[-UPDATE_ROWS:]]
        self._skipped += max(0, len(self._lines) - UPDATE_LINES)
        lines = [line.text for line in self._lines][-UPDATE_LINES:]
        self._lines.clear()
        delta = Delta(rows, self._more, self._totals, lines, self._skipped)
        self._more, self._skipped, self._has_new_totals = 0, 0, False
        return delta
