"""Charts as geometry: rectangles, points and ticks in the units of an SVG's viewBox, y downwards. Pure.

The texts of axes are not included: they are HTML beside the SVG, since they would shrink with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo

WIDTH, HEIGHT = 1000.0, 160.0
FILLED = 0.85
"""The share of its place that a bar fills."""
LEAST_HEIGHT = 1.5
"""The least height of a bar whose number is not zero, so that it stays visible beside a spike."""
STEPS = (1, 2, 5, 10)
TIME_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10080)
)

Key = TypeVar("Key")


class Tick(NamedTuple):
    value: float
    position: float


class Bar(NamedTuple):
    """A rectangle; `series` names what it counts, `value` is the number."""

    series: str
    value: float
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column(Generic[Key]):
    """The bars of one key, lowest first. `x` and `width` are those of its place; places have no gaps between
    them."""

    key: Key
    total: float
    bars: tuple[Bar, ...]
    x: float
    width: float

    @property
    def middle(self) -> float:
        return _rounded(self.x + self.width / 2)


@dataclass(frozen=True, slots=True)
class StackedBars(Generic[Key]):
    """A chart of stacked bars. `ticks` are those of the vertical axis, from zero up; `series` are those with
    a bar, in the order given."""

    columns: tuple[Column[Key], ...]
    series: tuple[str, ...]
    ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def is_empty(self) -> bool:
        return not self.series


def stacked_bars(
    columns: Sequence[tuple[Key, Mapping[str, float]]],
    series: Sequence[str],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> StackedBars[Key]:
    """Return the bars for `columns`, from left to right. Each column has a key and a number for each series.
    Series are stacked in their order, the first at the bottom; numbers below zero count as 0."""
    counted = [
        (key, [(name, number) for name in series if (number := numbers.get(name) or 0) > 0])
        for key, numbers in columns
    ]
    steps = round_steps(max((_total(numbers) for _, numbers in counted), default=0))
    place = width / len(columns) if columns else width
    drawn = tuple(
        Column(
            key,
            _total(numbers),
            _stack(numbers, index * place, place, height, steps[-1]),
            _rounded(index * place),
            _rounded(place),
        )
        for index, (key, numbers) in enumerate(counted)
    )
    used = {name for _, numbers in counted for name, _ in numbers}
    shown = tuple(name for name in series if name in used)
    return StackedBars(drawn, shown, _ticks(steps, height), width, height)


def _total(numbers: Sequence[tuple[str, float]]) -> float:
    return sum(number for _, number in numbers)


def _stack(
    numbers: Sequence[tuple[str, float]], x: float, place: float, height: float, top: float
) -> tuple[Bar, ...]:
    heights = [max(LEAST_HEIGHT, number / top * height) for _, number in numbers]
    if (too_high := sum(heights) - height) > 0:
        tallest = heights.index(max(heights))
        heights[tallest] = max(LEAST_HEIGHT, heights[tallest] - too_high)
    left, width = _rounded(x + place * (1 - FILLED) / 2), _rounded(place * FILLED)
    bars, y = [], height
    for (name, number), high in zip(numbers, heights, strict=True):
        y -= high
        bars.append(Bar(name, number, left, _rounded(max(0.0, y)), width, _rounded(high)))
    return tuple(bars)


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart. `parts` are separate pieces, between which the value is unknown. A part of one point
    is a dot."""

    parts: tuple[tuple[Point, ...], ...]
    ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def polylines(self) -> tuple[str, ...]:
        """The parts, each as the attribute `points` of an SVG polyline."""
        return tuple(" ".join(f"{x:g},{y:g}" for x, y in part) for part in self.parts)


def line(
    points: Sequence[tuple[float, float | None]],
    *,
    between: tuple[float, float],
    top: float | None = None,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Line:
    """Return the line through `points`, pairs of position and value from left to right. A value of None is
    unknown and interrupts the line. `between` are the positions of the left and right edge; points beyond
    them are drawn at the edge. `top` is the value at the upper edge, so that several lines share one scale;
    None to derive it from the values."""
    left, right = between
    values = [value for _, value in points if value is not None]
    steps = round_steps(max(values, default=0.0) if top is None else top)
    highest = steps[-1] if top is None else top
    parts: list[list[Point]] = [[]]
    for place, value in points:
        if value is None:
            parts.append([])
            continue
        x = (place - left) / (right - left) * width if right > left else 0.0
        y = height - value / highest * height if highest > 0 else height
        parts[-1].append(Point(_within(x, width), _within(y, height)))
    ticks = _ticks([step for step in steps if step <= highest], height, highest)
    return Line(tuple(tuple(part) for part in parts if part), ticks, width, height)


def round_steps(top: float, most: int = 4, *, whole: bool = True) -> list[float]:
    """Return the round numbers of an axis from 0 to `top` or just above it. They are 1, 2 or 5 times a power
    of ten apart, and at most `most` besides zero. With `whole` all of them are whole numbers."""
    if top / most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** floor(log10(top / most))
    step = next(factor * power for factor in STEPS if factor * power * most >= top * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    count = max(1, ceil(top / step - 1e-9))
    return [float(f"{number * step:.12g}") for number in range(count + 1)]


def _ticks(steps: Sequence[float], height: float, top: float | None = None) -> tuple[Tick, ...]:
    highest = steps[-1] if top is None else top
    return tuple(
        Tick(step, _rounded(height - step / highest * height) if highest else height) for step in steps
    )


def round_times(moments: Sequence[datetime], zone: tzinfo, most: int = 7) -> list[int]:
    """Return the indexes of the moments, at equal distances, that a time axis labels: those at which a full
    hour, day or other round time of the zone's clock begins, at most `most`."""
    found: list[int] = []
    distance = _distance(moments)
    clock = [(_on_clock(moment, zone), _on_clock(moment - distance, zone)) for moment in moments]
    for step in TIME_STEPS:
        found = [index for index, (at, before) in enumerate(clock) if at // step != before // step]
        if len(found) <= most:
            return found
    return found[:: ceil(len(found) / most)]


def _distance(moments: Sequence[datetime]) -> timedelta:
    return moments[1] - moments[0] if len(moments) > 1 else timedelta(minutes=1)


def _on_clock(moment: datetime, zone: tzinfo) -> timedelta:
    """Return the time on the zone's clock since a midnight of that clock long ago."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    return local - local.min


def _within(number: float, most: float) -> float:
    return _rounded(min(max(number, 0.0), most))


def _rounded(number: float) -> float:
    return round(number, 2)
