"""Small charts without axes, as SVG geometry: bars beside a number, and what is to come of a quota. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 4
HEIGHT = 20
LEAST = 1
"""The height of a bar above zero, so that it is seen beside a large one."""

NOW = 100.0
"""Where the lines of accounts.quota.snapshots.history_lines end."""
AN_HOUR = NOW / 12
HOURS_AHEAD = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """In an SVG of HEIGHT, with the bars STEP apart."""

    x: int
    y: float
    height: float


def bars(counts: Sequence[int]) -> list[Bar]:
    """A bar for each count above zero, the largest as high as the SVG."""
    largest = max(counts, default=0)
    heights = [round(max(LEAST, count / largest * HEIGHT), 1) if count else 0 for count in counts]
    return [Bar(at * STEP, HEIGHT - height, height) for at, height in enumerate(heights) if height]


def to_come(remaining: float, burned_per_hour: float, hours_until_back: float | None) -> str:
    """Points that continue a line of `history_lines` beyond NOW, at the present rate, until the quota is full
    again or for HOURS_AHEAD; "" for an unused quota."""
    if burned_per_hour <= 0:
        return ""
    hours = min(HOURS_AHEAD, max(0.0, HOURS_AHEAD if hours_until_back is None else hours_until_back))
    falling = min(hours, remaining / burned_per_hour)
    points = [(0.0, remaining), (falling, remaining - falling * burned_per_hour)]
    if falling < hours:
        points.append((hours, 0.0))
    return " ".join(f"{NOW + at * AN_HOUR:.1f},{1 + (1 - left) * 18:.1f}" for at, left in points)
