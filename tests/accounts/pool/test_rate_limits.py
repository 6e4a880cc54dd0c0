"""Learned limits of a minute, and what is left of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.failures import LIMITS, QuotaLimit
from accounts.pool.rate_limits import FORGET_AFTER_SECONDS, RateLimits

KEY = (1, "gemini-2.5-flash:gemini")
OTHER = (2, KEY[1])


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_limit(subject: str, value: int | None, period: str = "minute") -> QuotaLimit:
    return QuotaLimit(subject, period, value)


def limited(clock: Clock, *limits: QuotaLimit) -> RateLimits:
    rates = RateLimits(clock)
    rates.learn(KEY, limits)
    return rates


def wait(rates: RateLimits, clock: Clock) -> float | None:
    cooldown = rates.cooldown(KEY)
    return None if cooldown is None else cooldown.until - clock.now


def test_nothing_is_counted_before_a_limit_is_known(clock: Clock) -> None:
    rates = RateLimits(clock)
    rates.count(KEY, requests=1)

    assert not rates.uses
    assert rates.cooldown(KEY) is None


def test_the_last_request_below_the_limit_fills_it(clock: Clock) -> None:
    rates = limited(clock, a_limit("requests", 2))

    rates.count(KEY, requests=1)
    first = wait(rates, clock)
    clock.now += 10
    rates.count(KEY, requests=1)

    assert (first, wait(rates, clock)) == (None, 50)
    assert rates.cooldown(OTHER) is None
    clock.now += 50
    assert wait(rates, clock) is None


def test_tokens_wait_until_enough_are_older_than_a_minute(clock: Clock) -> None:
    rates = limited(clock, a_limit("input_tokens", 100))

    for amount in (30, 30, 90):
        rates.count(KEY, input_tokens=amount)
        clock.now += 10

    assert wait(rates, clock) == 40  # without the first two 90 are left


def test_the_limit_that_lasts_longest_decides(clock: Clock) -> None:
    rates = limited(clock, a_limit("requests", 1), a_limit("input_tokens", 100))
    rates.count(KEY, requests=1)
    clock.now += 20
    rates.count(KEY, input_tokens=500)

    cooldown = rates.cooldown(KEY)

    assert cooldown is not None
    assert cooldown.reason == "learned limit of 100 input tokens a minute"
    assert cooldown.kind in LIMITS
    assert cooldown.until == clock.now + 60


def test_only_limits_of_a_minute_are_learned(clock: Clock) -> None:
    rates = limited(
        clock,
        a_limit("requests", 20, "day"),
        a_limit("requests", None),
        a_limit("output_tokens", 5),
        a_limit("input_tokens", 500),
        a_limit("input_tokens", 400),
    )

    assert rates.learned(KEY) == {"input_tokens": 400}


def test_another_limit_replaces_the_one_before(clock: Clock) -> None:
    rates = limited(clock, a_limit("requests", 1))
    rates.count(KEY, requests=1)

    rates.learn(KEY, [a_limit("requests", 10)])

    assert rates.learned(KEY) == {"requests": 10}
    assert rates.cooldown(KEY) is None


def test_an_old_limit_is_forgotten(clock: Clock) -> None:
    rates = limited(clock, a_limit("requests", 1))
    clock.now += FORGET_AFTER_SECONDS + 1
    rates.count(KEY, requests=1)

    assert rates.cooldown(KEY) is None
    assert not rates.uses


@settings(max_examples=300)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=30), st.integers(1, 100))
def test_there_is_room_when_the_wait_is_over(used: list[tuple[float, int]], limit: int) -> None:
    clock = Clock()
    rates = limited(clock, a_limit("input_tokens", limit))
    for pause, amount in used:
        clock.now += pause
        rates.count(KEY, input_tokens=amount)

    cooldown = rates.cooldown(KEY)

    if cooldown is not None:
        assert clock.now < cooldown.until <= clock.now + 60
        clock.now = cooldown.until
        assert rates.cooldown(KEY) is None
