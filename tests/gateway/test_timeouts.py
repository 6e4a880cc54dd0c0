from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.timeouts import AHEAD_SECONDS, MANY, NEVER, Timeouts, Waiting, time_limit, timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Clock(asyncio.SelectorEventLoop):
    """A loop whose clock is set by hand, and whose timers run when it is."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Wait(Waiting):
    def __init__(self, loop: Clock) -> None:
        super().__init__()
        self._loop = loop
        self.expired: list[float] = []

    def expire(self) -> None:
        self.expired.append(self._loop.now)
        self.deadline = NEVER


TICK = 1 / 32  # several within AHEAD_SECONDS
STEPS = st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 20))), max_size=30)


@settings(max_examples=300)
@given(STEPS)
def test_each_wait_ends_at_its_own_deadline(steps: list[tuple[int, int | None]]) -> None:
    """Each step sets or clears the deadline of one of five waits; then a tick passes."""
    loop = Clock()

    async def play() -> None:
        timeouts = Timeouts()
        waits = [Wait(loop) for _ in range(5)]
        expected: dict[int, float] = {}
        for which, ticks in [*steps, *[(0, None)] * 25]:
            wait = waits[which]
            expected.pop(which, None)
            wait.deadline = NEVER if ticks is None else loop.now + ticks * TICK
            timeouts.watch(wait)
            if ticks is not None:
                expected[which] = wait.deadline
            loop.now += TICK
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


def test_deadlines_that_move_need_ten_timers_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Clock()
    timers = Mock(wraps=loop.call_at)
    monkeypatch.setattr(loop, "call_at", timers)

    async def play() -> list[Wait]:
        timeouts = Timeouts()
        waits = [Wait(loop) for _ in range(1000)]
        for number, wait in enumerate(waits):
            wait.deadline = 1 + number / 1000
            timeouts.watch(wait)
            wait.deadline += 5
        while loop.now < 4:
            loop.now += 0.001
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        timeouts.stop()
        return waits

    try:
        waits = loop.run_until_complete(play())
    finally:
        loop.close()
    assert not any(wait.expired for wait in waits)
    assert timers.call_count <= 1 / AHEAD_SECONDS + 2


async def test_a_wait_that_fails_to_expire_leaves_the_others_their_timer() -> None:
    class Broken(Waiting):
        def expire(self) -> None:
            self.deadline = NEVER
            raise RuntimeError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    timeouts, broken, following = Timeouts(), Broken(), Mock(wraps=Waiting(), looked_at=NEVER)
    broken.deadline, following.deadline = loop.time() + 0.01, loop.time() + 0.02
    timeouts.watch(broken)
    timeouts.watch(following)
    await asyncio.sleep(0.05)

    timeouts.stop()
    following.expire.assert_called_once()


# As asyncio.timeout


@asynccontextmanager
async def ours(seconds: float) -> AsyncIterator[None]:
    with time_limit(seconds):
        yield


class Failed(Exception):
    pass


async def story(limit: Any, inner: float, outer: float, work: float, *, fails: bool) -> list[str]:
    """What a piece of work with two limits around it comes to, in tenths of a second of the loop's clock."""
    told: list[str] = []
    try:
        async with limit(outer):
            try:
                async with limit(inner):
                    await asyncio.sleep(work)
                    told.append("done")
                    if fails:
                        raise Failed
            except TimeoutError:
                told.append("inner")
                await asyncio.sleep(work)
    except TimeoutError:
        told.append("outer")
    except Failed:
        told.append("failed")
    except asyncio.CancelledError:
        told.append("cancelled")
    task = asyncio.current_task()
    assert task is not None
    return [*told, str(task.cancelling())]


def play(limit: Any, cancel_after: float, *seconds: float, fails: bool) -> list[str]:
    loop = Clock()

    async def run() -> list[str]:
        task = asyncio.create_task(story(limit, *seconds, fails=fails))
        while not task.done():
            if loop.now >= cancel_after and not task.cancelling():
                task.cancel()
            for _ in range(8):
                await asyncio.sleep(0)
            loop.now += 1
        return await task

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


SECONDS = st.integers(1, 6)


@settings(max_examples=300)
@given(SECONDS, SECONDS, SECONDS, st.integers(1, 12), st.booleans())
def test_a_limit_ends_as_asyncios_does(
    inner: int, outer: int, work: int, cancel_after: int, fails: bool
) -> None:
    halves = (inner + 0.5, outer + 0.25, work)

    assert play(ours, cancel_after, *halves, fails=fails) == play(
        asyncio.timeout, cancel_after, *halves, fails=fails
    )


async def test_limits_that_are_over_leave_nothing_behind() -> None:
    for _ in range(20 * MANY):
        with time_limit(1000):
            pass

    timeouts = time_limit(1)
    with timeouts:
        assert len(timeouts._timeouts._due) <= MANY + 1


def test_a_deadline_that_is_past_expires_on_uvloop_too() -> None:
    """uvloop gives a handle without a time then."""

    class Late(Waiting):
        expired = 0

        def expire(self) -> None:
            self.expired += 1
            self.deadline = NEVER

    async def expired() -> tuple[int, int]:
        timeouts, past, following = Timeouts(), Late(), Late()
        past.deadline = timeouts.loop.time() - 1
        timeouts.watch(past)
        following.deadline = timeouts.loop.time() + 0.01
        timeouts.watch(following)
        await asyncio.sleep(0.05)
        return past.expired, following.expired

    loop = pytest.importorskip("uvloop").new_event_loop()
    try:
        assert loop.run_until_complete(expired()) == (1, 1)
    finally:
        loop.close()


async def _own_timeouts() -> Timeouts:
    own = timeouts()
    assert own.loop is asyncio.get_running_loop()
    assert timeouts() is own
    return own


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_each_event_loop_has_timeouts_of_its_own(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    first, second = new_loop(), new_loop()
    try:
        one = first.run_until_complete(_own_timeouts())
        other = second.run_until_complete(_own_timeouts())
        assert one is not other
        first.run_until_complete(_own_timeouts())
    finally:
        first.close()
        second.close()


async def test_a_loop_in_another_thread_has_timeouts_of_its_own() -> None:
    own = await _own_timeouts()

    others = await asyncio.to_thread(asyncio.run, _own_timeouts())

    assert others is not own
    await _own_timeouts()
