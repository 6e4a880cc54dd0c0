"""Forecast of the time at which a quota will be empty. Pure: measurements and the time are parameters.

Between two resets a quota only goes down. Its rate is computed from the measurements since the last rise that
are no older than WINDOW_SECONDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from accounts.values.times import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_SECONDS = 2 * 3600.0
"""Measurements older than this do not count, because use comes in bursts."""
SHORTEST_SECONDS = 60.0
"""Measurements must cover at least this time to give a rate."""
SHORTEST_OF_DAYS_SECONDS = 3600.0
"""The same for a quota that is full again in a day or later: minutes of use say nothing of days."""
A_DAY_SECONDS = 24 * 3600.0
FARTHEST_SECONDS = 30 * 24 * 3600.0
"""A quota that would last longer than this is not forecast to be empty."""
UNKNOWN_END = "Google does not say till when"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A quota at one time. `at` is seconds since the epoch, `remaining` a fraction from 0 to 1."""

    at: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a quota. Times are seconds since the epoch, `remaining` and `burned_per_hour` fractions
    of the quota. `empty_at` is None when the quota outlasts its reset or the rate is unknown, which then is
    0."""

    remaining: float
    burned_per_hour: float
    empty_at: float | None
    back_at: float | None
    is_rate_known: bool = True

    @property
    def empty_moment(self) -> datetime | None:
        return None if self.empty_at is None else datetime.fromtimestamp(self.empty_at, UTC)


def forecast_of(measurements: Sequence[Measurement], reset_at: float | None, now: float) -> Forecast | None:
    """Return the forecast from `measurements`, oldest first; None when there is none."""
    if not measurements:
        return None
    if reset_at is not None and reset_at <= now:
        return Forecast(remaining=1.0, burned_per_hour=0.0, empty_at=None, back_at=None)
    newest = measurements[-1]
    is_of_days = reset_at is not None and reset_at - now >= A_DAY_SECONDS
    shortest = SHORTEST_OF_DAYS_SECONDS if is_of_days else SHORTEST_SECONDS
    known_rate = _burned_per_second(_since_last_rise(measurements), now, shortest)
    rate = known_rate or 0.0
    remaining = max(0.0, newest.remaining - rate * (now - newest.at))
    empty_at = _empty_at(newest, rate, now)
    if empty_at is not None and empty_at >= (now + FARTHEST_SECONDS if reset_at is None else reset_at):
        empty_at = None
    return Forecast(remaining, rate * 3600, empty_at, reset_at, known_rate is not None)


def sentence(forecast: Forecast, now: float, zone: tzinfo = UTC) -> str:
    """Return the forecast as text, such as "empty at 16:40 CET, back at 19:00 CET", "lasts past its reset at
    19:00 CET" or "empty until 18:10 CET"; "" for an unused quota."""
    if forecast.empty_at is None:
        if forecast.burned_per_hour > 0 and forecast.back_at is not None:
            return f"lasts past its reset at {clock(forecast.back_at, now, zone)}"
        return ""
    if forecast.empty_at <= now:
        return empty_until(forecast.back_at, now, zone)
    back = f"back at {clock(forecast.back_at, now, zone)}" if forecast.back_at else UNKNOWN_END
    return f"empty at {clock(forecast.empty_at, now, zone)}, {back}"


def empty_until(back_at: float | None, now: float, zone: tzinfo) -> str:
    return f"empty, {UNKNOWN_END}" if back_at is None else f"empty until {clock(back_at, now, zone)}"


def _since_last_rise(measurements: Sequence[Measurement]) -> Sequence[Measurement]:
    start = 0
    for index in range(1, len(measurements)):
        if measurements[index].remaining > measurements[index - 1].remaining:
            start = index
    return measurements[start:]


def _burned_per_second(measurements: Sequence[Measurement], now: float, shortest: float) -> float | None:
    recent = [one for one in measurements if one.at >= now - WINDOW_SECONDS]
    # The last measurement before the window is the value at its beginning.
    before = [one for one in measurements if one.at < now - WINDOW_SECONDS][-1:]
    window = [Measurement(now - WINDOW_SECONDS, one.remaining) for one in before] + recent
    if len(window) < 2 or window[-1].at - window[0].at < shortest:
        return None
    return max(0.0, window[0].remaining - window[-1].remaining) / (window[-1].at - window[0].at)


def _empty_at(newest: Measurement, rate: float, now: float) -> float | None:
    if newest.remaining <= 0:
        return now
    return max(now, newest.at + newest.remaining / rate) if rate > 0 else None
