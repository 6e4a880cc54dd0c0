from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.charts.figures import (
    GRAINS,
    Grain,
    Percentiles,
    Volume,
    by_family,
    by_model,
    percentiles,
    week,
)
from dashboard.charts.shapes import stacked_bars
from gateway.ledger.usage import Totals

times = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=2)


@given(times)
@settings(max_examples=300)
def test_percentiles_are_those_of_statistics(values: list[float]) -> None:
    hundredths = statistics.quantiles(values, n=100, method="inclusive")

    found = percentiles(values)

    assert found.count == len(values)
    assert found.p50 == pytest.approx(statistics.median(values))
    assert found.p50 == pytest.approx(hundredths[49])
    assert found.p95 == pytest.approx(hundredths[94])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Percentiles(None, None, 0)),
        ([3.0], Percentiles(3.0, 3.0, 1)),
        ([1.0, 2.0], Percentiles(1.5, 1.95, 2)),
        ([0.0] * 99 + [1_000_000.0], Percentiles(0.0, 0.0, 100)),
    ],
)
def test_percentiles_of_few_values(values: list[float], found: Percentiles) -> None:
    assert percentiles(values) == found


# Volume

NOW = datetime(2026, 11, 24, 10, 15, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def requests(total: Totals) -> float:
    return total.requests


def of(**models: int) -> dict[str, Totals]:
    return {name.replace("_", "-"): Totals(requests=count) for name, count in models.items()}


def filled(volume: Volume) -> dict[str, dict[str, float]]:
    return {f"{at:%d %H:%M}": numbers for at, numbers in volume.columns if numbers}


@pytest.mark.parametrize(
    ("span", "columns", "first", "last"),
    [
        ("1h", 60, "24 09:16", "24 10:15"),
        ("6h", 72, "24 04:16", "24 10:15"),
        ("24h", 24, "23 11:00", "24 10:00"),
        ("7d", 29, "17 11:00", "24 06:00"),
        ("30d", 31, "25 11:00", "24 00:00"),
    ],
)
def test_a_span_has_a_column_for_each_step(span: str, columns: int, first: str, last: str) -> None:
    volume = by_family({}, GRAINS[span], NOW, UTC, requests)

    assert (volume.series, filled(volume)) == ([], {})
    assert abs(len(volume.columns) - columns) <= 1
    assert f"{volume.columns[0][0]:%d %H:%M}" == first
    assert f"{volume.columns[-1][0]:%d %H:%M}" == last


def test_volume_is_stacked_by_family() -> None:
    history = {
        NOW.replace(hour=9, minute=0, second=0): of(claude_opus=2, claude_sonnet=3, gemini_3_flash=4),
        NOW.replace(hour=10, minute=0, second=0): of(gpt_oss=1),
    }

    volume = by_family(history, GRAINS["24h"], NOW, UTC, requests)

    assert volume.series == ["claude", "gemini", "other"]
    assert filled(volume) == {"24 09:00": {"claude": 5, "gemini": 4}, "24 10:00": {"other": 1}}


def test_of_many_models_the_small_ones_are_others() -> None:
    hour = NOW.replace(minute=0, second=0)
    history = {hour: {f"model-{number}": Totals(requests=number) for number in range(1, 9)}}

    volume = by_model(history, GRAINS["24h"], NOW, UTC, requests)

    assert volume.series == ["model-8", "model-7", "model-6", "model-5", "model-4", "others"]
    assert filled(volume)["24 10:00"]["others"] == 1 + 2 + 3


def test_few_models_are_all_named_the_largest_first() -> None:
    history = {NOW.replace(minute=0, second=0): of(b=2, a=2, c=5, d=0)}

    assert by_model(history, GRAINS["24h"], NOW, UTC, requests).series == ["c", "a", "b"]


def test_days_begin_at_midnight_where_the_operator_is() -> None:
    history = {
        datetime(2026, 11, 22, 22, tzinfo=UTC): of(claude=1),
        datetime(2026, 11, 22, 23, tzinfo=UTC): of(claude=10),
        datetime(2026, 11, 23, 22, tzinfo=UTC): of(claude=100),
    }

    volume = by_family(history, GRAINS["30d"], NOW, BERLIN, requests)

    assert filled(volume) == {"21 23:00": {"claude": 1}, "22 23:00": {"claude": 110}}


@given(st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)), st.sampled_from([UTC, BERLIN]))
@settings(max_examples=100)
def test_nothing_of_a_span_is_lost(now: datetime, zone: tzinfo) -> None:
    moment = now.replace(tzinfo=UTC)
    for grain in GRAINS.values():
        history = {at: of(claude=1) for at in _all_sums(grain, moment)}

        volume = by_family(history, grain, moment, zone, requests)

        assert stacked_bars(volume.columns, volume.series).series == ("claude",)
        assert sum(numbers["claude"] for _, numbers in volume.columns) == grain.span // grain.sums
        assert [at for at, _ in volume.columns] == sorted({at for at, _ in volume.columns})


def _all_sums(grain: Grain, now: datetime) -> list[datetime]:
    newest = now.replace(
        second=0, microsecond=0, minute=0 if grain.sums > timedelta(minutes=1) else now.minute
    )
    return [newest - number * grain.sums for number in range(grain.span // grain.sums)]


# Hours and weekdays


def test_a_week_has_a_number_for_each_hour() -> None:
    monday = datetime(2026, 11, 23, 9, tzinfo=UTC)
    history = {
        monday: of(claude=1, gemini=2),
        monday - timedelta(days=7): of(claude=4),
        monday + timedelta(days=6, hours=14): of(claude=9),
    }

    found = week(history, BERLIN, requests)

    assert [len(row) for row in found.rows] == [24] * 7
    assert (found.rows[0][10], found.rows[0][0]) == (7, 9)  # Sunday, 23:00 UTC is Monday in Berlin
    assert (found.most, sum(map(sum, found.rows))) == (9, 16)


def test_a_week_of_nothing_has_no_largest() -> None:
    assert week({}, UTC, requests).most == 0
