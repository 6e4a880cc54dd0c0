"""The recent rows of every quota in memory: read once, then kept up to date.

Fifty accounts have 23,000 rows in twelve hours, which take a second to read. A forecast needs only those of
two hours and the one before them, of which few change between two readings.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import F, Max, Q, QuerySet
from django.db.models.lookups import IsNull

from accounts.quota.forecast import WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from accounts.models import QuotaSnapshot, QuotaWindow

HISTORY_SECONDS = 12 * 3600.0
LATE_BY_SECONDS = 10.0
"""A row may be committed this long after the time that it has."""


QuotaKey = tuple[Any, ...]
"""The values of the columns that identify a quota; the first is the id of the account."""


class Numbers(NamedTuple):
    """A row of QuotaNumbers. Times are seconds since the epoch."""

    remaining_fraction: float | None
    reset_at: float | None
    taken_at: float
    seen_at: float


History = tuple[Numbers, ...]
"""The rows of one quota, oldest first."""
Rows = dict[int, Numbers]
"""The rows of one quota, by primary key."""


class Histories:
    """The history of each quota: the rows seen within WINDOW_SECONDS, and the last row before them that has a
    fraction. Rows that were deleted together with their account stay. Thread-safe."""

    def __init__(self, table: type[QuotaSnapshot | QuotaWindow], key: tuple[str, ...]) -> None:
        self._table, self._key = table, key
        self.forget()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Drop all rows, so that the next call of `read` reads them again."""
        self._rows: dict[QuotaKey, Rows] = {}
        self._histories: dict[QuotaKey, History] = {}
        self._newest = 0.0

    def read(self, now: float) -> dict[QuotaKey, History]:
        """Return the histories; a new dict if any has changed since the last call. Makes one query, which
        reads all rows the first time, and while the clock is behind the newest row."""
        start = now - WINDOW_SECONDS
        with self._lock:
            if not start <= self._newest <= now + LATE_BY_SECONDS:
                self.forget()
                self._take(self._values(self._rows_needed(now, start)), start)
            else:
                self._take(self._values(seen_since(self._table, self._newest - LATE_BY_SECONDS)), start)
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

    def _rows_needed(self, now: float, start: float) -> QuerySet[Any]:
        window_begins = datetime.fromtimestamp(start, UTC)
        before = seen_since(self._table, now - HISTORY_SECONDS).filter(seen_at__lt=window_begins)
        has_fraction = IsNull(F("remaining_fraction"), False)
        last = before.order_by().values(*self._key, has_fraction=has_fraction).annotate(last=Max("pk"))
        return self._table.objects.filter(Q(seen_at__gte=window_begins) | Q(pk__in=last.values("last")))

    def _values(self, rows: QuerySet[Any]) -> Iterator[tuple[QuotaKey, int, Numbers]]:
        size = len(self._key)
        for values in rows.order_by().values_list(*self._key, "pk", *Numbers._fields):
            pk, fraction, reset_at, taken_at, seen_at = values[size:]
            reset = reset_at.timestamp() if reset_at else None
            yield values[:size], pk, Numbers(fraction, reset, taken_at.timestamp(), seen_at.timestamp())


def _those_needed(rows: Rows, start: float) -> Rows:
    ordered = sorted(rows.items(), key=lambda row: row[1].taken_at)
    before = [
        index
        for index, (_, numbers) in enumerate(ordered)
        if numbers.seen_at < start and numbers.remaining_fraction is not None
    ]
    return dict(ordered[before[-1] if before else 0 :])


def seen_since(table: type[QuotaSnapshot | QuotaWindow], at: float) -> QuerySet[Any]:
    return table.objects.filter(seen_at__gte=datetime.fromtimestamp(at, UTC))
