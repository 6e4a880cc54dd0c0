"""Quota snapshots: the remaining fraction per account, model and header mode, their history and forecast; and
those of the windows of five hours and a week, for accounts for which Google reports them.

They are taken in the background; pages and commands read the stored ones without a call to Google.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from django.db import transaction
from django.utils import timezone

from accounts.models import Account, QuotaNumbers, QuotaSnapshot, QuotaWindow
from accounts.quota import forecast
from accounts.quota.forecast import Forecast, Measurement, forecast_of
from accounts.quota.histories import HISTORY_SECONDS, Histories, History, QuotaKey, seen_since

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from accounts.offers import ModelOffer, WindowOffer

HISTORY = timedelta(days=14)
FORECASTS_KEPT_SECONDS = 5.0
SAME_RESET = timedelta(minutes=2)
"""Google computes the reset time anew for each answer; times closer than this are the same reset."""
INTERNAL_MODELS = ("chat_", "tab_")
"""Prefixes of models that serve the editor's own features and are not offered to clients."""
SPANS = {"5h": "5 hours", "weekly": "the week"}

Row = TypeVar("Row", QuotaSnapshot, QuotaWindow)


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
        return _sentence(self.forecast)


def store_quotas(account_id: int, header_mode: str, offers: Iterable[ModelOffer]) -> None:
    """Add a row for each model whose numbers have changed; for the others update only `seen_at`."""
    now = timezone.now()
    with transaction.atomic():
        known = {row.model_id: row for row in _newest(QuotaSnapshot, account_id, header_mode=header_mode)}
        for offer in offers:
            if not offer.id.startswith(INTERNAL_MODELS):
                row = QuotaSnapshot(account_id=account_id, model_id=offer.id[:100], header_mode=header_mode)
                row.remaining_fraction, row.reset_at = offer.remaining_fraction, offer.reset_at
                _store(row, known.get(offer.id), now)


def store_windows(account_id: int, windows: Iterable[WindowOffer]) -> None:
    """Do the same for an account's windows."""
    now = timezone.now()
    with transaction.atomic():
        known = {(row.family, row.span): row for row in _newest(QuotaWindow, account_id)}
        for window in windows:
            row = QuotaWindow(account_id=account_id, family=window.family, span=window.span)
            row.remaining_fraction, row.reset_at = window.remaining_fraction, window.reset_at
            _store(row, known.get((window.family, window.span)), now)


def forget_old_quotas() -> int:
    """Delete rows last seen more than HISTORY ago, and return their number."""
    old = {"seen_at__lt": timezone.now() - HISTORY}
    return sum(table.objects.filter(**old).delete()[0] for table in (QuotaSnapshot, QuotaWindow))


@dataclass(frozen=True, slots=True)
class WindowForecast:
    """The newest numbers of one window of a family of models, with its forecast. `remaining_fraction` is None
    when unknown."""

    account_id: int
    family: str
    span: str
    remaining_fraction: float | None
    reset_at: datetime | None
    seen_at: datetime
    forecast: Forecast | None

    @property
    def sentence(self) -> str:
        return _sentence(self.forecast)

    @property
    def name(self) -> str:
        """The window's name on pages: "5 hours" or "the week"."""
        return SPANS.get(self.span, self.span)

    @property
    def empty_at(self) -> datetime | None:
        if self.forecast is None or self.forecast.empty_at is None:
            return None
        return datetime.fromtimestamp(self.forecast.empty_at, UTC)

    @property
    def left(self) -> str:
        return "unknown" if self.remaining_fraction is None else f"{self.remaining_fraction:.0%}"

    def as_json(self) -> dict[str, Any]:
        return {
            "window": self.span,
            "name": self.name,
            "left": self.left,
            "remaining_fraction": self.remaining_fraction,
            "full_again_at": self.reset_at,
            "seen_at": self.seen_at,
            "forecast": self.sentence,
        }


def _sentence(one: Forecast | None) -> str:
    if one is None:
        return ""
    return forecast.sentence(one, timezone.now().timestamp(), timezone.get_current_timezone())


Made = TypeVar("Made", QuotaForecast, WindowForecast)


class _Newest(NamedTuple):
    """The values of a forecast, without the fields that name the quota."""

    remaining_fraction: float | None
    reset_at: datetime | None
    seen_at: datetime
    forecast: Forecast | None


class _Kept(NamedTuple, Generic[Made]):
    at: float
    of: dict[QuotaKey, History]
    forecasts: list[Made]


class Forecasts(Generic[Made]):
    """The forecasts of all accounts, kept in memory for FORECASTS_KEPT_SECONDS, or until a process stores a
    snapshot."""

    def __init__(self, histories: Histories, make: Callable[..., Made]) -> None:
        self._histories = histories
        self._make: Callable[..., Made] = make
        self._kept: _Kept[Made] | None = None

    def forget(self) -> None:
        """Read all rows again next time, because some were changed or deleted, not only added."""
        self._histories.forget()
        self._kept = None

    def read(self, account_ids: Collection[int] | None) -> list[Made]:
        """Return the forecasts of these accounts; of all accounts when `account_ids` is None."""
        those = set(Account.objects.values_list("pk", flat=True) if account_ids is None else account_ids)
        now = timezone.now().timestamp()
        histories, kept = self._histories.read(now), self._kept
        if kept is None or kept.of is not histories or abs(now - kept.at) > FORECASTS_KEPT_SECONDS:
            kept = self._kept = _Kept(now, histories, _forecasts_of(histories, now, self._make))
        return [one for one in kept.forecasts if one.account_id in those]


forecasts = Forecasts(Histories(QuotaSnapshot, ("account_id", "model_id", "header_mode")), QuotaForecast)
window_forecasts = Forecasts(Histories(QuotaWindow, ("account_id", "family", "span")), WindowForecast)


def quota_forecasts(account_ids: Collection[int] | None = None) -> list[QuotaForecast]:
    """Return the forecast of each account, model and header mode seen within HISTORY_SECONDS; of all
    accounts when `account_ids` is None."""
    return forecasts.read(account_ids)


def history_lines(account_id: int, models: Collection[str]) -> dict[tuple[str, str], str]:
    """Return the points of an SVG polyline in a box of 100 by 20, for the last HISTORY_SECONDS of these
    models, by model and header mode."""
    start = timezone.now().timestamp() - HISTORY_SECONDS
    rows = seen_since(QuotaSnapshot, start).filter(account_id=account_id, model_id__in=models)
    pools = groupby(rows, key=lambda row: (row.model_id, row.header_mode))
    return {pool: _points(_measurements(history), start) for pool, history in pools}


def _points(measurements: list[Measurement], start: float) -> str:
    return " ".join(
        f"{max(0.0, one.at - start) / HISTORY_SECONDS * 100:.1f},{1 + (1 - one.remaining) * 18:.1f}"
        for one in measurements
    )


def _newest(table: type[Row], account_id: int, **key: str) -> Iterable[Row]:
    """Return recent rows, oldest first, so that a dict keeps the newest of each quota."""
    recent = seen_since(table, timezone.now().timestamp() - HISTORY_SECONDS)
    return recent.filter(account_id=account_id, **key).order_by("taken_at")


def _store(row: Row, known: Row | None, now: datetime) -> None:
    """Store the row, unless `known`, the newest of the same quota, has the same numbers; then only its times
    are updated."""
    if known is not None and _says_the_same(known, row):
        type(row)._default_manager.filter(pk=known.pk).update(seen_at=now, reset_at=row.reset_at)
        return
    row.taken_at = row.seen_at = now
    row.save(force_insert=True)


def _says_the_same(known: QuotaNumbers, row: QuotaNumbers) -> bool:
    if known.remaining_fraction != row.remaining_fraction:
        return False
    if row.remaining_fraction == 1 or known.reset_at is None or row.reset_at is None:
        return True  # a window that has not begun is full, and its end moves along with the clock
    return abs(known.reset_at - row.reset_at) < SAME_RESET


def _forecasts_of(histories: dict[QuotaKey, History], now: float, make: Callable[..., Made]) -> list[Made]:
    """Return the forecasts of all quotas. Models that share a quota have equal histories, which are read
    once."""
    read: dict[History, _Newest | None] = {}
    found = []
    for key, history in sorted(histories.items()):
        if history not in read:
            read[history] = _newest_of(history, now)
        if newest := read[history]:
            fraction, reset_at, seen_at, forecast_now = newest
            found.append(make(*key, fraction, reset_at, seen_at, forecast_now))
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
    """Return two measurements for each row: when its numbers were first seen, and when they were last
    seen."""
    return [
        Measurement(at.timestamp(), row.remaining_fraction)
        for row in rows
        if row.remaining_fraction is not None
        for at in (row.taken_at, row.seen_at)
    ]
