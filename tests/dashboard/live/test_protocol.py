from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live.protocol import (
    COLUMNS,
    TOPICS,
    Ack,
    BadMessage,
    Delta,
    Row,
    Snapshot,
    Watch,
    line_text,
    merge,
    parse,
    row_of_event,
    row_text,
)
from gateway.ledger.record import RequestRecord
from gateway.ledger.recorder import facts
from gateway.telemetry.log_ring import LogLine

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SECONDS = st.none() | st.floats(0, 1e9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
WELL_KNOWN = st.fixed_dictionaries(
    {"t": st.sampled_from(["watch", "ack"])},
    optional={"n": JSON, "topics": JSON | st.just(["log"]), "filter": JSON, "level": JSON},
)


def a_row(**changes: Any) -> Row:
    record = RequestRecord("req-1", "alice", "session-1", 10, id=7, started_at=1_800_000_000.25)
    return row_of_event({"kind": "request_started", "request": facts(record)})._replace(**changes)


@settings(max_examples=300)
@given(TEXTS, TEXTS, SECONDS, st.integers(0, 2**63))
def test_a_row_comes_back_as_it_went(name: str, detail: str, seconds: float | None, tokens: int) -> None:
    row = a_row(account=name, detail=detail, duration_seconds=seconds, output_tokens=tokens)

    assert Row(*orjson.loads(row_text(row))) == row


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30), st.randoms())
def test_merged_in_any_order_the_highest_rev_stays(pairs: list[tuple[str, int]], random: Any) -> None:
    rows = [a_row(id=key, rev=rev) for key, rev in pairs]
    random.shuffle(rows)
    merged: dict[str, Row] = {}
    for row in rows:
        merge(merged, [row])

    assert {key: row.rev for key, row in merged.items()} == {
        key: max(rev for other, rev in pairs if other == key) for key, _ in pairs
    }


@settings(max_examples=100)
@given(st.text() | JSON.map(json.dumps))
def test_no_text_is_a_failure(text: str) -> None:
    try:
        parse(text)
    except BadMessage:
        return


@settings(max_examples=100)
@given(WELL_KNOWN)
def test_what_is_parsed_is_of_its_kind(message: dict[str, Any]) -> None:
    try:
        parsed = parse(orjson.dumps(message).decode())
    except (BadMessage, orjson.JSONEncodeError):
        return

    if isinstance(parsed, Watch):
        assert parsed.topics <= TOPICS
        assert all(isinstance(value, str | int | float) for value in parsed.filter.values())
    else:
        assert isinstance(parsed.number, int)


def test_watch_and_ack_are_read() -> None:
    watch = parse('{"t":"watch","topics":["requests"],"filter":{"errors":true,"slower":10}}')

    assert watch == Watch(frozenset({"requests"}), {"errors": True, "slower": 10}, "info")
    assert parse('{"t":"watch","topics":["log"],"level":"debug"}') == Watch(frozenset({"log"}), {}, "debug")
    assert parse('{"t":"ack","n":2}') == Ack(2)


def test_updates_are_json_of_their_number() -> None:
    row, line = row_text(a_row()), line_text(LogLine(1, 2.0, "info", "req-1", "<b>&\n"))
    snapshot = orjson.loads(Snapshot([row, row], {"in_flight": 1}, []).as_text(3))
    delta = orjson.loads(Delta([row], 5, {}, [line], 2).as_text(4))

    assert snapshot == {
        "t": "snapshot",
        "n": 3,
        "rows": [list(a_row())] * 2,
        "totals": {"in_flight": 1},
        "lines": [],
    }
    assert (delta["n"], delta["more"], delta["skipped"]) == (4, 5, 2)
    assert delta["lines"] == [[2.0, "info", "req-1", "<b>&\n"]]


@pytest.mark.parametrize(
    ("kind", "rev"),
    [("request_started", 0), ("attempt_failed", 1), ("first_event", 2), ("request_finished", 3)],
)
def test_a_stage_has_its_rev(kind: str, rev: int) -> None:
    record = RequestRecord("req-1", "alice", "", 10, id=7)

    assert row_of_event({"kind": kind, "request": facts(record)}).rev == rev


def test_a_failed_try_is_told_before_the_end() -> None:
    event = {"kind": "attempt_failed", "attempt": {"reason": "quota", "decision": "next account"}}
    record = RequestRecord("req-1", "alice", "", 10)

    row = row_of_event({**event, "request": facts(record)})

    assert (row.outcome, row.detail, row.rev) == ("open", "quota → next account", 1)


def test_rows_without_a_ledger_have_ids_of_their_own() -> None:
    records = [RequestRecord("the-same", "alice", "", 10, started_at=at) for at in (1.0, 2.0)]
    rows = [row_of_event({"kind": "request_started", "request": facts(record)}) for record in records]

    assert len({row.id for row in rows}) == 2


def test_the_columns_begin_with_id_and_rev() -> None:
    assert COLUMNS[:2] == ("id", "rev")
