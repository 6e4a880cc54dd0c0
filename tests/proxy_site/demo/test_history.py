"""The day of requests that a demo begins with."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models import Max
from django.utils import timezone

from gateway.ledger.record import tokens_of
from gateway.ledger.rows_and_sums import entry_of
from gateway.ledger.search import attempts_of
from gateway.ledger.usage import sessions, totals
from gateway.models import RequestLog, ServerInstance
from proxy_site.demo.contents import store_requests
from proxy_site.demo.history import REQUESTS, Day
from tests.faults.test_ledger_is_exact import assert_the_sums_agree

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from gateway.ledger.record import Counted

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


@pytest.mark.slow
@pytest.mark.usefixtures("demo")
def test_the_ledger_has_a_day_whose_sums_are_exact() -> None:
    rows = {row.request_id: row for row in RequestLog.objects.all()}

    assert len(rows) == RequestLog.objects.count() == REQUESTS
    assert_the_sums_agree(rows)
    assert totals(timezone.now() - timedelta(days=1)).requests == REQUESTS
    assert not ServerInstance.objects.filter(ended_at=None).exists()


@pytest.mark.usefixtures("demo")
def test_each_outcome_is_there() -> None:
    rows = list(RequestLog.objects.all())
    outcomes = Counter(row.outcome for row in rows)

    assert outcomes.pop("answered") > REQUESTS * 0.98
    assert outcomes == {"hung_up": 1, "interrupted": 1, "api_error": 1, "rate_limit_error": 1}
    assert len([row for row in rows if row.fallback]) == 3
    assert len({row.account for row in rows}) == 3
    assert len({row.client for row in rows}) == 4
    assert {row.upstream_model.partition("-")[0] for row in rows} == {"claude", "gemini", "gpt"}


@pytest.mark.usefixtures("demo_settings", "db")
@pytest.mark.parametrize("minute", [0, 560, 910], ids=["a pause", "0.1 s", "0.5 s"])
def test_a_server_ended_during_the_interrupted_request(minute: int) -> None:
    """It ended before the next one began, however soon a client asked again."""
    store_requests(Day(NOON + minute * 60).records())
    ended, later = ServerInstance.objects.order_by("started_at")
    interrupted = RequestLog.objects.get(problem="interrupted")
    last = RequestLog.objects.order_by("-started_at")[0]

    assert interrupted.instance_id == ended.pk
    assert ended.ended_at is not None
    assert interrupted.started_at < ended.ended_at < later.started_at
    assert last.instance_id == later.pk


@pytest.mark.usefixtures("demo")
def test_one_request_took_41_seconds_and_three_tries() -> None:
    (row,) = RequestLog.objects.filter(attempts=3, problem=None, fallback=False)
    tries = [(one.account, one.reason, one.decision) for one in attempts_of(row)]

    assert row.duration_seconds == pytest.approx(41, abs=0.1)
    assert tries == [
        ("ada@example.com", "quota", "next account"),
        ("grace@example.com", "no answer within 30 s", "next account"),
        ("linus@example.com", "answered", ""),
    ]


@pytest.mark.usefixtures("demo")
def test_one_limit_reached_the_client_with_a_sentence() -> None:
    row = RequestLog.objects.get(problem="rate_limit_error")

    assert (row.status, row.attempts) == (429, 3)
    assert row.error.startswith("3 accounts tried for gpt-oss-120b-medium: ad…@e… rate limit until")
    assert attempts_of(row)[-1].decision == "returned to the client"


@pytest.mark.usefixtures("demo")
def test_the_cache_helps_all_sessions_but_one() -> None:
    since = timezone.now() - timedelta(days=1)
    poor = [one for one in sessions(since) if one.requests > 10 and share_from_cache(one) < 0.2]
    whole = totals(since)

    assert [one.client for one in poor] == ["ci"]
    assert share_from_cache(whole) > 0.8


def share_from_cache(counted: Counted) -> float:
    tokens = tokens_of(counted)
    return tokens.cache_read / tokens.all_input


@pytest.mark.usefixtures("demo_settings")
def test_a_day_is_the_same_each_time() -> None:
    first, second = (
        [entry_of(record, 1).request._replace(duration_seconds=None) for record in Day(NOON).records()]
        for _ in range(2)
    )

    assert first == second


@pytest.mark.usefixtures("demo_settings")
@pytest.mark.parametrize("hour", range(0, 24, 4))
def test_at_any_hour_a_day_ends_before_now(hour: int) -> None:
    now = NOON + hour * 3600
    records = Day(now).records()
    ends = [one.started_at + (one.duration_seconds or 0.0) for one in records]

    assert len(records) == REQUESTS
    assert now - 24 * 3600 < records[0].started_at
    assert max(ends) < now
    assert len([end for end in ends if now - end < 3600]) > 20, "somebody works until now"
    assert [one.started_at for one in records] == sorted(one.started_at for one in records)


def test_people_work_by_day(demo_settings: Settings) -> None:
    demo_settings.LOCAL_TIME_ZONE = UTC
    hours = Counter(datetime.fromtimestamp(one.started_at, UTC).hour for one in Day(NOON).records())

    assert sum(hours[hour] for hour in range(9, 18)) > 10 * sum(hours[hour] for hour in range(5))


@pytest.mark.usefixtures("demo")
def test_the_newest_request_is_recent() -> None:
    newest = RequestLog.objects.aggregate(at=Max("started_at"))["at"].timestamp()

    assert 0 < time.time() - newest < 300
