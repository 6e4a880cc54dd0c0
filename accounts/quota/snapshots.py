"""Quota snapshots: the remaining fraction per account, model and header mode, their history and forecast.

They are taken in the background; pages and commands read the stored ones without a call to Google.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts.models import QuotaSnapshot
from accounts.quota import forecast
from accounts.quota.forecast import Forecast, Measurement, forecast_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from accounts.google.code_assist import ModelOffer

HISTORY = timedelta(days=14)
FORECAST_HISTORY = timedelta(hours=12)
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


def quota_forecasts(account_ids: Collection[int] | None = None) -> list[QuotaForecast]:
    """The forecast of each account, model and header mode seen within FORECAST_HISTORY; of all accounts when
    `account_ids` is None."""
    rows = QuotaSnapshot.objects.filter(seen_at__gte=timezone.now() - FORECAST_HISTORY)
    if account_ids is not None:
        rows = rows.filter(account_id__in=account_ids)
    pools = groupby(rows, key=lambda row: (row.account_id, row.model_id, row.header_mode))
    return [_quota_forecast(list(history)) for _, history in pools]


def history_lines(account_id: int) -> dict[tuple[str, str], str]:
    """Points of an SVG polyline in a box of 100 by 20 for the last FORECAST_HISTORY, by model and header
    mode."""
    start = (timezone.now() - FORECAST_HISTORY).timestamp()
    rows = QuotaSnapshot.objects.filter(account_id=account_id, seen_at__gte=timezone.now() - FORECAST_HISTORY)
    pools = groupby(rows, key=lambda row: (row.model_id, row.header_mode))
    return {pool: _points(_measurements(list(history)), start) for pool, history in pools}


def _points(measurements: list[Measurement], start: float) -> str:
    seconds = FORECAST_HISTORY.total_seconds()
    return " ".join(
        f"{max(0.0, one.at - start) / seconds * 100:.1f},{1 + (1 - one.remaining) * 18:.1f}"
        for one in measurements
    )


def _newest(account_id: int, header_mode: str) -> Iterable[QuotaSnapshot]:
    """Recent rows, oldest first, so that a dict by model keeps the newest of each."""
    recent = timezone.now() - FORECAST_HISTORY
    return QuotaSnapshot.objects.filter(
        account_id=account_id, header_mode=header_mode, seen_at__gte=recent
    ).order_by("taken_at")


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


def _quota_forecast(history: list[QuotaSnapshot]) -> QuotaForecast:
    newest = history[-1]
    reset_at = newest.reset_at.timestamp() if newest.reset_at else None
    return QuotaForecast(
        account_id=newest.account_id,
        model_id=newest.model_id,
        header_mode=newest.header_mode,
        remaining_fraction=newest.remaining_fraction,
        reset_at=newest.reset_at,
        seen_at=newest.seen_at,
        forecast=forecast_of(_measurements(history), reset_at, timezone.now().timestamp()),
    )


def _measurements(history: list[QuotaSnapshot]) -> list[Measurement]:
    """Two measurements for each row: when its numbers were first seen, and when they were last seen."""
    return [
        Measurement(at.timestamp(), row.remaining_fraction)
        for row in history
        if row.remaining_fraction is not None
        for at in (row.taken_at, row.seen_at)
    ]
