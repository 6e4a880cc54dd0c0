from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from dashboard.live.outbox import (
    CHANGED_SECONDS,
    UPDATE_LINES,
    UPDATE_ROWS,
    WAITING_LINES,
    WAITING_ROWS,
    Outbox,
    WaitingLine,
)
from dashboard.live.protocol import Changed, Delta, Snapshot, Watch, row_text
from tests.dashboard.live.test_protocol import a_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dashboard.live.protocol import Row

BOTH = Watch(frozenset({"requests", "log"}))
EMPTY = Snapshot([], {}, [])


def a_watched_outbox(watch: Watch = BOTH) -> Outbox:
    outbox = Outbox()
    outbox.begin(watch, None)
    outbox.put_snapshot(EMPTY)
    assert outbox.take(0.0) is EMPTY
    return outbox


def put(outbox: Outbox, rows: Iterable[Row]) -> None:
    outbox.put_rows([(row, row_text(row)) for row in rows])


def lines(count: int, level: str = "info") -> list[WaitingLine]:
    return [WaitingLine(number, level, b"%d" % number) for number in range(1, count + 1)]


def ids_of(update: object) -> list[str]:
    assert isinstance(update, Delta)
    return [orjson.loads(row)[0] for row in update.rows]


def test_rows_of_one_request_are_merged() -> None:
    outbox = a_watched_outbox()
    put(outbox, [a_row(rev=2, detail="begun"), a_row(rev=0), a_row(rev=3, detail="ended")])
    delta = outbox.take(0.0)

    assert isinstance(delta, Delta)
    assert [orjson.loads(row)[1] for row in delta.rows] == [3]
    assert outbox.take(0.0) is None


def test_an_update_has_the_newest_rows_and_keeps_the_others() -> None:
    outbox = a_watched_outbox()
    put(outbox, [a_row(id=str(number)) for number in range(100)])

    assert ids_of(outbox.take(0.0)) == [str(number) for number in range(100 - UPDATE_ROWS, 100)]
    assert ids_of(outbox.take(0.0)) == [str(number) for number in range(100 - UPDATE_ROWS)]


def test_too_many_rows_are_only_counted() -> None:
    outbox = a_watched_outbox()
    for number in range(1_000):
        put(outbox, [a_row(id=str(number))])
    delta = outbox.take(0.0)

    assert isinstance(delta, Delta)
    assert delta.more == 1_000 - WAITING_ROWS
    assert outbox.misses_rows
    outbox.put_snapshot(EMPTY)
    assert not outbox.misses_rows


def test_too_many_lines_are_only_counted() -> None:
    outbox = a_watched_outbox()
    outbox.put_lines(lines(WAITING_LINES + 500))
    delta = outbox.take(0.0)

    assert isinstance(delta, Delta)
    assert (len(delta.lines), delta.skipped) == (UPDATE_LINES, WAITING_LINES + 500 - UPDATE_LINES)
    assert delta.lines[-1] == b"%d" % (WAITING_LINES + 500)


def test_lines_below_the_level_are_left_out() -> None:
    outbox = a_watched_outbox(Watch(frozenset({"log"}), {}, "warning"))
    outbox.put_lines([*lines(2, "info"), *lines(1, "warning"), *lines(1, "critical"), *lines(1, "info")])
    delta = outbox.take(0.0)

    assert isinstance(delta, Delta)
    assert (len(delta.lines), delta.skipped) == (2, 0)


def test_lines_of_a_snapshot_do_not_come_twice() -> None:
    outbox = Outbox()
    outbox.begin(BOTH, None)
    outbox.put_lines(lines(3))
    outbox.put_snapshot(EMPTY, ring_until=4)
    outbox.put_lines([*lines(6), WaitingLine(0, "info", b"of another server")])

    assert outbox.take(0.0) is EMPTY
    delta = outbox.take(0.0)
    assert isinstance(delta, Delta)
    assert delta.lines == [b"5", b"6", b"of another server"]


def test_what_is_not_watched_does_not_wait() -> None:
    outbox = a_watched_outbox(Watch())
    put(outbox, [a_row()])
    outbox.put_lines(lines(1))

    assert outbox.due_in(0.0) is None


def test_nothing_goes_out_before_the_snapshot() -> None:
    outbox = Outbox()
    outbox.put_totals({"in_flight": 1})
    outbox.put_changed(["quota"])
    assert outbox.due_in(0.0) is None

    outbox.begin(BOTH, None)
    put(outbox, [a_row()])
    outbox.put_totals({"in_flight": 2})
    assert outbox.due_in(0.0) is None

    outbox.put_snapshot(EMPTY)
    assert [type(outbox.take(0.0)) for _ in range(2)] == [Snapshot, Delta]


def test_totals_go_out_when_they_differ() -> None:
    outbox = a_watched_outbox()
    outbox.put_totals({"in_flight": 1})
    assert isinstance(outbox.take(0.0), Delta)

    outbox.put_totals({"in_flight": 1})
    assert outbox.take(0.0) is None


def test_changes_are_gathered_for_two_seconds() -> None:
    outbox = a_watched_outbox()
    outbox.put_changed(["quota"])
    assert outbox.take(0.0) == Changed(frozenset({"quota"}))

    outbox.put_changed(["quota"])
    outbox.put_changed(["accounts"])
    assert (outbox.take(1.0), outbox.due_in(1.0)) == (None, CHANGED_SECONDS - 1.0)
    assert outbox.take(CHANGED_SECONDS) == Changed(frozenset({"accounts", "quota"}))


def test_another_filter_drops_what_waits_for_the_old() -> None:
    outbox = a_watched_outbox()
    put(outbox, [a_row(id="old", account="ada")])
    outbox.begin(BOTH, lambda row: row.account == "grace")
    put(outbox, [a_row(id="new", account="ada"), a_row(id="wanted", account="grace")])
    outbox.put_snapshot(EMPTY)
    outbox.take(0.0)

    assert ids_of(outbox.take(0.0)) == ["wanted"]
