"""`/requests/ID`: everything about one request, or about all that have its id."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import Account, Cooldown
from dashboard.formats import SPACE
from dashboard.templatetags.dashboard import axis_seconds
from dashboard.views.request import MOST_WITH_ONE_ID
from gateway.models import RequestLog
from gateway.telemetry.activity import Activity
from gateway.telemetry.log_ring import LogRing
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
    from pytest_django.fixtures import DjangoAssertNumQueries

SLOW = "req_slow"


def text_of(client: Client, request_id: str = SLOW, query: str = "") -> str:
    page = client.get(f"/requests/{request_id}{query}")
    assert page.status_code == HTTPStatus.OK
    return re.sub(r"\s+", " ", strip_tags(page.content.decode()).replace("\u00a0", " "))


def keep_slow_one() -> None:
    at = time.time() - 60
    tries = [
        a_refused_attempt(account_name="grace@example.com", started_at=at, took_seconds=1.2),
        a_refused_attempt(
            started_at=at + 1.2,
            took_seconds=4.1,
            reason="answered with nothing",
            decision="same account again",
        ),
        an_attempt(started_at=at + 5.3, took_seconds=35.7),
    ]
    keep(
        a_record(
            request_id=SLOW, started_at=at, attempts=tries, first_event_seconds=6.0, duration_seconds=41.0
        )
    )


def test_a_slow_request_is_explained(operator: Client) -> None:
    keep_slow_one()

    text = text_of(operator)

    said = "ada@example.com failed after 4.1 s (answered with nothing)."
    assert said in text
    assert "Answered when asked again, in 41 s, 6.0 s of it to the first event." in text
    assert "1 grace@example.com 1.2 s quota → next account" in text
    assert "2 ada@example.com 4.1 s answered with nothing → same account again" in text
    assert "3 ada@example.com 0.70 s answered ▶ streamed 35 s" in text
    assert "3 ada@example.com 36 s answered, streamed 35 s" in text_of(operator, query="?whole=1")
    assert (
        '<a href="/requests?account=grace%40example.com" data-private>'
        in operator.get(f"/requests/{SLOW}").content.decode()
    )


def test_bars_are_drawn_on_the_scale_that_is_asked_for(operator: Client) -> None:
    keep_slow_one()
    bar = r'<rect class="failed" x="0.00%" width="([\d.]+)%"'

    widths = [
        float(re.findall(bar, operator.get(f"/requests/{SLOW}{query}").content.decode())[0])
        for query in ("", "?whole=1")
    ]

    assert widths == [pytest.approx(20.0), pytest.approx(100 * 1.2 / 41, abs=0.1)]


def test_of_a_long_stream_the_whole_time_is_drawn_first(operator: Client) -> None:
    at = time.time() - 60
    tries = [an_attempt(started_at=at, took_seconds=8.0)]
    keep(
        a_record(
            request_id=SLOW, started_at=at, attempts=tries, first_event_seconds=1.0, duration_seconds=8.0
        )
    )

    assert "answered, streamed 7.0 s" in text_of(operator)
    assert "answered ▶ streamed 7.0 s" in text_of(operator, query="?whole=0")


def test_a_request_answered_at_once_has_one_bar(operator: Client) -> None:
    keep(a_record(request_id=SLOW))
    assert "1 ada@example.com" in text_of(operator)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"cost": 12_300_000}, "<dt>Cost</dt><dd>$0.0123</dd>"),
        ({"unpriced": 1}, "<dt>Cost</dt><dd>unknown</dd>"),
    ],
)
def test_what_is_paid_has_its_cost(operator: Client, facts: dict[str, int], shown: str) -> None:
    keep(a_record(request_id=SLOW, **facts))
    assert shown in operator.get(f"/requests/{SLOW}").content.decode()


def test_a_request_without_attempt_says_so(operator: Client) -> None:
    keep(a_failed_record(request_id=SLOW, attempts=[], duration_seconds=0.01))
    assert "No account was asked." in text_of(operator)


def test_an_open_request_has_a_page(operator: Client) -> None:
    keep(an_open_record(request_id=SLOW, started_at=time.time() - 30))
    assert re.search(r"In flight for 3\d s, without an event so far.", text_of(operator))


def test_a_page_is_loaded_anew_while_its_request_runs(operator: Client) -> None:
    keep(an_open_record(request_id="req_open"), a_record(request_id=SLOW))

    page = operator.get("/requests/req_open").content.decode()
    assert 'hx-get="/requests/req_open" hx-trigger="every 2s"' in page
    assert "every 2s" not in operator.get(f"/requests/{SLOW}").content.decode()


def test_all_requests_with_one_id_are_listed(operator: Client) -> None:
    keep(a_record(request_id=SLOW), a_record(request_id=SLOW, request_class="safeguards"))

    text = text_of(operator)

    assert "2 requests with this id" in text
    assert text.index("] Answered at the first try") > text.index("Answered at the first try")


def test_of_very_many_the_newest_are_shown(operator: Client) -> None:
    keep(*(a_record(request_id=SLOW) for _ in range(MOST_WITH_ONE_ID + 1)))
    assert f"Only the newest {MOST_WITH_ONE_ID} are shown." in text_of(operator)


def test_a_session_leads_to_its_neighbours(operator: Client) -> None:
    now = time.time()
    for n, request_id in enumerate(["before", SLOW, "after"]):
        keep(a_record(request_id=request_id, session_id="s 1&2", started_at=now - 60 + n))

    page = operator.get(f"/requests/{SLOW}").content.decode()

    assert '<a href="/requests/before" rel="prev">' in page
    assert '<a href="/requests/after" rel="next">' in page
    assert 'href="/requests?session=s%201%262"' in page


@pytest.mark.parametrize("limited", ["gemini-3-flash:cli", "all models", ""])
def test_a_limit_says_when_it_ends(limited: str, operator: Client) -> None:
    keep(a_failed_record(request_id=SLOW, problem="rate_limit_error", status=429, error="Limits."))
    if limited:
        account = Account.objects.create(email="ada@example.com")
        until = timezone.now() + timedelta(hours=1)
        Cooldown.objects.create(account=account, model_key=limited, until=until)

    text = text_of(operator)

    assert ("The first limit for this model ends at" in text) == bool(limited)
    assert ("No limit for this model is in force now" in text) != bool(limited)


def test_an_account_that_needs_the_operator_has_a_button(operator: Client) -> None:
    keep(a_failed_record(request_id=SLOW, status=503, error="The operator must sign it in again."))
    assert b'href="/accounts">See the accounts' in operator.get(f"/requests/{SLOW}").content


def test_an_unknown_name_leads_to_the_map_of_names(operator: Client) -> None:
    keep(a_failed_record(request_id=SLOW, status=404, problem="not_found_error", error="No such model."))
    assert b'href="/models#map"' in operator.get(f"/requests/{SLOW}").content


def test_a_request_without_a_model_has_no_curl(operator: Client) -> None:
    keep(a_failed_record(request_id=SLOW, client_model="", attempts=[], status=400))
    text = text_of(operator)
    assert "As curl" not in text
    assert "Failed with 400" in text


@pytest.mark.parametrize("request_id", ["nothing", "x" * 5000, "a%00b", "%22%3E%3Cscript%3E", "%F0%9F%98%80"])
def test_an_unknown_id_has_no_page(request_id: str, operator: Client) -> None:
    answer = operator.get(f"/requests/{request_id}")
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert b"The ledger has no such request" in answer.content
    assert b"><script>" not in answer.content


@pytest.mark.parametrize("tries", [1, 50])
def test_a_page_takes_six_queries_at_most(
    tries: int, operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(tries):
        keep(
            a_failed_record(
                request_id=SLOW,
                problem="rate_limit_error",
                status=429,
                attempts=[a_refused_attempt() for _ in range(tries)],
            )
        )
    with django_assert_max_num_queries(6):
        operator.get(f"/requests/{SLOW}")


def test_log_lines_of_this_id_are_shown(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(a_record(request_id=SLOW))
    ring = LogRing(Activity())
    monkeypatch.setattr("dashboard.views.request.running_gateway", lambda: SimpleNamespace(log_ring=ring))
    for request_id in (SLOW, "another"):
        record = logging.LogRecord("a", logging.WARNING, "", 0, "a line of <%s>", (request_id,), None)
        record.request_id = request_id
        ring.emit(record)

    text = operator.get(f"/requests/{SLOW}").content.decode()

    assert f'<span class="warning">warning</span> <span>a line of &lt;{SLOW}&gt;' in text
    assert "another" not in text


def test_without_log_lines_the_page_says_so(operator: Client) -> None:
    keep(a_record(request_id=SLOW))
    text = text_of(operator)
    assert "none of them is about this request" in text
    assert "Follow in Logs" not in text


def test_log_lines_are_a_link_away_while_a_request_runs(operator: Client) -> None:
    keep(an_open_record(request_id="req 1&<b>"))

    page = operator.get("/requests/req%201&<b>").content.decode()

    assert 'href="/logs?level=debug&amp;q=req%201%26%3Cb%3E"' in page


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0"), (0.005, "5 ms"), (0.0125, "12.5 ms"), (0.1, "0.10 s"), (2.0, "2.0 s")]
)
def test_short_axes_are_in_milliseconds(seconds: float, text: str) -> None:
    assert axis_seconds(seconds).replace(SPACE, " ") == text


def test_a_broken_answer_is_drawn_to_its_end(operator: Client) -> None:
    broken = an_attempt(reason="broke off", took_seconds=9.0)
    keep(a_failed_record(request_id=SLOW, first_event_seconds=0.5, duration_seconds=9.0, attempts=[broken]))

    page = operator.get(f"/requests/{SLOW}").content.decode()

    assert 'class="until-first-event" fill="url(#hatch-begun)"' in page
    assert 'class="broken-stream"' in page
    assert 'class="failed"' not in page
    assert '<a href="?whole=1" aria-current="true">whole</a>' in page
    assert 'class="broken-stream"' not in operator.get(f"/requests/{SLOW}?whole=0").content.decode()


def test_an_interrupted_request_is_not_under_way(operator: Client) -> None:
    keep(an_open_record(request_id=SLOW, first_event_seconds=1.9, attempts=[an_attempt()]))
    RequestLog.objects.update(problem=RequestLog.INTERRUPTED)

    text = text_of(operator)

    assert "in flight" not in text.partition("What was tried")[2]
    assert "The server stopped before it recorded the tries" in text
    page = operator.get(f"/requests/{SLOW}").content.decode()
    assert "<dt>End</dt><dd>interrupted</dd>" in page
    assert page.index("→ Send it again.") < page.index("request-id"), "the advice stands first"
    assert 'class="notice' not in page, "the heading has said what there is to say"


def test_a_failure_leads_to_others_of_its_account_and_to_log_lines_that_exist(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(a_failed_record(request_id=SLOW, problem="api_error", status=502, attempts=[an_attempt()]))
    page = operator.get(f"/requests/{SLOW}").content.decode()
    assert "Send it again" in page
    assert 'href="/requests?account=ada%40example.com&amp;errors=1">Other failures of this account' in page
    assert 'href="#log"' not in page

    lines = [SimpleNamespace(request_id=SLOW, at=0.0, level="info", text="a line")]
    ring = SimpleNamespace(lines=lambda: lines)
    monkeypatch.setattr("dashboard.views.request.running_gateway", lambda: SimpleNamespace(log_ring=ring))
    page = operator.get(f"/requests/{SLOW}").content.decode()
    assert 'href="#log"' in page
    assert 'id="log"' in page
