"""Time-outs of many waits with one timer of the event loop.

asyncio.timeout starts and cancels a timer for each wait, and nearly all waits end before it. Here a wait only
notes its deadline. The timer runs at the earliest deadline that was noted; if that wait has another deadline
by then, it is looked at again at that one.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math

NEVER = math.inf


class Waiting:
    """Something that waits. Times are those of the event loop's clock."""

    deadline = NEVER
    looked_at = NEVER
    """When `deadline` is compared with the clock next; kept by Timeouts."""

    def expire(self) -> None:
        """Called once the deadline has passed."""


class Timeouts:
    """Used in one event loop, whose running it needs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Waiting]] = []
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiting: Waiting) -> None:
        """Expire it at its deadline. Needed after the deadline has become earlier."""
        if waiting.deadline < waiting.looked_at:
            waiting.looked_at = waiting.deadline
            heapq.heappush(self._due, (waiting.deadline, next(self._order), waiting))
            self._set_timer()

    def stop(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        earliest = self._due[0][0]
        if self._timer is None or earliest < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(earliest, self._look)

    def _look(self) -> None:
        """Expire what is due. The clock may be a moment before the time of the timer."""
        assert self._timer is not None
        now = max(self._loop.time(), self._timer.when())
        self._timer = None
        while self._due and self._due[0][0] <= now:
            at, _, waiting = heapq.heappop(self._due)
            if waiting.looked_at == at:  # else it has an earlier entry
                waiting.looked_at = NEVER
                if waiting.deadline <= now:
                    waiting.expire()
                else:
                    self.watch(waiting)
        if self._due:
            self._set_timer()
