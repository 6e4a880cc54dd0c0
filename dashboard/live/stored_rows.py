"""The rows of a snapshot, from the ledger and, where it is newer, from memory; and the rows of other
servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.functions import Now

from dashboard.live.protocol import BEGUN, ENDED, STARTED, TRY_FAILED, Row, merge, row_of_facts, row_of_log
from dashboard.requests.operator_text import names_by_label
from gateway.ledger import search
from gateway.ledger.instances import LEASE
from gateway.ledger.recorder import facts
from gateway.models import RequestLog, ServerInstance

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.ledger.record import RequestRecord

NEWEST_ROWS = 50
MOST_OPEN = 150
MOST_OF_OTHERS = 200


def read_rows(wanted: search.Search) -> list[Row]:
    """Return the newest and the open rows that match. Makes two queries, and one a minute for names."""
    names_by_label()
    newest = search.page(wanted, limit=NEWEST_ROWS)
    still_open = search.open_rows().order_by("-started_at")[:MOST_OPEN]
    return [row_of_log(log) for log in (*newest, *(one for one in still_open if wanted.matches(one)))]


class OtherServers:
    """The rows of other servers on this database, whose events are not visible in this process."""

    def __init__(self, instance_id: int) -> None:
        self._instance_id = instance_id
        self._revs: dict[str, int] = {}
        self.in_flight = 0

    def news(self, now: datetime) -> list[Row]:
        """Return the rows that have changed since the last call. Makes one query when there is no other
        server, else 3 or 4."""
        rows = self._read(now) if self._exist() else []
        self.in_flight = sum(row.is_open for row in rows)
        news = [row for row in rows if self._revs.get(row.id, -1) < row.rev]
        self._revs = {row.id: row.rev for row in rows}
        return news

    def _exist(self) -> bool:
        alive = ServerInstance.objects.filter(ended_at=None, seen_at__gt=Now() - LEASE)
        return alive.exclude(pk=self._instance_id).exists()

    def _read(self, now: datetime) -> list[Row]:
        theirs = ~Q(instance_id=self._instance_id)
        recent = search.page(search.Search(since=now - search.LATE_BY), limit=MOST_OF_OTHERS, also=theirs)
        still_open = search.open_rows().filter(theirs).order_by("-started_at")[:MOST_OPEN]
        rows = {str(log.pk): row_of_log(log) for log in (*recent, *still_open)}
        ended = [int(key) for key, rev in self._revs.items() if rev < ENDED and key not in rows]
        long_ones = RequestLog.objects.filter(pk__in=ended) if ended else ()
        return [*rows.values(), *map(row_of_log, long_ones)]


def row_of_record(record: RequestRecord) -> Row:
    """Return the row of a request that is open in this process."""
    is_begun = record.first_event_seconds is not None
    return row_of_facts(
        facts(record), BEGUN if is_begun else TRY_FAILED if len(record.attempts) > 1 else STARTED
    )


def newest_and_open(stored: Iterable[Row], *newer: Iterable[Row]) -> list[Row]:
    """Return rows merged by id: all open ones and the newest of the others, newest first."""
    rows: dict[str, Row] = {}
    for some in (stored, *newer):
        merge(rows, some)
    ordered = sorted(rows.values(), key=lambda row: row.started_at, reverse=True)
    newest = {row.id for row in ordered[:NEWEST_ROWS]}
    still_open = [row.id for row in ordered if row.is_open][:MOST_OPEN]
    shown = newest.union(still_open)
    return [row for row in ordered if row.id in shown]
