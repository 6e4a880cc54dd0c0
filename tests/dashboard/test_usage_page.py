from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from dashboard.views.usage import Summary, UsageRow, summary_of
from gateway.models import HourlyUsage, RequestLog

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import DjangoAssertNumQueries


@pytest.fixture
def used(db: None) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for client, requests in (("alice", 30), ("=cmd|'/c calc'!A1", 20), ("<b>bob</b>", 10)):
        HourlyUsage.objects.create(
            hour=hour, model="claude-sonnet-4-6", account="ada@example.com", client=client,
            requests=requests, failed=1, input_tokens=100, cache_read_tokens=900, output_tokens=50,
        )  # fmt: skip
    RequestLog.objects.create(
        id=1, instance_id=1, request_id="req_1", started_at=timezone.now(), client="alice",
        session_id="3f1c", input_tokens=10, cache_read_tokens=30, duration_seconds=1.0, status=200,
    )  # fmt: skip


def test_the_largest_user_comes_first(operator: Client, used: None) -> None:
    page = operator.get("/usage").content.decode()
    assert page.index("alice") < page.index("bob")
    assert "&lt;b&gt;bob&lt;/b&gt;" in page
    assert "90\N{NO-BREAK SPACE}%" in page


def test_tokens_decide_who_comes_first(operator: Client, used: None) -> None:
    HourlyUsage.objects.filter(client="<b>bob</b>").update(output_tokens=5000)

    page = operator.get("/usage").content.decode()

    assert page.index("&lt;b&gt;bob&lt;/b&gt;") < page.index("alice")
    assert page.index('<rect class="share" width="100"') < page.index('<rect class="share" width="18"')


@pytest.mark.parametrize("by", ["model", "account", "client", "session"])
def test_interrupted_requests_count_as_failed(operator: Client, db: None, by: str) -> None:
    now = timezone.now()
    names = {"model": "claude-sonnet-4-6", "account": "ada@example.com", "client": "alice"}
    HourlyUsage.objects.create(
        hour=now.replace(minute=0, second=0, microsecond=0), **names, requests=3, failed=1, interrupted=1
    )
    for number, problem in enumerate(("api_error", RequestLog.INTERRUPTED), 1):
        RequestLog.objects.create(
            id=number, instance_id=1, request_id=f"req_{number}", started_at=now, session_id="3f1c",
            problem=problem,
        )  # fmt: skip

    answer = operator.get("/usage", {"by": by, "format": "csv", "span": "24h"})

    assert [row["failed"] for row in csv.DictReader(io.StringIO(answer.content.decode()))] == ["2"]


def a_usage(name: str, cached_tokens: int, input_tokens: int = 1000, output_tokens: int = 10) -> UsageRow:
    return UsageRow(name, 1, 0, 0, input_tokens, cached_tokens, output_tokens)


def test_a_sentence_names_who_used_most_and_who_misses_the_cache(operator: Client, used: None) -> None:
    HourlyUsage.objects.filter(client="alice").update(output_tokens=5000)
    HourlyUsage.objects.filter(client="<b>bob</b>").update(input_tokens=1000, cache_read_tokens=0)

    page = re.sub(r"\s+", " ", strip_tags(operator.get("/usage").content.decode()))

    assert "Client alice used most: 74 % of 8,100 tokens in 24 h." in page
    assert "60 % of all input came from the cache; client &lt;b&gt;bob&lt;/b&gt;: only" in page
    assert "only 0 % of its 1,000 input tokens." in page
    assert "In which session?" in page


def test_who_lowers_the_share_of_the_cache_is_weighed_by_tokens() -> None:
    rows = [a_usage("much", 60_000, 100_000), a_usage("good", 50_000, 50_000), a_usage("tiny", 0, 100)]
    found = summary_of(rows)
    assert found is not None
    assert found.least_cached == rows[0]
    slightly_less = summary_of([a_usage("ada", 88_000, 100_000), a_usage("linus", 94_000, 100_000)])
    assert slightly_less is not None
    assert slightly_less.least_cached is None
    little = summary_of([a_usage("much", 90_000, 100_000), a_usage("tiny", 0, 100)])
    assert little is not None
    assert little.least_cached is None
    assert summary_of([a_usage("one", 10)]) == Summary(1010, 1000, 10, a_usage("one", 10), None)
    assert summary_of([a_usage("none", 0, 0, 0)]) is None
    assert summary_of([]) is None


def test_it_opens_on_the_span_of_the_overview(operator: Client, used: None) -> None:
    for address in ("/", "/usage", "/usage?by=session"):
        assert 'span=24h" data-span="3" aria-current="true"' in operator.get(address).content.decode()


@pytest.mark.parametrize("by", ["model", "account", "client", "session"])
def test_each_dimension_has_a_table(operator: Client, used: None, by: str) -> None:
    page = operator.get("/usage", {"by": by, "span": "24h"}).content.decode()
    names = {"model": "claude-sonnet-4-6", "account": "ada@example.com", "client": "alice", "session": "3f1c"}
    assert names[by] in page


@pytest.mark.parametrize("by", ["model", "account", "client", "session"])
def test_a_row_leads_to_its_requests(operator: Client, used: None, by: str) -> None:
    page = operator.get("/usage", {"by": by, "span": "24h"}).content.decode()
    names = {
        "model": "claude-sonnet-4-6",
        "account": "ada%40example.com",
        "client": "alice",
        "session": "3f1c",
    }
    assert f'href="/requests?{by}={names[by]}&amp;since=24h"' in page
    assert (f'href="/requests?{by}={names[by]}&amp;errors=1&amp;since=24h"' in page) == (by != "session")


def test_a_name_cannot_leave_its_link(operator: Client, used: None) -> None:
    page = operator.get("/usage?by=client").content.decode()
    assert "client=%3Dcmd%7C%27%2Fc%20calc%27%21A1&amp;since=24h" in page


@pytest.mark.parametrize(
    ("cost", "unpriced", "shown", "in_csv"),
    [(1_234_567_890, 0, "$1.23", "1.23456789"), (10**9, 3, "≥ $1.00", "")],
)
def test_what_is_paid_has_a_cost(
    operator: Client, used: None, cost: int, unpriced: int, shown: str, in_csv: str
) -> None:
    HourlyUsage.objects.filter(client="alice").update(cost=cost, unpriced=unpriced)

    page = operator.get("/usage").content.decode()
    rows = operator.get("/usage", {"format": "csv"}).content.decode()

    assert f">{shown}</td>" in page
    assert next(csv.DictReader(io.StringIO(rows)))["cost_dollars"] == in_csv


@pytest.mark.parametrize("unpriced", [0, 3])
def test_without_a_known_cost_there_is_no_column_of_costs(
    operator: Client, used: None, unpriced: int
) -> None:
    HourlyUsage.objects.filter(client="alice").update(unpriced=unpriced)
    assert "Cost" not in operator.get("/usage").content.decode()


def test_beside_a_cost_the_others_have_a_dash(operator: Client, used: None) -> None:
    HourlyUsage.objects.filter(client="alice").update(cost=10**9)
    page = operator.get("/usage").content.decode()
    assert "$1.00</td>" in page
    assert 'title="None of its calls is paid for.">\N{EN DASH}</td>' in page
    assert "$0.00" not in page


def test_costs_of_rows_that_are_not_shown_make_no_column(
    operator: Client, used: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    HourlyUsage.objects.exclude(client="alice").update(cost=10**9)
    monkeypatch.setattr("dashboard.views.usage.ROWS_SHOWN", 1)
    assert "Cost" not in operator.get("/usage").content.decode()


def test_csv_runs_no_formula(operator: Client, used: None) -> None:
    answer = operator.get("/usage", {"by": "client", "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["name"] for row in rows] == ["alice", "'=cmd|'/c calc'!A1", "<b>bob</b>"]
    assert rows[0]["input_tokens"] == "1000"
    assert answer["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("query", [{"by": "<script>"}, {"span": "9y"}, {"by": "password", "span": "-1"}])
def test_unknown_values_mean_the_default(operator: Client, query: dict[str, str]) -> None:
    page = operator.get("/usage", query).content.decode()
    assert "Usage by client" in page
    assert "<script>" not in page


@pytest.mark.parametrize(("span", "is_shown"), [("24h", False), ("7d", True), ("30d", True)])
def test_weeks_are_shown_by_weekday_and_hour(operator: Client, used: None, span: str, is_shown: bool) -> None:
    page = operator.get("/usage", {"span": span}).content.decode()
    assert ('class="week"' in page) is is_shown
    assert (f"{timezone.localtime():%A, %-H}:00: 60" in page) is is_shown


def test_few_queries_make_the_page(
    operator: Client, used: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for by in ("client", "session"):
        with django_assert_max_num_queries(7):
            operator.get("/usage", {"by": by})
