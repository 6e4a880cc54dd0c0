"""The recent rows of every quota in memory: read once, then kept up to date.

Fifty accounts have 23,000 rows in twelve hours, which take a second to read. A forecast needs those of two
hours and the one before them, and from one reading to the next a few change.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import F, Max, QuerySet
from django.db.models.lookups import IsNull

from accounts.models import QuotaSnapshot
from accounts.quota.forecast import WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HISTORY_SECONDS = 12 * 3600.0
LATE_BY_SECONDS = 10.0
"""A row may be committed this long after the time it bears."""


class QuotaKey(NamedTuple):
    account_id: int
    model_id: str
    header_mode: str


class Numbers(NamedTuple):
    """A row of QuotaSnapshot. Times are seconds since the epoch."""

    remaining_fraction: float | None
    reset_at: float | None
    taken_at: float
    seen_at: float


History = tuple[Numbers, ...]
"""Oldest first."""
Rows = dict[int, Numbers]
"""By primary key."""


class Histories:
    """The history of each quota: rows seen within WINDOW_SECONDS, and from before it the last one that has a
    fraction. Rows that were deleted with their account stay.

    Thread-safe.
    """

    def __init__(self) -> None:
        self.forget()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Have all rows read again."""
        self._rows: dict[QuotaKey, Rows] = {}
        self._histories: dict[QuotaKey, History] = {}
        self._newest = 0.0

    def read(self, now: float) -> dict[QuotaKey, History]:
        """Return the histories: another dict when any has changed since the last call. One query; two the
        first time, and while the clock is behind the newest row."""
        start = now - WINDOW_SECONDS
        with self._lock:
            if not start <= self._newest <= now + LATE_BY_SECONDS:
                self.forget()
                self._take(_rows_needed(now, start), start)
            else:
                self._take(_values(seen_since(self._newest - LATE_BY_SECONDS)), start)
            return self._histories

    def _take(self, found: Iterable[tuple[QuotaKey, int, Numbers]], start: float) -> None:
        changed: defaultdict[QuotaKey, Rows] = defaultdict(dict)
        for key, pk, numbers in found:
            if self._rows.get(key, {}).get(pk) != numbers:
                changed[key][pk] = numbers
                self._newest = max(self._newest, numbers.seen_at)
        if changed:
            for key, rows in changed.items():
                self._rows[key] = _those_needed({**self._rows.get(key, {}), **rows}, start)
            new = {key: tuple(self._rows[key].values()) for key in changed}
            self._histories = {**self._histories, **new}


def _those_needed(rows: Rows, start: float) -> Rows:
    ordered = sorted(rows.items(), key=lambda row: row[1].taken_at)
    before = [
        index
        for index, (_, numbers) in enumerate(ordered)
        if numbers.seen_at < start and numbers.remaining_fraction is not None
    ]
    return dict(ordered[before[-1] if before else 0 :])


def seen_since(at: float) -> QuerySet[QuotaSnapshot]:
    return QuotaSnapshot.objects.filter(seen_at__gte=datetime.fromtimestamp(at, UTC))


def _rows_needed(now: float, start: float) -> Iterator[tuple[QuotaKey, int, Numbers]]:
    before = seen_since(now - HISTORY_SECONDS).filter(seen_at__lt=datetime.fromtimestamp(start, UTC))
    has_fraction = IsNull(F("remaining_fraction"), False)
    quotas = before.order_by().values(*QuotaKey._fields, has_fraction=has_fraction)
    yield from _values(QuotaSnapshot.objects.filter(pk__in=quotas.annotate(last=Max("pk")).values("last")))
    yield from _values(seen_since(start))


def _values(rows: QuerySet[QuotaSnapshot]) -> Iterator[tuple[QuotaKey, int, Numbers]]:
    columns = rows.order_by().values_list(*QuotaKey._fields, "pk", *Numbers._fields)
    for account_id, model_id, header_mode, pk, fraction, reset_at, taken_at, seen_at in columns:
        reset = reset_at.timestamp() if reset_at else None
        numbers = Numbers(fraction, reset, taken_at.timestamp(), seen_at.timestamp())
        yield QuotaKey(account_id, model_id, header_mode), pk, numbers
