"""The chart of requests over a span, as the overview draws it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from django.utils import timezone

from dashboard.charts import figures, shapes
from gateway.ledger import usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from gateway.ledger.usage import Totals

STACKS = {"family": figures.by_family, "model": figures.by_model}
PALETTE = ("claude", "gemini", "third", "fourth", "fifth", "other")
"""Names of colours in dashboard.css, for models in the order of their size."""


@dataclass(frozen=True, slots=True)
class TimeLabel:
    """A label of the time axis. `share` is its position, from 0 to 1."""

    at: datetime
    share: float


@dataclass(frozen=True, slots=True)
class VolumeChart:
    bars: shapes.StackedBars[datetime]
    labels: list[TimeLabel]
    colours: dict[str, str]
    """The colour of each series, by name."""


def volume_chart(span: str, stack: str, now: datetime) -> VolumeChart:
    """Return the chart, with one query. `span` is a key of figures.GRAINS, `stack` one of STACKS."""
    grain, zone = figures.GRAINS[span], timezone.get_current_timezone()
    history = requests_over(grain.span, by_minute=grain.sums == figures.MINUTE)
    volume = STACKS[stack](history, grain, now, zone, _requests)
    bars = shapes.stacked_bars(volume.columns, volume.series)
    moments = [at for at, _ in volume.columns]
    labels = [TimeLabel(moments[index], index / len(moments)) for index in shapes.round_times(moments, zone)]
    return VolumeChart(bars, labels, _colours(volume.series, stack))


def requests_over(span: timedelta, *, by_minute: bool = False) -> Mapping[datetime, figures.Models]:
    """Return totals with the number of requests alone, by hour or minute and model, with one query."""
    read = usage.history_by_minute if by_minute else usage.history
    return usage.over(span, f"requests-{read.__name__}", partial(read, columns=("requests",)))


def _requests(total: Totals) -> float:
    return total.requests


def _colours(series: list[str], stack: str) -> dict[str, str]:
    if stack == "family":
        return {name: name for name in series}
    return dict(zip(series, PALETTE, strict=False))
