"""`/requests`: which rows, in which order, and how many queries that takes."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from django.core.cache import cache
from django.utils import timezone

from dashboard.views.requests import PAGE
from tests.gateway.ledger.builders import (
    a_failed_record,
    a_record,
    a_refused_attempt,
    an_attempt,
    an_open_record,
    keep,
)

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries

    from gateway.ledger.record import RequestRecord

DAY = 86_400.0
UNKNOWN_ID = "req_01a2159937ef7a7b7757c249"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    cache.clear()


def ago(seconds: float) -> float:
    return time.time() - seconds


def rows_of(client: Client, query: str | dict[str, Any] = "") -> list[int]:
    page = client.get(f"/requests{query}") if isinstance(query, str) else client.get("/requests", query)
    assert page.status_code == HTTPStatus.OK
    return [int(key) for key in re.findall(r'<tr data-id="(\d+)">', page.content.decode())]


def by_api(client: Client, query: dict[str, Any]) -> list[int]:
    return [row["id"] for row in client.get("/api/requests", query).json()["requests"]]


def some_of_each() -> list[RequestRecord]:
    grace = an_attempt(account_name="grace@example.com", model_id="claude-opus-4-6")
    records = [
        a_record(started_at=ago(100)),
        a_record(started_at=ago(200), attempts=[grace], session_id="session-2", client="laptop"),
        a_failed_record(started_at=ago(300), attempts=[a_refused_attempt()]),
        a_failed_record(started_at=ago(400), problem="rate_limit_error", status=429, attempts=[grace]),
        a_record(started_at=ago(500), problem="hung_up", status=499),
        a_record(started_at=ago(600), request_class="safeguards"),
    ]
    keep(*records)
    return records


FILTERS: list[dict[str, Any]] = [
    {},
    {"account": "grace@example.com"},
    {"model": "claude-opus-4-6"},
    {"model": "claude"},
    {"client": "laptop"},
    {"session": "session-2"},
    {"class": "safeguards"},
    {"status": "429"},
    {"status": "200"},
    {"errors": "1"},
    {"errors": "1", "account": "grace@example.com"},
    {"slower": "0.5"},
    {"slower": "1.5s", "errors": "1"},
    {"slower": "1h"},
    {"since": "250s"},
    {"until": "250s"},
    {"since": "450s", "until": "150s", "errors": "1"},
    {"account": "'; DROP TABLE gateway_requestlog; --"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_find_what_the_api_finds(filters: dict[str, Any], operator: Client) -> None:
    some_of_each()

    assert rows_of(operator, filters) == by_api(operator, filters)


def test_open_requests_come_first_by_age(operator: Client) -> None:
    younger, older = an_open_record(started_at=ago(10)), an_open_record(started_at=ago(90))
    ended = a_record(started_at=ago(5))
    keep(younger, older, ended)

    assert rows_of(operator) == [older.id, younger.id, ended.id]
    assert rows_of(operator, "?open=1") == [older.id, younger.id]
    assert rows_of(operator, "?errors=1") == []


@pytest.mark.parametrize(
    ("query", "live"),
    [
        ("", "data-live-open"),
        ("?errors=1", 'data-live="in_flight"'),
        ("?sort=slowest", 'data-live="in_flight"'),
    ],
)
def test_each_list_counts_the_requests_in_flight(query: str, live: str, operator: Client) -> None:
    keep(*(an_open_record(started_at=ago(seconds)) for seconds in (10, 20)))
    page = operator.get(f"/requests{query}").content.decode()

    assert re.search(f'id="count-open" {live}>2</span>', page)


def test_a_list_of_failures_has_no_open_requests(operator: Client) -> None:
    failed = a_failed_record(started_at=ago(30))
    keep(an_open_record(started_at=ago(10)), failed)

    assert rows_of(operator, "?open=1&errors=1") == [failed.id]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "In flight first, the longest on top; then the newest. Amber: no event for over 60 s."),
        ("?open=1", "The longest on top. Amber: no event for over 60 s."),
        ("?errors=1", ""),
    ],
)
def test_a_list_says_its_order(query: str, said: str, operator: Client) -> None:
    keep(an_open_record(started_at=ago(5)), a_failed_record(started_at=ago(9)))
    page = operator.get(f"/requests{query}").content.decode()
    assert re.findall(r">([^<>]* on top[^<>]*)<", page) == [said] * bool(said)


def test_a_request_without_event_for_a_minute_is_late(operator: Client) -> None:
    keep(an_open_record(started_at=ago(61)))
    page = operator.get("/requests").content
    assert b"pill late" in page
    assert b"no event yet <time" in page


@pytest.mark.parametrize("facts", [{"started_at": 59}, {"started_at": 300, "first_event_seconds": 0.5}])
def test_a_young_or_streaming_request_is_not_late(facts: dict[str, Any], operator: Client) -> None:
    keep(an_open_record(**{**facts, "started_at": ago(facts["started_at"])}))
    assert b"pill late" not in operator.get("/requests").content


@pytest.mark.parametrize(
    "text", ["req_of_grace", "session-of-grace", "grace@", "GRACE", "opus", "asked-for", "grace-laptop"]
)
def test_the_search_box_finds_ids_and_names(text: str, operator: Client) -> None:
    wanted = a_record(
        request_id="req_of_grace_1",
        session_id="session-of-grace",
        client="grace-laptop",
        client_model="asked-for",
        attempts=[an_attempt(account_name="grace@example.com", model_id="claude-opus-4-6")],
        started_at=ago(60),
    )
    keep(wanted, a_record(started_at=ago(30)))

    assert rows_of(operator, {"q": text}) == [wanted.id]


@pytest.mark.parametrize("text", ["%", "_", "\\", "a\0b", "x" * 5000, HOSTILE, "é\U0010ffff", "\ud7ff"])
def test_a_text_that_nothing_has_finds_nothing(text: str, operator: Client) -> None:
    keep(a_record(request_id="req-1", session_id="s", started_at=ago(30)))

    page = operator.get("/requests", {"q": text}).content.decode()

    assert "Nothing matches" in page
    assert HOSTILE not in page


def test_an_id_leads_to_its_page(operator: Client) -> None:
    keep(a_record(request_id="req_1"), a_record(request_id="req_12"))

    assert operator.get("/requests?q=req_1")["Location"] == "/requests/req_1"
    answer = operator.get("/requests?q=req_1", headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == "/requests/req_1"


def test_the_field_of_the_overview_opens_a_whole_id_and_changes_nothing_for_another_text(
    operator: Client,
) -> None:
    keep(a_record(request_id="req_12"))
    as_asked = {"HX-Request": "true", "HX-Target": "by-id"}
    assert 'id="by-id"' in operator.get("/").content.decode()
    assert operator.get("/requests?q=req_12", headers=as_asked)["HX-Redirect"] == "/requests/req_12"
    for text in ("req_1", "", "req_123", UNKNOWN_ID[:-1]):
        answer = operator.get("/requests", {"q": text}, headers=as_asked)
        assert (answer.status_code, answer.content) == (204, b""), text
        assert "HX-Push-Url" not in answer


def test_the_field_of_the_overview_opens_an_id_without_its_beginning_and_a_sessions_requests(
    operator: Client,
) -> None:
    session = "0b4f1a52-9c1d-4f0e-8d27-5a3c6b7e8f90"
    keep(a_record(request_id="req_" + "a1" * 12, session_id=session))
    as_asked = {"HX-Request": "true", "HX-Target": "by-id"}
    answer = operator.get("/requests", {"q": "a1" * 12}, headers=as_asked)
    assert answer["HX-Redirect"] == f"/requests/req_{'a1' * 12}"
    answer = operator.get("/requests", {"q": session}, headers=as_asked)
    assert answer["HX-Redirect"] == f"/requests?q={session}"
    assert f"req_{'a1' * 12}" in operator.get(answer["HX-Redirect"]).content.decode()


def test_an_id_that_no_request_has_is_said_to_be_unknown(operator: Client) -> None:
    keep(a_record(request_id="req_12"))
    page = operator.get("/requests", {"q": UNKNOWN_ID}).content.decode()
    assert "No request has this id." in page
    assert "Older than 7 days" not in page, "ids are looked for in the whole ledger"
    assert "Nothing matches in the last 7 days" in (
        operator.get("/requests", {"q": UNKNOWN_ID[:-1]}).content.decode()
    )

    from_the_overview = {"HX-Request": "true", "HX-Target": "by-id"}
    answer = operator.get("/requests", {"q": UNKNOWN_ID}, headers=from_the_overview)
    assert answer["HX-Redirect"] == f"/requests?q={UNKNOWN_ID}"


@pytest.mark.parametrize("around", ["request_id: {}", '{{"request_id":"{}"}}', " {}\n", "see {}, please"])
def test_an_id_is_found_in_what_was_copied_with_it(operator: Client, around: str) -> None:
    known = "req_" + "1" * 24
    keep(a_record(request_id=known))
    answer = operator.get("/requests", {"q": around.format(known)})
    assert answer.headers["Location"] == f"/requests/{known}"


def test_a_filter_begins_with_seven_days(operator: Client) -> None:
    recent, old = a_record(started_at=ago(DAY)), a_record(started_at=ago(8 * DAY))
    keep(recent, old)

    first = operator.get("/requests?client=loopback").content.decode()

    assert rows_of(operator, "?client=loopback") == [recent.id]
    assert "Older than 7 days" in first
    assert rows_of(operator, older_of(first)) == [old.id]
    assert rows_of(operator) == [recent.id, old.id]


def older_of(page: str) -> str:
    found = re.search(r'href="([^"]*)" rel="next"', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_pages_follow_one_another_without_gap(operator: Client) -> None:
    records = [a_record(started_at=ago(10 * (n // 3)), client="laptop") for n in range(2 * PAGE + 5)]
    keep(*records)

    seen, query = [], "?client=laptop&since=24h"
    for _ in range(3):
        page = operator.get(f"/requests{query}").content.decode()
        seen += rows_of(operator, query)
        query = older_of(page) if 'rel="next"' in page else ""

    assert query == ""
    assert len(seen) == len(records)
    assert set(seen) == {record.id for record in records}


@pytest.mark.parametrize("before", ["0", str(2**63 - 1)])
def test_a_page_after_a_deleted_row_is_empty(before: str, operator: Client) -> None:
    keep(a_record(started_at=ago(30)))
    assert rows_of(operator, f"?before={before}") == []


@pytest.mark.parametrize(
    "query",
    ["status=x", "status=99", "slower=-1", "slower=fast", "since=never", "before=-1", f"until={HOSTILE}"],
)
def test_a_filter_that_is_none_is_said(query: str, operator: Client) -> None:
    keep(a_record())

    page = operator.get(f"/requests?{query}").content.decode()

    assert f'<p class="empty bad">{query.split("=")[0]}: ' in page
    assert "<tr data-id" not in page
    assert HOSTILE not in page


def test_counts_come_from_the_hourly_sums(operator: Client) -> None:
    some_of_each()
    keep(an_open_record(started_at=ago(5)))

    lists_without_open = ("?errors=1&client=laptop", "?errors=1", "?errors=1&since=30d", "?sort=slowest")
    chips = {
        query: re.findall(
            r'(all|failed|in flight) <span class="quiet"[^>]*>([\d,]+)<', page_of(operator, query)
        )
        for query in ("", "?account=grace@example.com", "?status=429", *lists_without_open)
    }

    assert chips == {
        "": [("all", "6"), ("failed", "2"), ("in flight", "1")],
        "?account=grace@example.com": [("all", "2"), ("failed", "1"), ("in flight", "0")],
        "?status=429": [("in flight", "0")],
        "?errors=1&client=laptop": [("all", "1"), ("failed", "0")],
        "?errors=1": [("all", "6"), ("failed", "2"), ("in flight", "1")],
        "?errors=1&since=30d": [("all", "6"), ("failed", "2"), ("in flight", "1")],
        "?sort=slowest": [("all", "6"), ("failed", "2"), ("in flight", "1")],
    }


def test_counts_alone_are_fresh_and_cheap(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    some_of_each()
    assert 'id="counts"' in page_of(operator, "?client=laptop")
    keep(a_record(client="laptop", started_at=ago(5)))

    with django_assert_num_queries(3):  # session, user, sums
        part = operator.get("/requests?client=laptop", headers={"HX-Request": "true", "HX-Target": "counts"})

    assert re.findall(r'id="count-(\w+)"[^>]*>([\d,]+)<', part.content.decode()) == [
        ("all", "2"),
        ("failed", "0"),
    ]
    assert "HX-Push-Url" not in part


def test_a_list_of_a_span_is_counted_and_followed_within_it(operator: Client) -> None:
    keep(
        a_failed_record(started_at=ago(26 * 3600)),
        a_failed_record(started_at=ago(60)),
        a_record(started_at=ago(5)),
    )

    page = page_of(operator, "?errors=1&since=24h")

    assert re.findall(r'id="count-\w+" title="In the last ([^"]+)"[^>]*>([\d,]+)<', page) == [
        ("24\u00a0h", "2"),
        ("24\u00a0h", "1"),
    ]
    assert 'data-live-span="86400"' in page


def test_the_sums_of_hours_long_ended_are_read_once(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    keep(a_record(started_at=ago(5 * 3600)), a_failed_record(started_at=ago(26 * 3600)), a_record())
    address, headers = "/requests", {"HX-Request": "true", "HX-Target": "counts"}
    for queries, counts in ((4, ["3", "1"]), (3, ["3", "1"])):
        with django_assert_num_queries(queries):  # session, user, sums
            part = operator.get(address, headers=headers).content.decode()
        assert re.findall(r'id="count-\w+"[^>]*>([\d,]+)<', part) == counts
    (of_one,) = re.findall(r'id="count-all"[^>]*>([\d,]+)<', page_of(operator, "?account=nobody@example.com"))
    assert of_one == "0"


def test_the_slowest_say_why_they_took_so_long(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    keep(a_record(request_id="req_long", first_event_seconds=1.7, duration_seconds=59.0))
    keep(a_record(request_id="req_slow", first_event_seconds=8.6, duration_seconds=41.0))

    with django_assert_max_num_queries(7):
        page = page_of(operator, "?sort=slowest")

    assert page.index("req_slow") < page.index("req_long")
    assert re.search(r">\s*<span data-private>[^<]+</span> took 8.6\s+s to the first event", page)
    assert "all of it the provider&#x27;s time" in page
    assert re.search(r'aria-current="true">\s*slowest', page)
    assert "the first try" not in page_of(operator, "")


def test_slow_ones_are_marked_and_the_filter_can_go(operator: Client) -> None:
    keep(a_record(request_id="req_quick", first_event_seconds=4.9))
    keep(a_record(request_id="req_slow", first_event_seconds=5.0))

    page = page_of(operator, "?client=loopback")
    assert page.count(">slow</span>") == 1
    page = page_of(operator, "?slower=5s&client=loopback")
    assert 'slower than <b>5s</b> <a href="?client=loopback" aria-label="Without slower than">' in page


def test_names_in_a_reason_can_be_hidden(operator: Client) -> None:
    keep(a_failed_record(error="ada@example.com quota until 10:00 UTC."))
    assert re.search(
        r'"note quiet small" data-private>ada@example.com quota until <time', page_of(operator, "")
    )


def page_of(client: Client, query: str) -> str:
    return client.get(f"/requests{query}").content.decode()


def test_menus_offer_what_requests_had(operator: Client) -> None:
    some_of_each()
    page = page_of(operator, "?account=gone@example.com")
    assert "<option selected>gone@example.com</option>" in page
    assert page.count("<option>ada@example.com</option>") == 1
    assert page.count("<option>claude-opus-4-6</option>") == 1


@pytest.mark.parametrize("accounts", [3, 50])
@pytest.mark.parametrize("query", ["", "?account=a1&errors=1", "?q=a1", "?before=2000&client=loopback"])
def test_a_page_takes_seven_queries_at_most(
    query: str, accounts: int, operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    keep(*(a_record(attempts=[an_attempt(account_name=f"a{n}")], started_at=ago(n)) for n in range(accounts)))
    with django_assert_max_num_queries(7):
        operator.get(f"/requests{query}")


def test_names_are_kept_for_a_minute(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    operator.get("/requests")
    with django_assert_num_queries(5):  # session, user, open requests, a page, counts
        operator.get("/requests")


def test_htmx_gets_an_address_without_empty_fields(operator: Client) -> None:
    empty = "q=&account=&model=&client=laptop&status=&since="
    answer = operator.get(f"/requests?{empty}", headers={"HX-Request": "true"})
    assert answer["HX-Push-Url"] == "/requests?client=laptop"
    assert operator.get("/requests?q=", headers={"HX-Request": "true"})["HX-Push-Url"] == "/requests"


@pytest.mark.parametrize(
    ("query", "followed"),
    [
        ("", {}),
        (
            "account=a&model=b&client=c&class=d&session=e&status=429&errors=1&slower=1.5m",
            {"account": "a", "model": "b", "client": "c", "request_class": "d", "session": "e"}
            | {"status": 429, "errors": True, "slower": 90.0},
        ),
        ("open=1", {}),
        ("q=a", None),
        ("errors=1&since=24h", {"errors": True}),
        ("since=2026-11-26", None),
        ("before=1", None),
    ],
)
def test_a_list_is_followed_where_it_can_be(
    query: str, followed: dict[str, Any] | None, operator: Client
) -> None:
    page = page_of(operator, f"?{query}")
    found = re.search(r"data-live-filter=\"([^\"]*)\"", page)
    assert (json.loads(found[1].replace("&quot;", '"')) if found else None) == followed
    assert ("data-live-still" in page) == (found is None)


def test_the_form_keeps_filters_that_it_has_no_control_for(operator: Client) -> None:
    query = {
        "session": 'a"b',
        "class": "safeguards",
        "until": "1h",
        "request_id": "r",
        "errors": "1",
        "open": "1",
    }

    page = operator.get("/requests", {**query, "account": "ada"}).content.decode()

    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    hidden.pop("csrfmiddlewaretoken", None)  # of the button to log out
    assert hidden == {**query, "session": "a&quot;b"}


def test_names_of_models_break_at_the_arrow_only(operator: Client) -> None:
    keep(a_record(client_model="claude-opus-4-6", attempts=[an_attempt(model_id="gemini-3-flash")]))
    keep(a_failed_record(client_model="<b>", attempts=[]))

    page = page_of(operator, "")

    assert 'title="claude-opus-4-6 → gemini-3-flash"><span>claude-opus-4-6</span> <span>→ gemini-3' in page
    assert "<span>&lt;b&gt;</span></td>" in page


def test_texts_of_clients_stay_texts(operator: Client) -> None:
    hostile = an_attempt(account_name=HOSTILE, model_id=HOSTILE)
    facts = {"client": HOSTILE, "session_id": HOSTILE, "client_model": HOSTILE, "request_id": "req_x"}
    keep(
        a_record(attempts=[hostile], **facts),
        a_failed_record(attempts=[hostile], error=HOSTILE, stop_reason=HOSTILE, **facts),
    )
    for path in ("/requests", "/requests/req_x", "/"):
        assert HOSTILE not in operator.get(path).content.decode()


def test_an_empty_ledger_says_what_to_do(operator: Client) -> None:
    assert "ANTHROPIC_BASE_URL=http://testserver" in page_of(operator, "")


def test_old_names_are_not_offered(operator: Client) -> None:
    keep(a_record(attempts=[an_attempt(account_name="old@example.com")], started_at=ago(31 * DAY)))
    assert "old@example.com</option>" not in page_of(operator, "")


def test_the_address_of_older_ones_is_a_time(operator: Client) -> None:
    query = dict(parse_qsl(older_of(page_of(operator, "?client=x"))[1:]))
    until = datetime.fromisoformat(query["until"])
    assert timedelta(days=7) <= timezone.now() - until < timedelta(days=7, minutes=1)
