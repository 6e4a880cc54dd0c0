from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.views.accounts.sparkline import HEIGHT, STEP, bars, to_come


def test_hours_without_requests_have_no_bar() -> None:
    assert [(bar.x, bar.height) for bar in bars([0, 10, 0, 5])] == [(STEP, HEIGHT), (3 * STEP, HEIGHT / 2)]
    assert bars([]) == bars([0, 0]) == []


def test_a_small_number_is_seen_beside_a_spike() -> None:
    assert [bar.height for bar in bars([1, 1_000_000])] == [1, HEIGHT]


@given(st.lists(st.integers(0, 10**9), max_size=24))
def test_bars_stay_in_their_box(counts: list[int]) -> None:
    for bar in bars(counts):
        assert 0 <= bar.y <= HEIGHT
        assert bar.y + bar.height == pytest.approx(HEIGHT)


@pytest.mark.parametrize(
    ("remaining", "burned", "back", "points"),
    [
        (0.5, 0.0, 3.0, ""),
        (0.5, 0.1, None, "100.0,10.0 141.7,19.0 150.0,19.0"),
        (0.5, 0.1, 3.0, "100.0,10.0 125.0,15.4"),
        (0.5, 0.1, -1.0, "100.0,10.0 100.0,10.0"),
        (0.0, 0.1, 3.0, "100.0,19.0 100.0,19.0 125.0,19.0"),
    ],
)
def test_a_quota_falls_until_it_is_empty_or_full_again(
    remaining: float, burned: float, back: float | None, points: str
) -> None:
    assert to_come(remaining, burned, back) == points
