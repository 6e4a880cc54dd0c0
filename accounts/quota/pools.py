"""Quota pools: the remaining quota of each account, once for the models that share it.

Claude and GPT models share a quota; Gemini models have one in each header mode. Models of such a family with
different numbers form pools of their own. A pool without any measurement is listed as unknown. A pool is
empty when one of its limits is, that of its models or that of a week.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils import timezone
from django.utils.functional import cached_property

from accounts.failures import FailureKind
from accounts.live_settings import live
from accounts.models import Cooldown
from accounts.quota.forecast import empty_until
from accounts.quota.outlook import Limit, family_of, outlook_sentence, outlooks_of
from accounts.quota.snapshots import (
    SAME_RESET,
    QuotaForecast,
    WindowForecast,
    quota_forecasts,
    window_forecasts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from accounts.models import Account
    from accounts.quota.outlook import AccountLimits


UNKNOWN = "unknown"
OWN_SPAN = "own"
"""The name in a pool's limits() of the limit that is reported for single models."""
OTHERS = "Claude, GPT"


@dataclass(frozen=True)
class QuotaPool:
    """A quota that one account's `models` share. `newest` is its last measurement, None when there is none.
    `refused_until` is the end of a cooldown that began because Google refused a request for lack of quota."""

    name: str
    header_mode: str
    models: tuple[str, ...] = ()
    newest: QuotaForecast | None = None
    refused_until: datetime | None = None
    windows: tuple[WindowForecast, ...] = ()
    """The limits over five hours and a week; empty for accounts for which Google reports none."""

    @cached_property
    def is_in_use(self) -> bool:
        """Whether requests use this quota now, not that of the other header mode."""
        return is_in_use(self.header_mode, self.name)

    @cached_property
    def remaining_fraction(self) -> float | None:
        """The remaining fraction of the limit with the least left; 0 while Google refuses requests, whatever
        was measured before; None when unknown."""
        if self.is_empty:
            return 0.0
        if self.newest is not None and self.newest.remaining_fraction is None:
            return None
        limits = [one for one in self._limits if one is self.newest or _lasts(one)]
        known = [one.remaining_fraction for one in limits if one.remaining_fraction is not None]
        return min(known, default=None)

    @cached_property
    def is_empty(self) -> bool:
        return self.refused_until is not None or bool(self._empty_limits)

    @cached_property
    def back_at(self) -> datetime | None:
        """When the quota is full again; for an empty pool, when it can be used again."""
        if not self.is_empty:
            limit = self._first_empty or self.newest
            return limit.reset_at if limit else None
        ends = [self.refused_until] if self.refused_until else []
        resets = [one.reset_at for one in self._empty_limits]
        if not ends and None in resets:
            return None
        return max(ends + [reset for reset in resets if reset is not None])

    @cached_property
    def empty_at(self) -> datetime | None:
        """When the quota will be empty at its present rate; None when it outlasts its reset."""
        limit = self._first_empty
        return limit.forecast.empty_moment if limit and limit.forecast else None

    def limits(self) -> AccountLimits | None:
        """Return the limits for the outlook of all accounts; None when nothing is known."""
        own = self.newest.forecast if self.newest else None
        by_span = {OWN_SPAN: own} | {
            one.span: one.forecast for one in self.windows if one.forecast is not own
        }
        found = {
            span: Limit(one.remaining, one.burned_per_hour if one.is_rate_known else None, one.back_at)
            for span, one in by_span.items()
            if one is not None
        }
        if self.is_empty:
            back_at = self.back_at.timestamp() if self.back_at else None
            return {**found, OWN_SPAN: Limit(0.0, None, back_at)}
        return found if self.remaining_fraction is not None else None

    @cached_property
    def _limits(self) -> list[QuotaForecast | WindowForecast]:
        """The limits that requests count against."""
        return [*([self.newest] if self.newest else []), *self.windows]

    @cached_property
    def _empty_limits(self) -> list[QuotaForecast | WindowForecast]:
        return [one for one in self._limits if one.remaining_fraction == 0 and _lasts(one)]

    @cached_property
    def _first_empty(self) -> QuotaForecast | WindowForecast | None:
        """The limit that will be empty first; None when each outlasts its reset."""
        ending = [one for one in self._limits if one.forecast and one.forecast.empty_at is not None]
        return min(ending, key=lambda one: (one.forecast and one.forecast.empty_at) or 0.0, default=None)

    @property
    def left(self) -> str:
        """The remaining quota as text: "82%", or "unknown"."""
        fraction = self.remaining_fraction
        return UNKNOWN if fraction is None else f"{fraction:.0%}"

    @property
    def sentence(self) -> str:
        """The forecast as text, in the form of `forecast.sentence`."""
        if self.is_empty:
            return _empty_until(self.back_at)
        limit = self._first_empty or self.newest
        return limit.sentence if limit else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "pool": self.name,
            "header_mode": self.header_mode,
            "models": self.models,
            "remaining_fraction": self.remaining_fraction,
            "left": self.left,
            "full_again_at": self.back_at,
            "seen_at": self.newest.seen_at if self.newest else None,
            "is_empty": self.is_empty,
            "forecast": self.sentence,
            "windows": [window.as_json() for window in self.windows],
        }


def _lasts(limit: QuotaForecast | WindowForecast) -> bool:
    """Return whether the limit's numbers still hold. After its reset, the next ones have not been read
    yet."""
    return limit.reset_at is None or limit.reset_at > timezone.now()


def pools_of(
    accounts: Collection[Account], cooldowns: Iterable[Cooldown] | None = None
) -> dict[int, list[QuotaPool]]:
    """Return the quota pools by account id, those that requests use now first; none for accounts whose
    provider reports no quota. `cooldowns` are those that have not ended, if the caller has read them."""
    account_ids = [account.pk for account in accounts if account.kind == "google"]
    found: dict[int, list[QuotaForecast]] = {account_id: [] for account_id in account_ids}
    for one in quota_forecasts(account_ids):
        found[one.account_id].append(one)
    refused: dict[int, dict[str, datetime]] = {}
    if cooldowns is None:
        cooldowns = Cooldown.lasting().filter(account_id__in=account_ids, kind=FailureKind.QUOTA.name)
    for cooldown in cooldowns:
        if cooldown.kind == FailureKind.QUOTA.name:
            refused.setdefault(cooldown.account_id, {})[cooldown.model_key] = cooldown.until
    windows: dict[int, list[WindowForecast]] = {}
    for window in window_forecasts.read(account_ids):
        windows.setdefault(window.account_id, []).append(window)
    return {account.pk: [] for account in accounts} | {
        key: [_with_windows(pool, windows.get(key, [])) for pool in _pools(known, refused.get(key, {}))]
        for key, known in found.items()
    }


class Readiness(NamedTuple):
    """Whether an account can answer now. `back_at` is when it can again; None while it can, or when that is
    unknown."""

    is_ready: bool
    back_at: datetime | None = None


def readiness(
    pools: Collection[QuotaPool], *, is_used: bool, limited_until: datetime | None = None
) -> Readiness:
    """Return whether an account can answer for what `pools` are its quotas of. It is ready when requests are
    sent with it, it is at no limit and one of its pools is not known to be empty. All pages and commands that
    count ready accounts count by this."""
    if not is_used:
        return Readiness(is_ready=False)
    is_empty = bool(pools) and all(pool.is_empty for pool in pools)
    if not is_empty:
        return Readiness(limited_until is None, limited_until)
    ends = [pool.back_at for pool in pools if pool.back_at is not None]
    if not ends or limited_until is None:
        return Readiness(is_ready=False, back_at=min(ends, default=None))
    return Readiness(is_ready=False, back_at=max(min(ends), limited_until))


def empty_quotas(pools: Iterable[QuotaPool]) -> str:
    """Return a text about the empty pools among those that requests use now; "" when none is empty."""
    used = [pool for pool in pools if pool.is_in_use]
    empty = [pool for pool in used if pool.is_empty]
    if used and len(empty) == len(used):
        moments = [pool.back_at for pool in empty]
        return _empty_until(min((one for one in moments if one is not None), default=None))
    return "; ".join(f"{pool.name} {pool.sentence}" for pool in empty)


def outlook_sentences(accounts: Iterable[tuple[bool, Iterable[QuotaPool]]]) -> list[str]:
    """Return a sentence on how long each family lasts, for people at a terminal, and one on accounts with a
    key, which have no quota; none when there are only those. `accounts` has, for each account, whether it is
    usable, and its pools."""
    usable = [list(pools) for is_usable, pools in accounts if is_usable]
    used = [[pool for pool in pools if pool.is_in_use] for pools in usable]
    now, zone = timezone.now().timestamp(), timezone.get_current_timezone()
    said = [f"{outlook_sentence(family, one, now, zone)}." for family, one in outlooks_of(used, now).items()]
    keys = usable.count([])
    if said and keys:
        said.append(f"Accounts with a key, not counted here: {keys}.")
    return said


def mode_in_use(model_id: str) -> str:
    """Return the header mode that requests for this model use: GEMINI_HEADER_MODE for Gemini models."""
    return str(live("GEMINI_HEADER_MODE")) if model_id.startswith("gemini") else "antigravity"


def is_in_use(header_mode: str, name: str) -> bool:
    return header_mode == mode_in_use(name.lower())


def _pools(known: list[QuotaForecast], refused: dict[str, datetime]) -> list[QuotaPool]:
    """Return the pools of an account. `refused` has the ends of its quota cooldowns, by model key."""
    mode = mode_in_use("gemini")
    families: dict[tuple[str, str], list[QuotaForecast]] = {
        (OTHERS, "antigravity"): [],
        (f"Gemini ({mode})", mode): [],
    }
    for one in known:
        families.setdefault(_family(one.model_id, one.header_mode), []).append(one)
    until: dict[tuple[str, str], dict[str, datetime]] = {}
    for key, moment in refused.items():
        model_id, _, mode = key.partition(":")
        until.setdefault(_family(model_id, mode), {})[model_id] = moment
    pools = []
    for family in sorted(families, key=lambda one: (not is_in_use(one[1], one[0]), one)):
        pools += _of_family(family, families[family], until.get(family, {}))
    return pools


def _with_windows(pool: QuotaPool, windows: Iterable[WindowForecast]) -> QuotaPool:
    """Return the pool with the windows of its family, which Google reports only in header mode
    antigravity."""
    if pool.header_mode != "antigravity":
        return pool
    family = family_of(pool.name).lower()
    own = [_as_told_of_models(window, pool.newest) for window in windows if window.family == family]
    return replace(pool, windows=tuple(own))


def _as_told_of_models(window: WindowForecast, newest: QuotaForecast | None) -> WindowForecast:
    """Return the window, with the pool's numbers when it is the same limit: Google reports the limit of five
    hours for the models and as a window, and two series of measurements would make two forecasts."""
    if newest is None or window.span != "5h" or not _same_reset(window.reset_at, newest.reset_at):
        return window
    return replace(
        window,
        remaining_fraction=newest.remaining_fraction,
        seen_at=newest.seen_at,
        forecast=newest.forecast,
    )


def _of_family(
    family: tuple[str, str], known: list[QuotaForecast], refused: dict[str, datetime]
) -> list[QuotaPool]:
    name, header_mode = family
    alike: list[list[QuotaForecast]] = []
    for one in known:
        for pool in alike:
            if _is_same(pool[0], one):
                pool.append(one)
                break
        else:
            alike.append([one])
    if not alike:
        return [QuotaPool(name, header_mode, refused_until=max(refused.values(), default=None))]
    pools = []
    for same in alike:
        models = tuple(one.model_id for one in same)
        until = [moment for model_id, moment in refused.items() if model_id in models or len(alike) == 1]
        label = name if len(alike) == 1 else ", ".join(models)
        pools.append(QuotaPool(label, header_mode, models, same[0], max(until, default=None)))
    return pools


def _family(model_id: str, header_mode: str) -> tuple[str, str]:
    if model_id.startswith("gemini"):
        return f"Gemini ({header_mode})", header_mode
    return OTHERS, header_mode


def _is_same(one: QuotaForecast, other: QuotaForecast) -> bool:
    if one.remaining_fraction != other.remaining_fraction:
        return False
    return one.reset_at is other.reset_at or _same_reset(one.reset_at, other.reset_at)


def _same_reset(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) < SAME_RESET


def _empty_until(moment: datetime | None) -> str:
    at = moment.timestamp() if moment is not None else None
    return empty_until(at, timezone.now().timestamp(), timezone.get_current_timezone())
