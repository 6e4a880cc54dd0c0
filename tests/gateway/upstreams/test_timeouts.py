from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import Mock

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstreams.timeouts import NEVER, Timeouts, Waiting

if TYPE_CHECKING:
    import pytest


class Clock(asyncio.SelectorEventLoop):
    """A loop whose clock is set by hand, and whose timers run when it is."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Wait(Waiting):
    def __init__(self, loop: Clock) -> None:
        self._loop = loop
        self.expired: list[float] = []

    def expire(self) -> None:
        self.expired.append(self._loop.now)
        self.deadline = NEVER


STEPS = st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 20))), max_size=30)


@settings(max_examples=300)
@given(STEPS)
def test_each_wait_ends_at_its_own_deadline(steps: list[tuple[int, int | None]]) -> None:
    """Each step sets or clears the deadline of one of five waits; then a second passes."""
    loop = Clock()

    async def play() -> None:
        timeouts = Timeouts()
        waits = [Wait(loop) for _ in range(5)]
        expected: dict[int, float] = {}
        for which, seconds in [*steps, *[(0, None)] * 25]:
            wait = waits[which]
            expected.pop(which, None)
            wait.deadline = NEVER if seconds is None else loop.now + seconds
            timeouts.watch(wait)
            if seconds is not None:
                expected[which] = wait.deadline
            loop.now += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for one, at in list(expected.items()):
                if at <= loop.now:
                    assert waits[one].expired[-1] == loop.now
                    del expected[one]
                else:
                    assert waits[one].deadline == at
        timeouts.stop()

    try:
        loop.run_until_complete(play())
    finally:
        loop.close()


async def test_one_timer_serves_all_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers = Mock(wraps=loop.call_at)
    monkeypatch.setattr(loop, "call_at", timers)
    timeouts = Timeouts()

    for number in range(100):
        wait = Waiting()
        wait.deadline = loop.time() + 10 + number
        timeouts.watch(wait)
        wait.deadline += 10
        timeouts.watch(wait)

    timeouts.stop()
    assert timers.call_count == 1
