"""Numbers of the ledger in the shapes that pages show. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

from gateway.routing.upstream_model import family_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from gateway.ledger.usage import Totals

    Models = Mapping[str, Totals]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FAMILIES = ("claude", "gemini", "other")
OTHERS = "others"
MOST_MODELS = 6
MODELS_KEPT = 512


class Grain(NamedTuple):
    """How a span is drawn. `step` is the time that a column covers, `sums` the step of the sums it is made
    of."""

    span: timedelta
    step: timedelta
    sums: timedelta


GRAINS = {
    "1h": Grain(timedelta(hours=1), MINUTE, MINUTE),
    "6h": Grain(timedelta(hours=6), 5 * MINUTE, MINUTE),
    "24h": Grain(timedelta(days=1), HOUR, HOUR),
    "7d": Grain(timedelta(days=7), 6 * HOUR, HOUR),
    "30d": Grain(timedelta(days=30), 24 * HOUR, HOUR),
}
"""How each span is drawn, by its name. Minutes are those of usage.history_by_minute, hours those of
usage.history."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The columns for charts.stacked_bars, oldest first: when each begins, and its numbers by series.
    `series` has those that occur, the lowest in the stack first."""

    columns: list[tuple[datetime, dict[str, float]]]
    series: list[str]


def by_family(
    history: Mapping[datetime, Models],
    grain: Grain,
    now: datetime,
    zone: tzinfo,
    number: Callable[[Totals], float],
) -> Volume:
    """Return a number of the totals, stacked by family of models. Columns of an hour and more begin at full
    hours or days of the zone's clock; the first and the last may be incomplete."""
    columns = _columns(history, grain, now, zone, number, _family)
    return Volume(columns, [name for name in FAMILIES if any(name in numbers for _, numbers in columns)])


def by_model(
    history: Mapping[datetime, Models],
    grain: Grain,
    now: datetime,
    zone: tzinfo,
    number: Callable[[Totals], float],
) -> Volume:
    """Return the same stacked by model, with the largest at the bottom. If there are more than MOST_MODELS,
    the smaller ones are "others"."""
    sums: Counter[str] = Counter()
    for _, numbers in _columns(history, grain, now, zone, number, str):
        sums.update(numbers)
    ranked = sorted(sums, key=lambda name: (-sums[name], name))
    named = ranked if len(ranked) <= MOST_MODELS else ranked[: MOST_MODELS - 1]
    columns = _columns(history, grain, now, zone, number, lambda model: model if model in named else OTHERS)
    return Volume(columns, named if len(named) == len(ranked) else [*named, OTHERS])


@lru_cache(MODELS_KEPT)
def _family(model: str) -> str:
    family = family_of(model)
    return family if family in FAMILIES else "other"


def _columns(
    history: Mapping[datetime, Models],
    grain: Grain,
    now: datetime,
    zone: tzinfo,
    number: Callable[[Totals], float],
    name_of: Callable[[str], str],
) -> list[tuple[datetime, dict[str, float]]]:
    columns = []
    for _, moments in groupby(_moments(grain, now, zone), key=itemgetter(0)):
        times = [at for _, at in moments]
        numbers: dict[str, float] = {}
        for at in times:
            for model, total in history.get(at, {}).items():
                if (one := number(total)) > 0:
                    name = name_of(model)
                    numbers[name] = numbers.get(name, 0) + one
        columns.append((times[0], numbers))
    return columns


def _moments(grain: Grain, now: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Return, for each sum up to now, when its column begins on the zone's clock, and when the sum begins."""
    newest = _floor(now.astimezone(UTC), grain.sums)
    times = [newest - index * grain.sums for index in reversed(range(grain.span // grain.sums))]
    if grain.step == grain.sums:
        return [(at, at) for at in times]
    return [(_floor(at.astimezone(zone), grain.step), at) for at in times]


def _floor(moment: datetime, step: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step


@dataclass(frozen=True, slots=True)
class Week:
    """A number by weekday and hour. `rows` are Monday to Sunday, each with a number for every hour; `most` is
    the largest."""

    rows: list[list[float]]
    most: float


def week(history: Mapping[datetime, Models], zone: tzinfo, number: Callable[[Totals], float]) -> Week:
    """Return a number of the totals by weekday and hour of the zone's clock, added up over all weeks."""
    rows = [[0.0] * 24 for _ in range(7)]
    for at, models in history.items():
        local = at.astimezone(zone)
        rows[local.weekday()][local.hour] += sum(map(number, models.values()))
    return Week(rows, max(map(max, rows)))


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Two percentiles: half of the values are at most `p50`, 95 % are at most `p95`. None without values."""

    p50: float | None
    p95: float | None
    count: int


def percentiles(values: Sequence[float]) -> Percentiles:
    if len(values) < 2:
        only = values[0] if values else None
        return Percentiles(only, only, len(values))
    twentieths = quantiles(values, n=20, method="inclusive")
    return Percentiles(twentieths[9], twentieths[18], len(values))
