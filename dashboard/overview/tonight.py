"""Whether each family of models lasts until tonight, as the overview says it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from accounts.quota.outlook import Fate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from accounts.quota.outlook import Outlook

SHORTEST = timedelta(hours=4)
"""The shortest evening: shortly before midnight, "tonight" includes the night that begins then."""


@dataclass(frozen=True, slots=True)
class Tonight:
    """The forecast for a family of models until tonight. `lasts` tells whether it can be used until then;
    None while that is unknown."""

    family: str
    outlook: Outlook
    lasts: bool | None


def tonight_of(
    outlooks: Mapping[str, Outlook], now: datetime, carried_on: Collection[str] = ()
) -> list[Tonight]:
    """Return the families that accounts offer. `now` is in the operator's zone, whose midnight counts. The
    families `carried_on` last in any case: keys answer them when the accounts with quotas are used up."""
    end = end_of_tonight(now)
    return [
        Tonight(family, outlook, family in carried_on or _lasts(outlook, end))
        for family, outlook in outlooks.items()
        if outlook.fate is not Fate.NO_ACCOUNT
    ]


def end_of_tonight(now: datetime) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(midnight, now + SHORTEST)


def is_midnight(end: datetime) -> bool:
    return end.hour == end.minute == end.second == 0


def _lasts(outlook: Outlook, end: datetime) -> bool | None:
    if outlook.fate is Fate.UNKNOWN:
        return None
    if outlook.fate is Fate.RUNS_OUT:
        return outlook.moment is not None and outlook.moment >= end
    return outlook.fate in {Fate.LASTS, Fate.UNUSED}
