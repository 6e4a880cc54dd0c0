"""Small charts without axes, as SVG geometry: bars beside a number, and the forecast of a quota. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP, WIDTH = 4, 3
HEIGHT = 20
LEAST = 1
"""The least height of a bar above zero, so that it is visible beside a large one."""

NOW = 100.0
"""The position at which the lines of accounts.quota.snapshots.history_lines end."""
AN_HOUR = NOW / 12
HOURS_AHEAD = 6


def bars(counts: Sequence[int]) -> str:
    """Return the path of a bar for each count above zero. Bars are STEP apart, and the largest is as high as
    the SVG (HEIGHT). One path is used because a template takes fifty times as long to write each bar."""
    largest = max(counts, default=0)
    heights = [max(LEAST, count / largest * HEIGHT) if count else 0 for count in counts]
    return "".join(
        f"M{at * STEP} {HEIGHT}v-{height:.1f}h{WIDTH}v{height:.1f}z"
        for at, height in enumerate(heights)
        if height
    )


def to_come(remaining: float, burned_per_hour: float, hours_until_back: float | None) -> str:
    """Return points that continue a line of `history_lines` beyond NOW at the present rate, until the quota
    is full again or for HOURS_AHEAD; "" for an unused quota."""
    if burned_per_hour <= 0:
        return ""
    hours = min(HOURS_AHEAD, max(0.0, HOURS_AHEAD if hours_until_back is None else hours_until_back))
    falling = min(hours, remaining / burned_per_hour)
    points = [(0.0, remaining), (falling, remaining - falling * burned_per_hour)]
    if falling < hours:
        points.append((hours, 0.0))
    return " ".join(f"{NOW + at * AN_HOUR:.1f},{1 + (1 - left) * 18:.1f}" for at, left in points)
