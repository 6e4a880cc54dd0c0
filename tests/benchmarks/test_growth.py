from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.growth import Point, accounts, draw, growth_of, held_streams, history, known_history, tools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@pytest.mark.parametrize(
    ("calls", "growth"),
    [((1000, 1040, 1090), "flat"), ((1000, 1200, 1400), "linear"), ((1000, 1200, 2000), "faster")],
)
def test_growth_is_told_by_the_slopes(calls: Sequence[int], growth: str) -> None:
    assert growth_of([Point(size, one, 1e-3) for size, one in enumerate(calls)]) == growth


@pytest.mark.full
@pytest.mark.parametrize(
    ("measure", "sizes", "allowed"),
    [
        (accounts, (1, 20, 60), {"flat"}),
        (held_streams, (0, 50, 200), {"flat"}),
        (history, (0, 20, 60), {"linear"}),
        (known_history, (0, 20, 60), {"flat"}),
        (tools, (0, 20, 60), {"flat", "linear"}),
    ],
)
def test_a_request_costs_no_more_than_in_proportion(
    measure: Callable[[Sequence[int]], list[Point]], sizes: Sequence[int], allowed: set[str]
) -> None:
    points = measure(sizes)

    assert growth_of(points) in allowed, points


def test_the_plot_is_an_svg_that_asks_nobody(tmp_path: Path) -> None:
    draw("tools", [Point(0, 1000, 1e-3), Point(20, 1500, 2e-3)], tmp_path / "tools.svg")

    drawn = (tmp_path / "tools.svg").read_text()
    assert "function calls of a request" in drawn
    assert "<script" not in drawn
