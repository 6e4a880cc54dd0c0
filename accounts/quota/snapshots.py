"""Quota snapshots: the remaining fraction per account, model and header mode, their history and forecast.

They are taken in the background; pages and commands read the stored ones without a call to Google.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction
from django.utils import timezone

from accounts.models import Account, QuotaSnapshot
from accounts.quota import forecast
from accounts.quota.forecast import Forecast, Measurement, forecast_of
from accounts.quota.histories import HISTORY_SECONDS, Histories, History, QuotaKey, seen_since

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from accounts.google.code_assist import ModelOffer

HISTORY = timedelta(days=14)
FORECASTS_KEPT_SECONDS = 5.0
SAME_RESET = timedelta(minutes=2)
"""Google computes the reset time anew for each answer; times closer than this are the same reset."""
INTERNAL_MODELS = ("chat_", "tab_")
"""Prefixes of models that serve the editor's own features and are not offered to clients."""


@dataclass(frozen=True, slots=True)
class QuotaForecast:
    """The newest snapshot of one model of one account in one header mode, with its forecast."""

    account_id: int
    model_id: str
    header_mode: str
    remaining_fraction: float | None
    reset_at: datetime | None
    seen_at: datetime
    forecast: Forecast | None

    @property
    def sentence(self) -> str:
        if self.forecast is None:
            return ""
        now, zone = timezone.now().timestamp(), timezone.get_current_timezone()
        return forecast.sentence(self.forecast, now, zone)


def store_quotas(account_id: int, header_mode: str, offers: Iterable[ModelOffer]) -> None:
    """Add a row for each model whose numbers have changed; of the others only `seen_at` is updated."""
    now = timezone.now()
    with transaction.atomic():
        known = {row.model_id: row for row in _newest(account_id, header_mode)}
        for offer in offers:
            if not offer.id.startswith(INTERNAL_MODELS):
                _store_quota(account_id, header_mode, offer, known.get(offer.id), now)


def forget_old_quotas() -> int:
    """Delete rows last seen more than HISTORY ago; returns their number."""
    return QuotaSnapshot.objects.filter(seen_at__lt=timezone.now() - HISTORY).delete()[0]


class _Newest(NamedTuple):
    """The values of a QuotaForecast, without the names of the quota."""

    remaining_fraction: float | None
    reset_at: datetime | None
    seen_at: datetime
    forecast: Forecast | None


class _Made(NamedTuple):
    at: float
    of: dict[QuotaKey, History]
    forecasts: list[QuotaForecast]


class Forecasts:
    """The forecasts of all accounts, kept in memory for FORECASTS_KEPT_SECONDS, or until a process stores a
    snapshot."""

    def __init__(self) -> None:
        self._histories = Histories()
        self._made: _Made | None = None

    def forget(self) -> None:
        """Have rows read again that were changed other than by `store_quotas`."""
        self._histories.forget()
        self._made = None

    def read(self) -> list[QuotaForecast]:
        now = timezone.now().timestamp()
        histories, made = self._histories.read(now), self._made
        if made is None or made.of is not histories or abs(now - made.at) > FORECASTS_KEPT_SECONDS:
            made = self._made = _Made(now, histories, _forecasts_of(histories, now))
        return made.forecasts


forecasts = Forecasts()


def quota_forecasts(account_ids: Collection[int] | None = None) -> list[QuotaForecast]:
    """Return the forecast of each account, model and header mode seen within HISTORY_SECONDS; of all
    accounts when `account_ids` is None."""
    wanted = Account.objects.values_list("pk", flat=True) if account_ids is None else account_ids
    those = set(wanted)
    return [one for one in forecasts.read() if one.account_id in those]


def history_lines(account_id: int) -> dict[tuple[str, str], str]:
    """Points of an SVG polyline in a box of 100 by 20 for the last HISTORY_SECONDS, by model and header
    mode."""
    start = timezone.now().timestamp() - HISTORY_SECONDS
    pools = groupby(
        seen_since(start).filter(account_id=account_id), key=lambda row: (row.model_id, row.header_mode)
    )
    return {pool: _points(_measurements(history), start) for pool, history in pools}


def _points(measurements: list[Measurement], start: float) -> str:
    return " ".join(
        f"{max(0.0, one.at - start) / HISTORY_SECONDS * 100:.1f},{1 + (1 - one.remaining) * 18:.1f}"
        for one in measurements
    )


def _newest(account_id: int, header_mode: str) -> Iterable[QuotaSnapshot]:
    """Recent rows, oldest first, so that a dict by model keeps the newest of each."""
    recent = seen_since(timezone.now().timestamp() - HISTORY_SECONDS)
    return recent.filter(account_id=account_id, header_mode=header_mode).order_by("taken_at")


def _store_quota(
    account_id: int, header_mode: str, offer: ModelOffer, known: QuotaSnapshot | None, now: datetime
) -> None:
    if known is not None and _says_the_same(known, offer):
        QuotaSnapshot.objects.filter(pk=known.pk).update(seen_at=now, reset_at=offer.reset_at)
        return
    QuotaSnapshot.objects.create(
        account_id=account_id,
        model_id=offer.id[:100],
        header_mode=header_mode,
        remaining_fraction=offer.remaining_fraction,
        reset_at=offer.reset_at,
        taken_at=now,
        seen_at=now,
    )


def _says_the_same(known: QuotaSnapshot, offer: ModelOffer) -> bool:
    if known.remaining_fraction != offer.remaining_fraction:
        return False
    if offer.remaining_fraction == 1 or known.reset_at is None or offer.reset_at is None:
        return True  # a window that has not begun is full, and its end moves along with the clock
    return abs(known.reset_at - offer.reset_at) < SAME_RESET


def _forecasts_of(histories: dict[QuotaKey, History], now: float) -> list[QuotaForecast]:
    """Models that share a quota have equal histories, which are read once."""
    read: dict[History, _Newest | None] = {}
    found = []
    for key, history in sorted(histories.items()):
        if history not in read:
            read[history] = _newest_of(history, now)
        if newest := read[history]:
            fraction, reset_at, seen_at, forecast_now = newest
            found.append(QuotaForecast(*key, fraction, reset_at, seen_at, forecast_now))
    return found


def _newest_of(history: History, now: float) -> _Newest | None:
    recent = [row for row in history if row.seen_at >= now - HISTORY_SECONDS]
    if not recent:
        return None
    newest = recent[-1]
    measured = [
        Measurement(at, row.remaining_fraction)
        for row in recent
        if row.remaining_fraction is not None
        for at in (row.taken_at, row.seen_at)
    ]
    return _Newest(
        newest.remaining_fraction,
        newest.reset_at if newest.reset_at is None else datetime.fromtimestamp(newest.reset_at, UTC),
        datetime.fromtimestamp(newest.seen_at, UTC),
        forecast_of(measured, newest.reset_at, now),
    )


def _measurements(rows: Iterable[QuotaSnapshot]) -> list[Measurement]:
    """Two measurements for each row: when its numbers were first seen, and when they were last seen."""
    return [
        Measurement(at.timestamp(), row.remaining_fraction)
        for row in rows
        if row.remaining_fraction is not None
        for at in (row.taken_at, row.seen_at)
    ]
