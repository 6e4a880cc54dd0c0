from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.quota.forecast import WINDOW_SECONDS, Forecast, Measurement, forecast_of, sentence

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def at(hours: float) -> float:
    """Hours before or after noon."""
    return NOON + hours * HOUR


def test_without_measurements_there_is_no_forecast() -> None:
    assert forecast_of([], at(5), NOON) is None


def test_a_steady_rate_is_extrapolated_to_empty() -> None:
    measured = [Measurement(at(-1), 0.8), Measurement(at(-0.5), 0.6), Measurement(at(0), 0.4)]

    forecast = forecast_of(measured, at(7), NOON)

    assert forecast is not None
    assert forecast.burned_per_hour == pytest.approx(0.4)
    assert forecast.empty_at == pytest.approx(at(1))
    assert sentence(forecast, NOON) == "empty at 13:00 UTC, back at 19:00 UTC"


def test_what_outlasts_its_reset_is_not_empty_before_it() -> None:
    forecast = forecast_of([Measurement(at(-1), 0.9), Measurement(at(0), 0.8)], at(2), NOON)

    assert forecast is not None
    assert forecast.empty_at is None
    assert sentence(forecast, NOON) == "lasts past its reset at 14:00 UTC"


def test_nothing_left_is_empty_now() -> None:
    forecast = forecast_of([Measurement(at(-1), 0.0)], at(7), NOON)

    assert forecast is not None
    assert sentence(forecast, NOON) == "empty until 19:00 UTC"


def test_a_quota_that_hardly_falls_is_not_forecast_to_be_empty() -> None:
    forecast = forecast_of([Measurement(at(-1), 0.5), Measurement(at(0), 0.499999999)], None, NOON)

    assert forecast is not None
    assert forecast.empty_at is None


@pytest.mark.parametrize(("minutes", "is_known"), [(50, False), (70, True)])
def test_a_rate_of_a_quota_of_days_needs_an_hour(minutes: float, is_known: bool) -> None:
    forecast = forecast_of([Measurement(at(-minutes / 60), 0.9), Measurement(at(0), 0.8)], at(72), NOON)

    assert forecast is not None
    assert (forecast.is_rate_known, forecast.empty_at is not None) == (is_known, is_known)


@pytest.mark.parametrize(("minutes", "is_known"), [(0.5, False), (5, True)])
def test_a_rate_needs_a_minute(minutes: float, is_known: bool) -> None:
    forecast = forecast_of([Measurement(at(-minutes / 60), 1.0), Measurement(at(0), 1.0)], at(5), NOON)

    assert forecast is not None
    assert forecast.is_rate_known is is_known


def test_a_reset_on_another_day_says_which() -> None:
    assert sentence(Forecast(0.0, 1.0, NOON, at(30)), NOON) == "empty until 02 Mar 18:00 UTC"


def test_an_unused_quota_has_an_empty_sentence() -> None:
    forecast = forecast_of([Measurement(at(-1), 1.0), Measurement(at(0), 1.0)], at(5), NOON)

    assert forecast is not None
    assert sentence(forecast, NOON) == ""


def test_only_what_was_measured_since_the_reset_counts() -> None:
    measured = [
        Measurement(at(-1.5), 0.9),
        Measurement(at(-1), 0.1),
        Measurement(at(-0.5), 1.0),
        Measurement(at(0), 0.9),
    ]

    forecast = forecast_of(measured, at(20), NOON)

    assert forecast is not None
    assert forecast.burned_per_hour == pytest.approx(0.2)


def test_a_burst_before_the_window_does_not_count() -> None:
    measured = [Measurement(at(-9), 1.0), Measurement(at(-8), 0.2), Measurement(at(0), 0.2)]

    forecast = forecast_of(measured, at(5), NOON)

    assert forecast is not None
    assert forecast.burned_per_hour == 0


def test_after_its_reset_a_quota_is_full_again() -> None:
    forecast = forecast_of([Measurement(at(-1), 0.0)], at(-0.5), NOON)

    assert forecast is not None
    assert (forecast.remaining, forecast.empty_at) == (1.0, None)


measurements = st.lists(
    st.builds(
        Measurement,
        at=st.floats(NOON - 3 * WINDOW_SECONDS, NOON),
        remaining=st.floats(0, 1),
    ),
    max_size=20,
).map(lambda found: sorted(found, key=lambda one: one.at))


@given(measurements, st.none() | st.floats(NOON - 10 * HOUR, NOON + 100 * HOUR))
def test_any_measurements_give_a_sensible_forecast(
    measured: list[Measurement], reset_at: float | None
) -> None:
    forecast = forecast_of(measured, reset_at, NOON)

    if forecast is None:
        assert not measured
        return
    assert 0 <= forecast.remaining <= 1
    assert forecast.burned_per_hour >= 0
    assert forecast.empty_at is None or forecast.empty_at >= NOON
    assert isinstance(sentence(forecast, NOON), str)
