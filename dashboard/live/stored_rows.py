"""The rows of a snapshot: what the ledger has, with what is newer in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.live.protocol import BEGUN, STARTED, TRY_FAILED, Row, merge, row_of_facts, row_of_log
from gateway.ledger import search
from gateway.ledger.recorder import facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.ledger.record import RequestRecord

NEWEST_ROWS = 50
MOST_OPEN = 150


def read_rows(wanted: search.Search) -> list[Row]:
    """The newest and the open rows that match. Two queries."""
    newest = search.page(wanted, limit=NEWEST_ROWS)
    still_open = search.open_rows().order_by("-started_at")[:MOST_OPEN]
    return [row_of_log(log) for log in (*newest, *(one for one in still_open if wanted.matches(one)))]


def row_of_record(record: RequestRecord) -> Row:
    """The row of a request that is under way in this process."""
    is_begun = record.first_event_seconds is not None
    return row_of_facts(
        facts(record), BEGUN if is_begun else TRY_FAILED if len(record.attempts) > 1 else STARTED
    )


def newest_and_open(stored: Iterable[Row], *newer: Iterable[Row]) -> list[Row]:
    """Rows merged by id: all open ones and the newest of the others, newest first."""
    rows: dict[str, Row] = {}
    for some in (stored, *newer):
        merge(rows, some)
    ordered = sorted(rows.values(), key=lambda row: row.started_at, reverse=True)
    newest = {row.id for row in ordered[:NEWEST_ROWS]}
    still_open = [row.id for row in ordered if row.is_open][:MOST_OPEN]
    shown = newest.union(still_open)
    return [row for row in ordered if row.id in shown]
