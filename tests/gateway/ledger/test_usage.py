"""The hourly sums against the same sums made by hand, over requests of every kind."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.ledger import instances, usage
from gateway.ledger.search import attempts_of
from gateway.ledger.usage import DIMENSIONS, Totals
from gateway.models import HourlyUsage, MinuteUsage, RequestAttempt, RequestLog
from gateway.translation.response.usage import Tokens
from tests.gateway.ledger.builders import (
    a_failed_record,
    a_record,
    a_refused_attempt,
    an_attempt,
    an_open_record,
    counts,
    keep,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.ledger.record import RequestRecord
    from gateway.relay.error_messages import Attempt

pytestmark = pytest.mark.django_db

SECONDS = ("waited_seconds", "first_event_seconds", "duration_seconds")
RECORDS = 300
HOURS = 6
ACCOUNTS = ["ada@example.com", "grace@example.com", "edsger@example.com"]
MODELS = ["gemini-3-flash", "gemini-3-pro", "claude-sonnet-4-6"]


def beginning_of_now() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Crowd:
    """Requests over some hours that have ended, and those whose server died."""

    ended: list[RequestRecord]
    interrupted: list[RequestRecord]

    def since(self, since: datetime) -> Crowd:
        return Crowd(
            [one for one in self.ended if beginning_of(one) >= since],
            [one for one in self.interrupted if beginning_of(one) >= since],
        )


def beginning_of(record: RequestRecord) -> datetime:
    """To the microsecond, as the database has it."""
    return datetime.fromtimestamp(record.started_at, UTC)


def a_crowd(seed: int) -> Crowd:
    """In the database, too."""
    chance = random.Random(seed)
    first_hour = beginning_of_now() - timedelta(hours=HOURS - 1)
    latest = time.time() - first_hour.timestamp() - 1
    dying = instances.register("dying")

    def some_time() -> float:
        return first_hour.timestamp() + chance.choice([chance.uniform(0, latest), float(chance.randrange(6))])

    ended = [a_random_record(chance, some_time()) for _ in range(RECORDS)]
    interrupted = [an_interrupted_record(chance, some_time()) for _ in range(RECORDS // 10)]
    for start in range(0, RECORDS, 37):
        keep(*ended[start : start + 37])
    keep(*interrupted, instance_id=dying.pk)
    instances.register("dying")
    keep(*[an_open_record(started_at=some_time()) for _ in range(5)])
    return Crowd(ended, interrupted)


def a_random_record(chance: random.Random, started_at: float) -> RequestRecord:
    attempts = [a_random_attempt(chance) for _ in range(chance.choice([0, 1, 1, 1, 2, 3]))]
    problem, status = chance.choice([(None, 200)] * 3 + [("hung_up", 499), ("api_error", 502)])
    return a_record(
        started_at=started_at,
        attempts=attempts,
        client=chance.choice(["loopback", "AUTH_TOKEN"]),
        problem=problem,
        status=status,
        fallback=chance.random() < 0.2,
        waited_seconds=chance.choice([0.0, 0.0, 0.0999, 0.1, 4.0]),
        first_event_seconds=chance.choice([None, chance.random()]),
        duration_seconds=chance.uniform(0, 20),
    )


def a_random_attempt(chance: random.Random) -> Attempt:
    tokens = Tokens(*(chance.choice([0, chance.randrange(10_000)]) for _ in range(4)))
    return an_attempt(account_name=chance.choice(ACCOUNTS), model_id=chance.choice(MODELS), tokens=tokens)


def an_interrupted_record(chance: random.Random, started_at: float) -> RequestRecord:
    """As it was noted last: when it was accepted."""
    return an_open_record(started_at=started_at, client=chance.choice(["loopback", "AUTH_TOKEN"]))


def by_hand(dimension: str, crowd: Crowd) -> dict[str, Totals]:
    totals: defaultdict[str, Totals] = defaultdict(Totals)
    for record in crowd.interrupted:
        one = totals[name_in(dimension, record.upstream_model, record.account, record.client)]
        one.requests += 1
        one.interrupted += 1
        one.unattempted += 1
    for record in crowd.ended:
        one = totals[name_in(dimension, record.upstream_model, record.account, record.client)]
        add_request(one, record)
        for attempt in record.attempts:
            one = totals[name_in(dimension, attempt.model_id, attempt.account_name, record.client)]
            add_attempt(one, attempt)
    return dict(totals)


def name_in(dimension: str, model: str, account: str, client: str) -> str:
    return {"model": model, "account": account, "client": client}[dimension]


def add_request(totals: Totals, record: RequestRecord) -> None:
    totals.requests += 1
    totals.unattempted += not record.attempts
    totals.failed += record.problem == "api_error"
    totals.hung_up += record.problem == "hung_up"
    totals.retried += len(record.attempts) > 1
    totals.retried_well += len(record.attempts) > 1 and record.problem is None
    totals.fallback += record.fallback
    if record.waited_seconds >= 0.1:
        totals.waited += 1
        totals.waited_seconds += record.waited_seconds
    if record.first_event_seconds is not None:
        totals.begun += 1
        totals.first_event_seconds += record.first_event_seconds
    totals.duration_seconds += record.duration_seconds or 0.0


def add_attempt(totals: Totals, attempt: Attempt) -> None:
    totals.attempts += 1
    totals.input_tokens += attempt.tokens.input
    totals.output_tokens += attempt.tokens.output
    totals.cache_read_tokens += attempt.tokens.cache_read
    totals.thinking_tokens += attempt.tokens.thinking


def rounded(totals: Totals) -> dict[str, float]:
    """Sums of seconds depend on the order, in the last digits."""
    return {name: round(number, 6) for name, number in asdict(totals).items()}


def summed(each: Iterable[Totals]) -> Totals:
    total = Totals()
    for one in each:
        total.add(asdict(one))
    return total


def some_moments(crowd: Crowd) -> list[datetime]:
    """Before all, on an hour, within one, at the very start of a request, after all."""
    hour = beginning_of_now() - timedelta(hours=2)
    start = beginning_of(crowd.ended[17])
    return [
        hour - timedelta(days=3),
        hour - timedelta(hours=1, minutes=13),
        hour - timedelta(microseconds=1),
        hour,
        hour + timedelta(microseconds=1),
        hour + timedelta(minutes=59, seconds=59, microseconds=999_999),
        start,
        timezone.now() - timedelta(minutes=7),
        timezone.now() + timedelta(days=2),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_totals_are_the_sums_of_all_requests_since_then(seed: int) -> None:
    crowd = a_crowd(seed)

    for since in some_moments(crowd):
        expected = crowd.since(since)

        for dimension in DIMENSIONS:
            found = usage.totals_by(dimension, since)
            assert {name: rounded(one) for name, one in found.items()} == {
                name: rounded(one) for name, one in by_hand(dimension, expected).items()
            }, (dimension, since)
        assert rounded(usage.totals(since)) == rounded(summed(by_hand("client", expected).values()))


@pytest.mark.slow
def test_hourly_sums_are_the_sums_of_the_rows() -> None:
    a_crowd(99)
    rows = RequestLog.objects.exclude(duration_seconds=None, problem=None)

    sums = summed(usage.totals_by("client", beginning_of_now() - timedelta(days=1)).values())

    assert sums.requests == rows.count()
    assert sums.interrupted == rows.filter(problem="interrupted").count()
    tries = [attempt for row in rows for attempt in attempts_of(row)]
    assert sums.attempts == len(tries) > RequestAttempt.objects.count() > 0
    assert sums.input_tokens == sum(attempt.input_tokens for attempt in tries)
    assert sums.input_tokens == sum(rows.values_list("input_tokens", flat=True))
    assert sums.output_tokens == sum(rows.values_list("output_tokens", flat=True))
    assert sums.duration_seconds == pytest.approx(
        sum(rows.exclude(duration_seconds=None).values_list("duration_seconds", flat=True))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("columns", [("requests",), ("failed", "input_tokens", "cost"), ("unattempted",)])
def test_columns_that_are_not_asked_for_stay_zero(columns: tuple[str, ...]) -> None:
    a_crowd(5)
    since = timezone.now() - timedelta(hours=3, minutes=7)

    def wanted(total: Totals) -> Totals:
        return Totals(**{name: getattr(total, name) for name in columns})

    for dimension in DIMENSIONS:
        whole = usage.totals_by(dimension, since)
        found = usage.totals_by(dimension, since, columns)
        assert found == {name: wanted(one) for name, one in whole.items() if name in found}
        assert all(wanted(one) == Totals() for name, one in whole.items() if name not in found)
    for read in (usage.history, usage.history_by_minute):
        assert read(since, columns) == {
            at: {model: wanted(total) for model, total in models.items()}
            for at, models in read(since).items()
        }


def test_most_requests_come_first() -> None:
    grace = [an_attempt(account_name="grace@example.com")]
    now = time.time()
    keep(a_record(started_at=now), *[a_record(started_at=now, attempts=grace) for _ in range(2)])

    assert list(usage.totals_by("account", beginning_of_now() - timedelta(hours=1))) == [
        "grace@example.com",
        "ada@example.com",
    ]


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(microseconds=1)], ids=["hour", "piece"])
def test_interrupted_requests_count_in_whole_and_partial_hours(offset: timedelta) -> None:
    """It had begun to be answered: its account and its first content were noted before its server died."""
    hour = beginning_of_now() - timedelta(hours=3)
    server = instances.register("here")
    tries = [a_refused_attempt(), an_attempt()]
    at = (hour + timedelta(minutes=5)).timestamp()
    keep(
        an_open_record(started_at=at, attempts=tries, first_event_seconds=0.5),
        instance_id=server.pk,
    )
    instances.register("here")

    assert rounded(usage.totals(hour + offset)) == rounded(Totals(requests=1, interrupted=1, unattempted=1))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_retries_of_the_parts_are_those_of_the_whole(dimension: str) -> None:
    at = (beginning_of_now() - timedelta(minutes=5)).timestamp()
    keep(
        a_record(started_at=at, attempts=[a_refused_attempt(), an_attempt(account_name="grace@example.com")]),
        *(a_failed_record(started_at=at, attempts=[], client="laptop") for _ in range(3)),
    )

    parts = usage.totals_by(dimension, beginning_of_now() - timedelta(hours=2)).values()

    assert sum(one.retries for one in parts) == 1
    assert all(one.retries >= 0 for one in parts)


# Spans older than the rows


def test_a_span_begins_with_its_hour_where_rows_are_gone() -> None:
    long_ago = (timezone.now() - timedelta(days=40)).replace(minute=10, second=0, microsecond=0)
    keep(a_record(started_at=long_ago.timestamp()))
    RequestAttempt.objects.all().delete()
    RequestLog.objects.all().delete()

    assert usage.totals(long_ago + timedelta(minutes=20)).requests == 1


def test_the_earliest_moment_there_is_leads_to_all() -> None:
    keep(a_record())

    assert usage.totals(datetime.min.replace(tzinfo=UTC)).requests == 1


# History and sessions


def test_history_goes_by_hour_and_model() -> None:
    hour = beginning_of_now() - timedelta(hours=4)
    pro = [an_attempt(model_id="gemini-3-pro")]
    for hours, attempts in ((0, None), (0, pro), (2, pro)):
        at = (hour + timedelta(hours=hours, minutes=3)).timestamp()
        keep(a_record(started_at=at, **({"attempts": attempts} if attempts else {})))

    found = usage.history(hour + timedelta(minutes=30))

    assert {at: {model: one.requests for model, one in models.items()} for at, models in found.items()} == {
        hour: {"gemini-3-flash": 1, "gemini-3-pro": 1},
        hour + timedelta(hours=2): {"gemini-3-pro": 1},
    }


def test_a_session_is_all_its_requests() -> None:
    now = time.time()
    keep(
        a_record(started_at=now - 60, session_id="a", attempts=[a_refused_attempt(), an_attempt()]),
        a_record(started_at=now - 50, session_id="b"),
        a_record(started_at=now - 30, session_id="a", problem="api_error", status=502),
        a_record(started_at=now - 20, session_id="a", problem="hung_up", status=499),
        a_record(started_at=now - 10, session_id=""),
    )

    first, second = usage.sessions(timezone.now() - timedelta(hours=1))

    assert (first.session_id, second.session_id) == ("a", "b")
    assert (first.requests, first.failed, first.attempts, first.input_tokens) == (3, 1, 4, 300)
    assert first.wall_seconds == pytest.approx(40)


def test_the_sums_are_read_from_the_table_of_sums() -> None:
    keep(a_record())

    plan = HourlyUsage.objects.filter(hour__gte=beginning_of_now()).values("model").explain()

    assert "gateway_hourlyusage USING" in plan
    assert counts() == {"requests": 1, "attempts": 1}


# Sums by minute


@pytest.mark.parametrize("seed", [1, 2])
def test_minutes_add_up_to_the_hours(seed: int) -> None:
    a_crowd(seed)
    since = beginning_of_now() - timedelta(hours=HOURS)
    by_hour: defaultdict[datetime, defaultdict[str, Totals]] = defaultdict(lambda: defaultdict(Totals))
    for minute, models in usage.history_by_minute(since).items():
        for model, total in models.items():
            by_hour[minute.replace(minute=0)][model].add(asdict(total))

    hours = usage.history(since)

    assert by_hour.keys() == hours.keys()
    for hour, models in hours.items():
        assert {model: in_short(total) for model, total in by_hour[hour].items()} == {
            model: in_short(total) for model, total in models.items()
        }


def in_short(total: Totals) -> dict[str, float]:
    return {name: round(number, 6) for name, number in asdict(total).items()}


def test_a_request_counts_in_the_minute_it_began_in() -> None:
    begun = beginning_of_now() - timedelta(seconds=0.5)
    keep(a_record(started_at=begun.timestamp(), duration_seconds=300.0))

    ((minute, models),) = usage.history_by_minute(begun).items()

    assert minute == begun.replace(second=0, microsecond=0)
    assert {model: total.requests for model, total in models.items()} == {"gemini-3-flash": 1}


@pytest.mark.slow
def test_a_history_of_10_000_requests_reads_sums_only() -> None:
    now = beginning_of_now()
    MinuteUsage.objects.bulk_create(
        MinuteUsage(minute=now - timedelta(minutes=minute), model=model, requests=14)
        for minute in range(360)
        for model in ("claude-sonnet-4-6", "gemini-3-flash")
    )

    with CaptureQueriesContext(connection) as queries:
        found = usage.history_by_minute(now - timedelta(hours=6))

    assert len(queries) == 1
    assert sum(total.requests for models in found.values() for total in models.values()) == 10_080


# Spans


@pytest.mark.parametrize(("days", "counted"), [(1, [1, 2]), (7, [1, 1]), (30, [1, 1])])
def test_a_long_span_is_kept_for_a_while(days: int, counted: list[int]) -> None:
    found = []
    for _ in range(2):
        keep(a_record(started_at=time.time()))
        found.append(usage.over(timedelta(days=days), "totals", usage.totals).requests)

    assert found == counted


def test_a_kept_span_costs_no_query() -> None:
    keep(a_record(started_at=time.time()))
    read = [usage.over(timedelta(days=7), "history", usage.history)]

    with CaptureQueriesContext(connection) as queries:
        read.append(usage.over(timedelta(days=7), "history", usage.history))

    assert read[0] == read[1] != {}
    assert not queries.captured_queries


# Times of single requests


def test_times_are_those_of_the_newest_requests() -> None:
    now = timezone.now()
    keep(
        *(
            a_record(
                request_id=f"req_{minute}",
                started_at=(now - timedelta(minutes=minute)).timestamp(),
                first_event_seconds=None if minute == 2 else float(minute),
            )
            for minute in range(1, 6)
        ),
        an_open_record(started_at=now.timestamp()),
    )

    times = usage.newest_times(now - timedelta(minutes=4, seconds=1))
    some = usage.newest_times(now - timedelta(hours=1), limit=3)

    key_of = dict(RequestLog.objects.values_list("request_id", "pk"))
    assert times == usage.Times([4.0, 3.0, 1.0], key_of["req_4"], is_complete=True)
    assert some == usage.Times([1.0], key_of["req_1"], is_complete=False)


def test_without_requests_there_are_no_times() -> None:
    assert usage.newest_times(timezone.now()) == usage.Times([], None, is_complete=True)


@pytest.mark.slow
def test_times_of_10_000_requests_are_one_query() -> None:
    now = timezone.now()
    RequestLog.objects.bulk_create(
        RequestLog(
            id=number,
            instance_id=1,
            request_id=str(number),
            started_at=now - timedelta(seconds=number),
            first_event_seconds=0.5,
            duration_seconds=1.0,
        )
        for number in range(1, usage.MOST_TIMES + 3)
    )

    with CaptureQueriesContext(connection) as queries:
        times = usage.newest_times(now - timedelta(days=7))

    assert (len(times.first_event_seconds), times.is_complete) == (usage.MOST_TIMES, False)
    assert len(queries) == 1
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {queries.captured_queries[0]['sql']}")
            assert "USING INDEX request_newest (started_at>?)" in cursor.fetchall()[0][3]
