"""The outlook of all accounts together: when the last one will be empty, and when the first one is back.

Pure. Each account is followed to its next reset at its present rate. When one is empty, the others take over
its use in equal parts: Google does not say how large a quota is, so all accounts are assumed to be alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from accounts.quota.depletion import NOTHING, Running, empty_at
from accounts.quota.forecast import FARTHEST_SECONDS, UNKNOWN_END
from accounts.values.times import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from accounts.quota.pools import QuotaPool

FAMILIES = ("Claude", "Gemini")
WEEK = "weekly"
"""The name of the span of a week."""
KEPT_FAMILIES = 1024


class Limit(NamedTuple):
    """What remains of an account's quota in one span of time. `remaining` and `burned_per_hour` are
    fractions, the rate None while it is unknown; `reset_at` is seconds since the epoch."""

    remaining: float
    burned_per_hour: float | None
    reset_at: float | None


AccountLimits = dict[str, Limit]
"""The limits of an account, by the name of the span. It can be used while each has something left."""


class Fate(Enum):
    """What will happen to a family of models before its last reset."""

    NO_ACCOUNT = "no_account"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    RUNS_OUT = "runs_out"
    UNUSED = "unused"
    LASTS = "lasts"


@dataclass(frozen=True, slots=True)
class Outlook:
    """The outlook of a family of models. `at` is when it will be empty, or the reset until which it lasts;
    `back_at` is when the first account can be used again. Both are seconds since the epoch, None when
    unknown. `unknown` is the number of accounts that are left out because their quota is unknown."""

    fate: Fate
    at: float | None = None
    back_at: float | None = None
    unknown: int = 0

    @property
    def moment(self) -> datetime | None:
        return None if self.at is None else datetime.fromtimestamp(self.at, UTC)

    @property
    def back_moment(self) -> datetime | None:
        return None if self.back_at is None else datetime.fromtimestamp(self.back_at, UTC)

    @property
    def why_unknown(self) -> str:
        """Why the fate is UNKNOWN, in a few words; "" for any other."""
        if self.fate is not Fate.UNKNOWN:
            return ""
        if self.unknown:
            return f"{self.unknown} account{' tells' if self.unknown == 1 else 's tell'} no quota"
        return "its use was seen too briefly"


@lru_cache(KEPT_FAMILIES)
def family_of(pool_or_model: str) -> str:
    """Return the family, "Claude" or "Gemini", of a quota pool or model; GPT models share Claude's quota."""
    return "Gemini" if pool_or_model.lower().startswith("gemini") else "Claude"


def outlooks_of(accounts: Iterable[Sequence[QuotaPool]], now: float) -> dict[str, Outlook]:
    """Return the outlook of each family that accounts with quotas offer; of all families when there is no
    account. `accounts` has, for each usable account, the pools that requests use now; if a family has
    several, the fullest counts. Accounts without pools, whose provider reports no quota, do not count."""
    given = list(accounts)
    known = [pools for pools in given if pools]
    if given and not known:
        return {}
    return {family: _of_family(family, known, now) for family in _offered(known)}


def _offered(accounts: list[Sequence[QuotaPool]]) -> list[str]:
    """Return the families that the accounts offer; all families until their models are known."""
    offered = {family_of(pool.name) for pools in accounts for pool in pools if pool.models or pool.is_empty}
    return [family for family in FAMILIES if not offered or family in offered]


def weeks_of(accounts: Iterable[Sequence[QuotaPool]], now: float) -> dict[str, Outlook]:
    """Return the outlook of the limits over a week alone, for each family for which all these accounts have
    such a limit. `accounts` is that of `outlooks_of`."""
    known = [pools for pools in accounts if pools]
    found = {}
    for family in _offered(known):
        limits = _limits_of(family, known)
        weeks = [{WEEK: one[WEEK]} for one in limits if one is not None and WEEK in one]
        if weeks and len(weeks) == len(limits):
            found[family] = outlook(weeks, 0, now)
    return found


def _of_family(family: str, accounts: list[Sequence[QuotaPool]], now: float) -> Outlook:
    limits = _limits_of(family, accounts)
    return outlook([one for one in limits if one is not None], limits.count(None), now)


def _limits_of(family: str, accounts: list[Sequence[QuotaPool]]) -> list[AccountLimits | None]:
    limits = []
    for pools in accounts:
        own = [pool for pool in pools if family_of(pool.name) == family]
        limits.append(max(own, key=_fullness).limits() if own else None)
    return limits


def _fullness(pool: QuotaPool) -> float:
    """Return a sort key. An unknown pool ranks between one that is known to have something left and an empty
    one."""
    return -1.0 if pool.is_empty else pool.remaining_fraction or 0.0


def outlook(accounts: Sequence[AccountLimits], unknown: int, now: float) -> Outlook:
    """Return the outlook of the accounts. `unknown` is the number of further accounts, whose quotas are
    unknown."""
    if not accounts:
        return Outlook(Fate.UNKNOWN if unknown else Fate.NO_ACCOUNT, unknown=unknown)
    found = replace(_followed(accounts, now), unknown=unknown)
    if found.fate is Fate.EMPTY and unknown:
        return replace(found, fate=Fate.UNKNOWN)
    return found


def outlook_sentence(family: str, found: Outlook, now: float, zone: tzinfo) -> str:
    """Return the outlook as a sentence, such as "Claude lasts past its reset at 19:00 CET" or "Claude runs
    out about 17:40 CET, back at 19:00 CET"."""
    at = None if found.at is None else clock(found.at, now, zone)
    back = UNKNOWN_END if found.back_at is None else f"back at {clock(found.back_at, now, zone)}"
    text = {
        Fate.NO_ACCOUNT: f"{family} has no account",
        Fate.UNKNOWN: f"How long {family} lasts is not known yet: {found.why_unknown}",
        Fate.EMPTY: f"{family} is empty, {back}",
        Fate.RUNS_OUT: f"{family} runs out about {at}, {back}",
        Fate.UNUSED: f"{family} is not being used, so it lasts",
        Fate.LASTS: f"{family} lasts" + (f" past its reset at {at}" if at else ""),
    }[found.fate]
    is_partial = found.unknown and found.at and found.fate is not Fate.UNKNOWN
    return f"{text} ({found.unknown} unknown)" if is_partial else text


# Following the accounts. Times are hours from now.


def _followed(accounts: Sequence[AccountLimits], now: float) -> Outlook:
    ready = [limits for limits in accounts if _is_ready(limits)]
    running = [
        _begun(number, span, limit, now, is_ready=_is_ready(limits))
        for number, limits in enumerate(accounts)
        for span, limit in limits.items()
    ]
    if not ready:
        return Outlook(Fate.EMPTY, now, _moment(_first_back(running), now))
    rates = [limit.burned_per_hour for limits in ready for limit in limits.values()]
    if not any(rates):
        return Outlook(Fate.UNKNOWN if None in rates else Fate.UNUSED)
    last_reset = _last_reset(running)
    empty = empty_at(running, min(last_reset, FARTHEST_SECONDS / 3600))
    if empty is None:
        return Outlook(Fate.LASTS, _moment(last_reset, now))
    return Outlook(Fate.RUNS_OUT, _moment(empty, now), _moment(_first_back(running), now))


def _is_ready(limits: AccountLimits) -> bool:
    return all(limit.remaining > NOTHING for limit in limits.values())


def _begun(number: int, span: str, limit: Limit, now: float, *, is_ready: bool) -> Running:
    # Empty accounts have no rate of their own, since the others have taken over their use.
    rate = (limit.burned_per_hour or 0.0) if is_ready else 0.0
    reset_at = math.inf if limit.reset_at is None else max(0.0, limit.reset_at - now) / 3600
    return Running(number, span, limit.remaining, rate, reset_at)


def _last_reset(limits: list[Running]) -> float:
    """Return the latest of the next resets of all accounts that are not empty; infinite when none is
    known."""
    empty = _empty(limits)
    first: dict[int, float] = {}
    for one in limits:
        if one.account not in empty and one.reset_at < math.inf:
            first[one.account] = min(one.reset_at, first.get(one.account, math.inf))
    return max(first.values(), default=math.inf)


def _empty(limits: list[Running]) -> set[int]:
    return {one.account for one in limits if one.remaining <= NOTHING}


def _first_back(limits: list[Running]) -> float:
    """Return when the first account can be used again; all of them must be empty."""
    back: dict[int, float] = {}
    for one in limits:
        if one.remaining <= NOTHING:
            back[one.account] = max(one.reset_at, back.get(one.account, 0.0))
    return min(back.values())


def _moment(hours: float, now: float) -> float | None:
    return None if hours == math.inf else now + hours * 3600
