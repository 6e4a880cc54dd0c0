"""The tournament finds what going through all limits at each step finds."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.quota import depletion
from accounts.quota.depletion import NOTHING, Running, empty_at

if TYPE_CHECKING:
    from collections.abc import Iterable

HOURS = 200.0
SPANS = ("5h", "weekly")


def step_by_step(limits: list[Running], last_reset: float) -> float | None:
    at = 0.0
    while ready := burning(limits):
        until = min(one.reset_at for one in limits)
        until = min([until, *(at + one.remaining / rate for one, rate in ready if rate)])
        if until >= last_reset:
            return None
        for one, rate in ready:
            one.remaining -= rate * (until - at)
        for one in limits:
            if one.reset_at <= until:
                one.remaining, one.reset_at = 1.0, math.inf
        at = until
    return at


def burning(limits: list[Running]) -> list[tuple[Running, float]]:
    empty = {one.account for one in limits if one.remaining <= NOTHING}
    ready = [one for one in limits if one.account not in empty]
    count = len({one.account for one in ready}) or 1
    handed_over = {
        span: sum(one.rate for one in limits if one.account in empty and one.span == span) / count
        for span in SPANS
    }
    return [(one, one.rate + handed_over[one.span]) for one in ready]


def running(accounts: Iterable[dict[str, tuple[float, float, float]]]) -> list[Running]:
    return [
        Running(number, span, remaining, rate, reset_at)
        for number, limits in enumerate(accounts)
        for span, (remaining, rate, reset_at) in limits.items()
    ]


fractions = st.floats(0.001, 1) | st.just(0.0)
resets = st.floats(0.001, HOURS) | st.just(math.inf)
limits_of_accounts = st.lists(
    st.dictionaries(st.sampled_from(SPANS), st.tuples(fractions, fractions, resets)), max_size=10
)


@given(limits_of_accounts)
@settings(max_examples=300)
def test_it_finds_what_small_steps_find(accounts: list[dict[str, tuple[float, float, float]]]) -> None:
    limits = running(accounts)
    others = [replace(one) for one in limits]

    expected, found = step_by_step(limits, HOURS), empty_at(others, HOURS)

    assert found == (expected if expected is None else pytest.approx(expected))
    if expected is not None:
        assert [one.remaining for one in others] == pytest.approx([one.remaining for one in limits])
        assert [one.reset_at for one in others] == [one.reset_at for one in limits]


def test_many_accounts_take_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    winner = depletion._Tournament._winner

    def counted(self: depletion._Tournament, one: int, other: int, now: float) -> tuple[int, float]:
        nonlocal calls
        calls += 1
        return winner(self, one, other, now)

    monkeypatch.setattr(depletion._Tournament, "_winner", counted)
    choice = random.Random(16)

    def comparisons(accounts: int, hours: float) -> int:
        nonlocal calls
        calls = 0
        limits = running(
            {span: (choice.random(), choice.random() / 2, choice.random() * HOURS) for span in SPANS}
            for _ in range(accounts)
        )
        empty_at(limits, hours)
        return calls

    few, many = comparisons(100, HOURS), comparisons(800, HOURS)
    assert many < few * 8 * 2  # 64 times as many when each step goes through all
    assert comparisons(800, 0.0) < 800 * len(SPANS)  # before any time has passed
