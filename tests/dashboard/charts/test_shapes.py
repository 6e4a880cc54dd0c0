from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.charts.shapes import (
    HEIGHT,
    LEAST_HEIGHT,
    WIDTH,
    Bar,
    Point,
    line,
    round_steps,
    round_times,
    stacked_bars,
)

SERIES = ("claude", "gemini")
numbers = st.floats(0, 1e12, allow_nan=False)

# Stacked bars


def test_bars_stand_on_each_other() -> None:
    chart = stacked_bars([("10:00", {"claude": 30, "gemini": 10})], SERIES, width=100, height=80)

    (column,) = chart.columns
    assert (column.key, column.total, column.x, column.width, column.middle) == ("10:00", 40, 0, 100, 50)
    assert column.bars == (Bar("claude", 30, 7.5, 20, 85, 60), Bar("gemini", 10, 7.5, 0, 85, 20))
    assert [tick.value for tick in chart.ticks] == [0, 10, 20, 30, 40]
    assert [tick.position for tick in chart.ticks] == [80, 60, 40, 20, 0]


def test_columns_share_the_width() -> None:
    chart = stacked_bars([(hour, {"claude": 1.0}) for hour in range(4)], SERIES)

    assert [column.x for column in chart.columns] == [0, 250, 500, 750]
    assert chart.series == ("claude",)


@pytest.mark.parametrize("columns", [[], [("10:00", {})], [("10:00", {"claude": 0, "gemini": -3})]])
def test_a_chart_of_nothing_has_an_axis(columns: list[tuple[str, dict[str, float]]]) -> None:
    chart = stacked_bars(columns, SERIES)

    assert chart.is_empty
    assert [tick.value for tick in chart.ticks] == [0, 1]
    assert all(column.bars == () for column in chart.columns)


def test_a_spike_leaves_the_others_visible() -> None:
    chart = stacked_bars([(1, {"claude": 1, "gemini": 1}), (2, {"claude": 999_999, "gemini": 1})], SERIES)

    small, spike = chart.columns
    assert [bar.height for bar in small.bars] == [LEAST_HEIGHT, LEAST_HEIGHT]
    assert [bar.height for bar in spike.bars] == [HEIGHT - LEAST_HEIGHT, LEAST_HEIGHT]
    assert spike.bars[-1].y == 0


@given(st.lists(st.dictionaries(st.sampled_from(SERIES), numbers), max_size=50))
@settings(max_examples=300)
def test_bars_stay_within_the_chart(found: list[dict[str, float]]) -> None:
    chart = stacked_bars(list(enumerate(found)), SERIES)

    for column, given_numbers in zip(chart.columns, found, strict=True):
        assert column.total == pytest.approx(sum(given_numbers.values()))
        assert {bar.series for bar in column.bars} == {name for name, one in given_numbers.items() if one > 0}
        y = HEIGHT
        for bar in column.bars:
            assert bar.x >= 0
            assert bar.x + bar.width <= WIDTH + 0.02
            assert bar.height >= LEAST_HEIGHT
            assert bar.y + bar.height == pytest.approx(y, abs=0.02)
            y = bar.y
        assert y >= 0


# Axes


@pytest.mark.parametrize(
    ("top", "steps"),
    [
        (0, [0, 1]),
        (-1, [0, 1]),
        (0.3, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 3, 4]),
        (5, [0, 2, 4, 6]),
        (87, [0, 50, 100]),
        (100, [0, 50, 100]),
        (1_000_000, [0, 500_000, 1_000_000]),
    ],
)
def test_axes_of_counts_have_round_numbers(top: float, steps: list[float]) -> None:
    assert round_steps(top) == steps


def test_axes_of_seconds_have_parts_of_one() -> None:
    assert round_steps(0.3, whole=False) == [0, 0.1, 0.2, 0.3]
    assert round_steps(0.007, whole=False) == [0, 0.002, 0.004, 0.006, 0.008]


@given(st.floats(1e-6, 1e15), st.integers(1, 10))
@settings(max_examples=300)
def test_axes_reach_their_top_in_few_steps(top: float, most: int) -> None:
    steps = round_steps(top, most, whole=False)

    assert steps[-1] >= top * (1 - 1e-6)
    assert 2 <= len(steps) <= most + 1
    assert steps == sorted(set(steps))


def hours(count: int, start: datetime) -> list[datetime]:
    return [start + timedelta(hours=number) for number in range(count)]


@pytest.mark.parametrize(
    ("zone", "named"),
    [
        (UTC, ["00:00", "06:00", "12:00", "18:00"]),
        (ZoneInfo("Europe/Berlin"), ["00:00", "06:00", "12:00", "18:00"]),
        (ZoneInfo("Asia/Kolkata"), ["00:30", "06:30", "12:30", "18:30"]),
    ],
)
def test_a_day_of_hours_names_each_sixth(zone: tzinfo, named: list[str]) -> None:
    moments = hours(24, datetime(2026, 11, 24, 9, tzinfo=UTC))

    found = round_times(moments, zone)

    assert sorted(moments[index].astimezone(zone).strftime("%H:%M") for index in found) == named


def test_an_hour_of_minutes_names_each_tenth() -> None:
    start = datetime(2026, 11, 24, 9, 3, tzinfo=UTC)
    moments = [start + timedelta(minutes=number) for number in range(60)]

    assert [moments[index].minute for index in round_times(moments, UTC)] == [10, 20, 30, 40, 50, 0]


@pytest.mark.parametrize("count", [0, 1, 2, 24, 168, 720, 9600])
def test_a_time_axis_names_few_moments(count: int) -> None:
    found = round_times(hours(count, datetime(2026, 3, 28, tzinfo=UTC)), ZoneInfo("Europe/Berlin"))

    assert len(found) <= 7
    assert len(found) >= min(count // 24, 2)


# Lines


def test_a_line_goes_from_edge_to_edge() -> None:
    chart = line([(0, 0.0), (5, 1.0), (10, 0.5)], between=(0, 10), top=1, width=100, height=20)

    assert chart.parts == ((Point(0, 20), Point(50, 0), Point(100, 10)),)
    assert chart.polylines == ("0,20 50,0 100,10",)


def test_a_line_breaks_where_the_value_is_unknown() -> None:
    chart = line([(0, None), (1, 1.0), (2, None), (3, 1.0), (4, 2.0)], between=(0, 4), width=100, height=20)

    assert [len(part) for part in chart.parts] == [1, 2]
    assert [tick.value for tick in chart.ticks] == [0, 1, 2]


@pytest.mark.parametrize("points", [[], [(0, None)]])
def test_a_line_of_nothing_has_an_axis(points: list[tuple[float, float | None]]) -> None:
    chart = line(points, between=(0, 0))

    assert chart.parts == ()
    assert [tick.value for tick in chart.ticks] == [0, 1]


def test_points_beyond_the_edges_are_drawn_at_them() -> None:
    chart = line([(-5, 2.0), (50, -1.0)], between=(0, 10), top=1, width=100, height=20)

    assert chart.parts == ((Point(0, 0), Point(100, 20)),)
