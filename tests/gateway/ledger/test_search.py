from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import TZPATH, ZoneInfo

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.ledger import instances, usage
from gateway.ledger.search import (
    FIRST_SPAN,
    LARGEST_PAGE,
    MOST_NAMED,
    Following,
    NothingLikeIt,
    Search,
    as_json,
    attempt_as_json,
    attempts_of,
    attempts_of_all,
    full_name,
    ids_like,
    neighbours,
    page,
    whole_id,
)
from gateway.models import HourlyUsage, RequestLog
from gateway.translation.response.usage import Tokens
from tests.gateway.ledger.builders import (
    MORNING,
    a_failed_record,
    a_record,
    a_refused_attempt,
    an_attempt,
    an_open_record,
    answer,
    keep,
    row_of,
)

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


def at_minute(minute: float, **changes: Any) -> dict[str, Any]:
    return {"started_at": (MORNING + timedelta(minutes=minute)).timestamp(), **changes}


def ids(rows: list[RequestLog]) -> list[int]:
    return [row.pk for row in rows]


def all_pages(search: Search, limit: int) -> list[int]:
    found: list[int] = []
    while rows := page(search, before=found[-1] if found else None, limit=limit):
        found += ids(rows)
    return found


# Pages


def test_the_newest_comes_first() -> None:
    first, second, third = (a_record(**at_minute(minute)) for minute in (1, 3, 2))
    keep(first, second, third)

    assert ids(page(Search())) == [second.id, third.id, first.id]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
@pytest.mark.parametrize("distinct_moments", [1, 4, 23])
def test_pages_visit_each_row_once(limit: int, distinct_moments: int) -> None:
    records = [a_record(**at_minute(number % distinct_moments)) for number in range(23)]
    keep(*records)

    expected = sorted(records, key=lambda record: (record.started_at, record.id), reverse=True)
    assert all_pages(Search(), limit) == [record.id for record in expected]


def test_pages_with_a_filter_go_on_where_they_were() -> None:
    records = [a_record(**at_minute(number // 5, client=f"client-{number % 2}")) for number in range(20)]
    keep(*records)

    found = all_pages(Search(client="client-1"), 3)

    assert sorted(found) == [record.id for record in records if record.client == "client-1"]


def test_what_comes_meanwhile_moves_no_page() -> None:
    keep(*[a_record(**at_minute(number)) for number in range(4)])
    first = page(Search(), limit=2)
    keep(a_record(**at_minute(9)))

    second = page(Search(), before=first[-1].pk, limit=2)

    assert len({*ids(first), *ids(second)}) == 4


def test_after_a_row_that_is_gone_comes_nothing() -> None:
    keep(a_record())

    assert page(Search(), before=1) == []


def test_a_page_has_its_limits() -> None:
    keep(*[a_record() for _ in range(LARGEST_PAGE + 5)])

    assert len(page(Search(), limit=100_000)) == LARGEST_PAGE + 1  # the last one says that there is more
    assert len(page(Search())) == 50
    assert page(Search(), limit=0) == []


# Filters


def one_of_each() -> dict[str, int]:
    grace = [an_attempt(account_name="grace@example.com", model_id="gemini-3-pro")]
    records = {
        "plain": a_record(**at_minute(0)),
        "grace": a_record(**at_minute(1, attempts=grace, client="AUTH_TOKEN", session_id="another")),
        "failed": a_failed_record(**at_minute(2, request_id="mine")),
        "hung up": a_record(**at_minute(3, problem="hung_up", status=499)),
        "open": an_open_record(**at_minute(4)),
        "interrupted": an_open_record(**at_minute(5)),
    }
    *others, interrupted = records.values()
    keep(*others)
    keep(interrupted, instance_id=instances.register("here").pk)
    instances.register("here")
    return {name: record.id for name, record in records.items()}


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"plain", "grace", "failed", "hung up", "open", "interrupted"}),
    ({"account": "grace@example.com"}, {"grace"}),
    ({"account": "grace@example"}, set()),
    ({"model": "gemini-3-pro"}, {"grace"}),
    ({"client": "AUTH_TOKEN"}, {"grace"}),
    ({"session": "another"}, {"grace"}),
    ({"request_id": "mine"}, {"failed"}),
    ({"status": 200}, {"plain", "grace"}),
    ({"status": 499}, {"hung up"}),
    ({"status": 502}, {"failed"}),
    ({"errors": True}, {"failed", "interrupted"}),
    ({"errors": True, "status": 502}, {"failed"}),
    ({"errors": True, "status": 200}, set()),
    ({"errors": True, "client": "AUTH_TOKEN"}, set()),
    ({"client": "loopback", "model": "gemini-3-flash", "status": 200}, {"plain"}),
    ({"slower": 0.5}, {"plain", "grace", "failed", "hung up"}),
    ({"slower": 0.51}, {"failed"}),
    ({"slower": 0.5, "errors": True}, {"failed"}),
    ({"slower": 2.1}, set()),
]


@pytest.mark.parametrize(("wanted", "names"), FILTERS, ids=[str(wanted) for wanted, _ in FILTERS])
def test_a_search_finds_exactly_the_matching_rows(wanted: dict[str, Any], names: set[str]) -> None:
    kept, search = one_of_each(), Search(**wanted)

    found = set(ids(page(search)))

    assert {name for name, pk in kept.items() if pk in found} == names
    assert {row.pk for row in RequestLog.objects.all() if search.matches(row)} == found


def test_a_span_is_from_its_beginning_to_before_its_end() -> None:
    records = [a_record(**at_minute(minute)) for minute in range(5)]
    keep(*records)

    search = Search(since=MORNING + timedelta(minutes=1), until=MORNING + timedelta(minutes=3))

    assert ids(page(search)) == [records[2].id, records[1].id]


@pytest.mark.parametrize("wanted", [{"errors": True}, {"account": "ada"}, {"status": 502}, {"slower": 10.0}])
def test_a_search_with_a_filter_begins_with_seven_days(wanted: dict[str, Any]) -> None:
    assert Search(**wanted).at_first(MORNING) == Search(**wanted, since=MORNING - FIRST_SPAN)


@pytest.mark.parametrize(
    "wanted",
    [{}, {"session": "s"}, {"request_id": "r"}, {"errors": True, "since": MORNING}, {"until": MORNING}],
)
def test_a_search_that_reads_little_has_all_times(wanted: dict[str, Any]) -> None:
    assert Search(**wanted).at_first(MORNING) == Search(**wanted)


@pytest.mark.parametrize("column", ["request_id", "account", "model", "client", "request_class", "session"])
def test_nothing_has_a_name_that_no_database_can_store(column: str) -> None:
    keep(a_record())

    wanted: dict[str, Any] = {column: "a\0b"}
    assert page(Search(**wanted)) == []


def test_a_time_may_have_the_zone_of_the_machine() -> None:
    """Read from a file it cannot be copied."""
    keep(record := a_record())
    berlin = next(file for folder in TZPATH if (file := Path(folder) / "Europe" / "Berlin").is_file())
    with berlin.open("rb") as content:
        zone = ZoneInfo.from_file(content)
    began = datetime.fromtimestamp(record.started_at, zone)

    assert len(page(Search(since=began - timedelta(minutes=1), until=began + timedelta(minutes=1)))) == 1


# One request


def test_neighbours_are_those_of_the_same_session() -> None:
    one, two, three = (a_record(**at_minute(minute, session_id="mine")) for minute in (1, 3, 5))
    others = [a_record(**at_minute(minute, session_id="another")) for minute in (2, 4)]
    keep(one, two, three, *others)

    found = {
        record.id: [row and row.pk for row in neighbours(row_of(record))] for record in (one, two, three)
    }

    assert found == {one.id: [None, two.id], two.id: [one.id, three.id], three.id: [two.id, None]}


def test_neighbours_of_one_moment_are_in_the_order_of_pages() -> None:
    records = [a_record(session_id="mine") for _ in range(3)]
    keep(*records)

    before, after = neighbours(row_of(records[1]))

    assert before is not None
    assert after is not None
    assert (before.pk, after.pk) == (records[0].id, records[2].id)


def test_a_request_without_a_session_has_no_neighbours() -> None:
    records = [a_record(session_id="") for _ in range(2)]
    keep(*records)

    assert neighbours(row_of(records[0])) == (None, None)


def test_a_request_has_its_attempts_in_order() -> None:
    record = a_record(attempts=[a_refused_attempt(), a_refused_attempt(), an_attempt()])
    keep(record, a_record())

    tries = attempts_of(row_of(record))

    assert [(one.number, one.reason) for one in tries] == [(1, "quota"), (2, "quota"), (3, "answered")]


def test_attempts_of_several_requests_take_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    records = [a_record(attempts=[a_refused_attempt(), an_attempt()]) for _ in range(3)]
    at_once = a_record()
    keep(*records, at_once)
    rows = [row_of(record) for record in (*records, at_once)]

    with django_assert_num_queries(1):
        found = attempts_of_all(rows)

    assert {pk: len(tries) for pk, tries in found.items()} == {
        **{record.id: 2 for record in records},
        at_once.id: 1,
    }


def test_a_page_may_have_a_further_condition() -> None:
    slow, quick = a_record(duration_seconds=9.0), a_record(duration_seconds=1.0)
    keep(slow, quick)

    assert ids(page(Search(), also=Q(duration_seconds__gt=5))) == [slow.id]


def test_a_single_attempt_is_derived_from_its_request() -> None:
    record = a_record(
        waited_seconds=0.5, attempts=[an_attempt(waited_seconds=0.5, tokens=Tokens(9, 8, 7, 6))]
    )
    keep(record)

    [one] = attempts_of(row_of(record))

    assert (one.number, one.reason, one.decision) == (1, "answered", "")
    assert (one.account, one.model, one.endpoint) == (
        "ada@example.com",
        "gemini-3-flash",
        "https://cloudcode.example",
    )
    assert (one.started_at, one.waited_seconds) == (MORNING + timedelta(seconds=0.5), 0.5)
    assert one.took_seconds == 1.5
    assert (one.input_tokens, one.output_tokens, one.cache_read_tokens, one.thinking_tokens) == (9, 8, 7, 6)


def test_a_request_under_way_has_no_attempts_yet() -> None:
    record = an_open_record(attempts=[an_attempt()])
    keep(record)

    assert attempts_of(row_of(record)) == []


def test_rows_and_attempts_can_be_written_as_json() -> None:
    record = a_record()
    keep(record)

    row = row_of(record)
    text = json.dumps([as_json(row), attempt_as_json(attempts_of(row)[0])], cls=DjangoJSONEncoder)

    request, attempt = json.loads(text)
    assert (request["outcome"], request["request_id"]) == ("answered", record.request_id)
    assert (attempt["number"], attempt["account"]) == (1, "ada@example.com")
    assert "request_id" not in attempt


# Names


@pytest.fixture
def names(db: None) -> None:
    for email in ("ada@example.com", "grace@example.com", "ada@example.com.au"):
        keep(a_record(attempts=[an_attempt(account_name=email)]))
    keep(a_failed_record(attempts=[]))


@pytest.mark.parametrize("text", ["grace", "GRACE@", "grace@example.com", "race"])
def test_a_part_of_a_name_is_enough(text: str, names: None) -> None:
    assert full_name("account", text) == "grace@example.com"


def test_a_whole_name_wins_over_those_it_is_a_part_of(names: None) -> None:
    assert full_name("account", "ada@example.com") == "ada@example.com"


def test_where_several_fit_it_says_which(names: None) -> None:
    with pytest.raises(NothingLikeIt, match=r"several.*: ada@example\.com, ada@example\.com\.au\.$"):
        full_name("account", "ada@")


def test_where_none_fits_it_says_which_there_are(names: None) -> None:
    with pytest.raises(NothingLikeIt, match=r"no account like 'edsger'.*: ada@.*, grace@example\.com\.$"):
        full_name("account", "edsger")


def test_where_there_are_none_at_all_it_says_so() -> None:
    with pytest.raises(NothingLikeIt, match=r"no model like 'pro' in the ledger: none yet\.$"):
        full_name("model", "pro")


# Ids


NAMES_OF_REQUESTS = [
    "req_01",
    "req_01a",
    "req_01b",
    "REQ_01A",
    "req_02",
    "r%q",
    "r_q",
    "ré\ud7ff!",
    "ré\uffff",
    "é\U0010ffffz",
]


@pytest.mark.parametrize(
    "beginning",
    [
        "",
        "r",
        "req_01",
        "req_01a",
        "REQ_",
        "Req",
        "r%",
        "r_",
        "ré",
        "ré\ud7ff",
        "é\U0010ffff",
        "x",
        "\U0010ffff",
        "a\0",
    ],
)
def test_ids_are_found_by_any_beginning(beginning: str) -> None:
    keep(*(a_record(request_id=name) for name in NAMES_OF_REQUESTS))

    expected = sorted(name for name in NAMES_OF_REQUESTS if name.startswith(beginning))
    assert ids_like(beginning) == ([beginning] if beginning in expected else expected)


def test_an_id_used_twice_is_one_id_and_two_requests() -> None:
    keep(a_record(request_id="mine"), a_record(request_id="mine"))

    assert ids_like("mi") == ["mine"]
    assert len(page(Search(request_id="mine"))) == 2


def test_of_many_ids_the_first_few_are_named() -> None:
    keep(*(a_record(request_id=f"many-{number:03}") for number in range(30)))

    assert ids_like("many") == [f"many-{number:03}" for number in range(MOST_NAMED + 1)]


# Following


def ago(seconds: float, **changes: Any) -> dict[str, Any]:
    return {"started_at": time.time() - seconds, **changes}


def news(following: Following) -> list[int]:
    return ids(list(following.ended()))


def test_following_prints_a_request_once() -> None:
    following = Following(Search(), timezone.now())
    record = an_open_record(**ago(0))
    keep(record)
    assert news(following) == []

    keep(answer(record))

    assert news(following) == [record.id]
    assert news(following) == []


def test_following_prints_a_request_never_seen_open() -> None:
    following = Following(Search(), timezone.now())
    record = a_record(**ago(2))
    keep(record)

    assert [news(following), news(following)] == [[record.id], []]


@pytest.mark.parametrize("seconds", [1, 29, 40, 4000])
def test_following_prints_an_open_request_when_it_ends(seconds: float) -> None:
    record = an_open_record(**ago(seconds))
    keep(record)
    following = Following(Search(), timezone.now())
    assert news(following) == []

    keep(answer(record))

    assert [news(following), news(following)] == [[record.id], []]


@pytest.mark.parametrize("seconds", [0, 10, 29, 31, 40])
def test_what_had_ended_before_is_not_told(seconds: float) -> None:
    keep(a_record(**ago(seconds)))
    following = Following(Search(), timezone.now())

    keep(a_record(**ago(0)))

    assert len(news(following)) == 1
    assert news(following) == []


def test_following_prints_a_long_request_after_many_others() -> None:
    following = Following(Search(), timezone.now())
    slow = an_open_record(**ago(0))
    keep(slow)
    news(following)
    for minute in range(1, 5):
        keep(a_record(**ago(-60 * minute)))
        assert len(news(following)) == 1

    keep(answer(slow))

    assert [news(following), news(following)] == [[slow.id], []]


def test_requests_ended_together_come_in_starting_order() -> None:
    following = Following(Search(), timezone.now())
    late, early = a_record(**ago(1)), a_record(**ago(5))

    keep(late, early)

    assert news(following) == [early.id, late.id]


def test_an_interrupted_request_is_reported_once_when_corrected() -> None:
    following = Following(Search(), timezone.now())
    record = an_open_record(**ago(0))
    keep(record, instance_id=instances.register("here").pk)
    assert news(following) == []
    instances.register("here")
    assert news(following) == [record.id]

    keep(answer(record), is_replay=True)

    assert news(following) == []


def test_only_what_is_searched_for_is_told() -> None:
    following = Following(Search(errors=True), timezone.now())
    failed = a_failed_record(**ago(1))

    keep(failed, a_record(**ago(1)), a_record(**ago(1, problem="hung_up", status=499)))

    assert news(following) == [failed.id]


def test_a_server_whose_clock_is_ahead_hides_nothing_of_the_others() -> None:
    following = Following(Search(), timezone.now())
    ahead = a_record(**ago(-90))
    keep(ahead)
    assert news(following) == [ahead.id]

    ours = a_record(**ago(0))
    keep(ours)

    assert news(following) == [ours.id]


# How the database goes about it

PLANS: list[tuple[dict[str, Any], str]] = [
    ({}, "request_newest"),
    ({"account": "ada@example.com"}, "request_by_account"),
    ({"model": "gemini-3-flash"}, "request_by_model"),
    ({"client": "loopback"}, "request_by_client"),
    ({"session": "session-1"}, "request_by_session"),
    ({"request_id": "req_1000"}, "request_by_id"),
    ({"errors": True}, "request_with_problem"),
    ({"status": 502}, "request_with_problem"),
    ({"account": "ada@example.com", "since": MORNING}, "request_by_account"),
    ({"slower": 10.0, "since": MORNING}, "request_newest"),
]
ON_SQLITE = pytest.mark.skipif(connection.vendor != "sqlite", reason="the words are SQLite's")


def plans_of(queries: CaptureQueriesContext) -> list[str]:
    with connection.cursor() as cursor:
        plans = []
        for query in list(queries.captured_queries):
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans.append("\n".join(row[3] for row in cursor.fetchall()))
    return plans


@ON_SQLITE
@pytest.mark.parametrize("is_first", [True, False], ids=["first page", "a later page"])
@pytest.mark.parametrize(("wanted", "index"), PLANS, ids=lambda value: str(value))
def test_a_page_is_read_from_an_index(wanted: dict[str, Any], index: str, is_first: bool) -> None:
    record = a_record()
    keep(record)

    with CaptureQueriesContext(connection) as queries:
        page(Search(**wanted), before=None if is_first else record.id)

    plan = plans_of(queries)[-1]
    assert f"gateway_requestlog USING INDEX {index}" in plan


@ON_SQLITE
@pytest.mark.parametrize(("wanted", "index"), PLANS, ids=lambda value: str(value))
def test_a_page_is_never_the_beginning_of_all_rows_sorted(wanted: dict[str, Any], index: str) -> None:
    plan = Search(**wanted).rows()[:50].explain()

    assert "SCAN gateway_requestlog\n" not in plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan or index == "request_by_id"


@ON_SQLITE
def test_the_beginning_of_an_id_is_a_range_of_its_index() -> None:
    with CaptureQueriesContext(connection) as queries:
        ids_like("req_10")

    (plan,) = plans_of(queries)
    assert "USING COVERING INDEX request_by_id (request_id>? AND request_id<?)" in plan


@ON_SQLITE
def test_neighbours_are_read_from_the_index_of_sessions() -> None:
    record = a_record()
    keep(record)
    row = row_of(record)
    with CaptureQueriesContext(connection) as queries:
        neighbours(row)

    (plan,) = plans_of(queries)
    assert plan.count("INDEX request_by_session (session_id=? AND started_at") == 2
    assert "SCAN" not in plan


@ON_SQLITE
@pytest.mark.parametrize("dimension", list(usage.DIMENSIONS))
def test_sums_are_read_from_the_hours_and_a_piece_of_rows(dimension: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        usage.totals_by(dimension, timezone.now().replace(minute=30) - timedelta(hours=2))

    sums, piece, attempts = plans_of(queries)
    assert "SEARCH gateway_hourlyusage USING INDEX" in sums
    assert "gateway_requestlog" not in sums
    assert "SEARCH gateway_requestlog USING INDEX request_newest" in piece
    assert "SCAN gateway_requestattempt" not in attempts
    assert "SCAN gateway_requestlog" not in attempts


@ON_SQLITE
def test_whole_hours_need_no_rows() -> None:
    with CaptureQueriesContext(connection) as queries:
        usage.totals_by("model", datetime(2026, 11, 24, 10, tzinfo=UTC))

    (sums,) = plans_of(queries)
    assert HourlyUsage._meta.db_table in sums


@ON_SQLITE
def test_open_rows_are_found_without_reading_the_others() -> None:
    with CaptureQueriesContext(connection) as queries:
        Following(Search(), timezone.now())

    assert "SCAN gateway_requestlog\n" not in plans_of(queries)[0] + "\n"


@pytest.mark.parametrize("text", ["\udcff", "req_\udcff"])
def test_an_id_that_is_not_utf_8_is_no_id(text: str) -> None:
    with pytest.raises(NothingLikeIt, match="The ledger has no request"):
        whole_id(text)
