"""Time-outs of many waits with one timer of the event loop.

asyncio.timeout starts and cancels a timer for each wait, and nearly all waits end before it. Here a wait only
notes its deadline. The timer runs at the earliest deadline that was noted; if that wait has another deadline
by then, it is looked at again at that one.

    with time_limit(seconds):       # as asyncio.timeout
        await ...
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from typing import Any

NEVER = math.inf
MANY = 256
AHEAD_SECONDS = 0.1
"""The timer also looks at waits whose turn comes within so many seconds, and notes the later deadlines that
they have by then: thousands of streams, whose deadlines move with each event, need ten timers a second."""


class Waiting:
    """A wait with a deadline. Times are those of the event loop's clock."""

    __slots__ = ("deadline", "looked_at")

    deadline: float
    looked_at: float
    """When the timer compares `deadline` with the clock next; set by Timeouts."""

    def __init__(self) -> None:
        self.deadline = self.looked_at = NEVER

    def expire(self) -> None:
        """Handle the end of the wait; called once the deadline has passed."""


class Timeouts:
    """The deadlines of one event loop, in which the object is made and used."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Waiting]] = []
        self._timer: asyncio.Handle | None = None
        self._timer_at = NEVER
        """The time of `_timer`, which uvloop's handle does not tell when that time has passed: it is no
        TimerHandle then."""
        self._forgotten = 0

    def watch(self, waiting: Waiting) -> None:
        """Have the wait expire at its deadline. Call this again whenever the deadline becomes earlier."""
        if waiting.deadline < waiting.looked_at:
            waiting.looked_at = waiting.deadline
            heapq.heappush(self._due, (waiting.deadline, next(self._order), waiting))
            earliest = self._due[0][0]
            if self._timer is None or earliest < self._timer_at:
                self._set_timer(earliest)

    def forget(self, waiting: Waiting) -> None:
        """Drop a wait that will not be used again. Entries are removed many at a time."""
        waiting.deadline = waiting.looked_at = NEVER
        self._forgotten += 1
        if self._forgotten >= MANY and 2 * self._forgotten > len(self._due):
            self._due = [entry for entry in self._due if entry[2].looked_at == entry[0]]
            heapq.heapify(self._due)
            self._forgotten = 0

    def stop(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self.loop.call_at(at, self._look), at

    def _look(self) -> None:
        """Expire the waits that are due. The clock may still be a moment before the timer's time."""
        now = max(self.loop.time(), self._timer_at)
        try:
            while self._due and self._due[0][0] <= now + AHEAD_SECONDS:
                at, _, waiting = self._due[0]
                is_current = waiting.looked_at == at  # else it has an earlier entry, or none
                if is_current and waiting.deadline <= at and now < at:
                    break
                heapq.heappop(self._due)
                if is_current:
                    self._look_at(waiting, now)
        finally:
            if self._due:
                self._set_timer(self._due[0][0])
            else:
                self._timer = None

    def _look_at(self, waiting: Waiting, now: float) -> None:
        waiting.looked_at = NEVER
        if waiting.deadline <= now:
            waiting.expire()
        else:
            self.watch(waiting)


_latest: Timeouts | None = None


def timeouts() -> Timeouts:
    """Return the Timeouts of the event loop that runs in this thread, which are made at the first call.

    The loop is recognized by its thread and `is_running`, since asyncio.get_running_loop makes a system call
    in Python 3.11. Only the latest loop's are kept: a server has one loop."""
    global _latest
    if _latest is None or _latest.thread_id != threading.get_ident() or not _latest.loop.is_running():
        _latest = Timeouts()
    return _latest


class time_limit(Waiting):  # noqa: N801  # named as asyncio.timeout is
    """A context manager that cancels what the task awaits after so many seconds, and raises TimeoutError in
    place of that cancellation, as asyncio.timeout does."""

    __slots__ = ("_cancelling", "_has_expired", "_seconds", "_task", "_timeouts")

    def __init__(self, seconds: float) -> None:
        self.deadline = self.looked_at = NEVER
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._has_expired = False

    def __enter__(self) -> None:
        if self._seconds == NEVER:
            return
        self._timeouts = timeouts()
        self._task = asyncio.current_task(self._timeouts.loop)
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        self.deadline = self._timeouts.loop.time() + self._seconds
        self._timeouts.watch(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._timeouts.forget(self)
        if self._has_expired:
            is_ours = task.uncancel() <= self._cancelling
            if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError

    def expire(self) -> None:
        if self._task is not None:
            self._has_expired = True
            self._task.cancel()
