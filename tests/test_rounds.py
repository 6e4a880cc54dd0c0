"""Six equal rounds of 800 mixed requests, with clients that hang up and an upstream that fails."""

from __future__ import annotations

import pytest

from benchmarks import rounds
from benchmarks.rounds import SETTLED_AFTER, Round


@pytest.fixture(scope="module")
def measured() -> list[Round]:
    """What the gateway holds at rest after each round."""
    return rounds.measure()


def test_each_request_is_answered_as_it_should_be(measured: list[Round]) -> None:
    assert [one.requests for one in measured] == [800] * 6
    assert [wrong for one in measured for wrong in one.wrong] == []


def test_descriptors_do_not_grow(measured: list[Round]) -> None:
    settled = measured[SETTLED_AFTER - 1]

    # A connection may just be closing when a round is measured; what leaks stays.
    assert min(one.descriptors for one in measured[SETTLED_AFTER:]) <= settled.descriptors


def test_memory_stays_flat(measured: list[Round]) -> None:
    assert rounds.growth_a_round(measured) < 0.01, rounds.as_text(measured)
