from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.views.accounts.sparkline import HEIGHT, STEP, bars, to_come

BAR = re.compile(r"M(\d+) 20v-([\d.]+)h3v([\d.]+)z")


def heights(path: str) -> dict[int, float]:
    """Of the bars, by their place."""
    found = BAR.findall(path)
    assert BAR.sub("", path) == ""
    assert all(up == down for _, up, down in found)
    return {int(x): float(up) for x, up, _ in found}


def test_hours_without_requests_have_no_bar() -> None:
    assert heights(bars([0, 10, 0, 5])) == {STEP: HEIGHT, 3 * STEP: HEIGHT / 2}
    assert bars([]) == bars([0, 0]) == ""


def test_a_small_number_is_seen_beside_a_spike() -> None:
    assert heights(bars([1, 1_000_000])) == {0: 1, STEP: HEIGHT}


@given(st.lists(st.integers(0, 10**9), max_size=24))
def test_bars_stay_in_their_box(counts: list[int]) -> None:
    drawn = heights(bars(counts))

    assert list(drawn) == [at * STEP for at, count in enumerate(counts) if count]
    assert all(0 < height <= HEIGHT for height in drawn.values())


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
