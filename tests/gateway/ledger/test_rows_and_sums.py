from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from accounts.values.sanitize import UNSAFE
from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.errors import GatewayError, UpstreamFailed
from gateway.google_api.text_chunks import LARGEST_COUNT
from gateway.ledger import instances, rows_and_sums
from gateway.ledger.rows_and_sums import VALUES_A_STATEMENT, RequestRow, entry_of, store
from gateway.models import HourlyUsage, RequestAttempt, RequestLog, ServerInstance
from gateway.relay.context import RequestContext
from gateway.translation.response.usage import Tokens, TokenUsage
from tests.gateway.ledger.builders import (
    MORNING,
    a_failed_record,
    a_record,
    a_refused_attempt,
    an_attempt,
    an_open_record,
    answer,
    counts,
    hourly_sums,
    keep,
    row_of,
)

pytestmark = pytest.mark.django_db


def an_instance() -> int:
    return instances.register("here").pk


def expire_lease(instance_id: int) -> None:
    instances.close_rows_of(ServerInstance.objects.filter(pk=instance_id))


# One row a request


def test_an_open_row_is_closed_by_the_same_id() -> None:
    record = an_open_record()
    keep(record)
    assert row_of(record).outcome == "open"

    keep(answer(record))

    row = RequestLog.objects.get()
    assert (row.outcome, row.status, row.duration_seconds) == ("answered", 200, 2.0)
    assert (row.account, row.upstream_model, row.attempts) == ("ada@example.com", "gemini-3-flash", 1)
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.thinking_tokens) == (
        100,
        20,
        10,
        5,
    )


def test_a_row_has_all_fields_of_the_record() -> None:
    record = a_record(
        is_stream=True, fallback=True, waited_seconds=3.5, error="-", request_class="safeguards"
    )

    keep(record)

    row, expected = row_of(record), entry_of(record, 7).request._asdict()
    expected["started_at"] = MORNING
    assert {name: getattr(row, name) for name in RequestRow._fields} == expected


def test_an_open_request_counts_nowhere() -> None:
    keep(an_open_record(attempts=[an_attempt()]))

    assert not HourlyUsage.objects.exists()
    assert not RequestAttempt.objects.exists()


def test_an_ended_row_never_changes_again() -> None:
    record = a_record()
    keep(record)

    record.status, record.problem, record.duration_seconds, record.client_model = 502, "api_error", 9.0, "-"
    keep(record, is_replay=True)

    row = row_of(record)
    assert (row.status, row.problem, row.duration_seconds) == (200, None, 2.0)
    assert row.client_model == "claude-sonnet-4-6"
    assert counts() == {"requests": 1, "attempts": 1}


def test_late_updates_do_not_reopen_an_ended_row() -> None:
    record = an_open_record()
    news = entry_of(record, 7)
    keep(answer(record))

    store([news], 7, is_replay=True)

    assert row_of(record).outcome == "answered"


def test_what_is_known_from_the_beginning_stays() -> None:
    record = an_open_record()
    keep(record)

    record.client, record.request_bytes = "somebody else", 1
    keep(answer(record))

    assert (row_of(record).client, row_of(record).request_bytes) == ("loopback", 300)


def test_nothing_to_store_is_no_mistake() -> None:
    store([], 7)
    store([], 7, is_replay=True)

    assert not RequestLog.objects.exists()


# Storing again


def test_the_same_batch_stored_twice_is_there_once() -> None:
    batch = [a_record(), a_failed_record(), a_record(attempts=[a_refused_attempt(), an_attempt()])]
    keep(*batch)
    before = hourly_sums()

    keep(*batch, is_replay=True)

    assert (RequestLog.objects.count(), RequestAttempt.objects.count()) == (3, 3)
    assert hourly_sums() == before


def test_what_is_new_in_a_batch_stored_again_counts() -> None:
    known, new = a_record(), a_record()
    keep(known)

    keep(known, new, is_replay=True)

    assert counts() == {"requests": 2, "attempts": 2}


def test_a_batch_whose_requests_were_open_counts_when_stored_again() -> None:
    record = an_open_record()
    keep(record)

    keep(answer(record), is_replay=True)

    assert counts() == {"requests": 1, "attempts": 1}


# Taken for dead


def test_a_request_closed_as_interrupted_is_put_right_when_it_ends() -> None:
    instance_id, record = an_instance(), an_open_record()
    keep(record, instance_id=instance_id)
    expire_lease(instance_id)
    assert counts() == {"requests": 1, "interrupted": 1}

    keep(answer(record), instance_id=instance_id, is_replay=True)

    assert row_of(record).outcome == "answered"
    assert counts() == {"requests": 1, "attempts": 1}
    assert hourly_sums(("input_tokens",)) == {"input_tokens": 100}


def test_it_is_put_right_once() -> None:
    instance_id, record = an_instance(), an_open_record()
    keep(record, instance_id=instance_id)
    expire_lease(instance_id)

    for _ in range(2):
        keep(answer(record), instance_id=instance_id, is_replay=True)

    assert counts() == {"requests": 1, "attempts": 1}


def test_sums_are_corrected_also_for_another_last_account() -> None:
    instance_id, record = an_instance(), an_open_record(attempts=[an_attempt()])
    keep(record, instance_id=instance_id)
    expire_lease(instance_id)

    grace = an_attempt(account_name="grace@example.com")
    keep(answer(record, attempts=[a_refused_attempt(), grace]), instance_id=instance_id, is_replay=True)

    assert counts(account="ada@example.com") == {"attempts": 1}
    assert counts(account="grace@example.com") == {"requests": 1, "attempts": 1}


def test_it_is_put_right_also_after_news_in_between() -> None:
    """Its first content arrives after its lease has expired."""
    instance_id, record = an_instance(), an_open_record()
    keep(record, instance_id=instance_id)
    expire_lease(instance_id)

    record.attempts, record.first_event_seconds = [an_attempt()], 0.5
    keep(record, instance_id=instance_id, is_replay=True)
    keep(answer(record), instance_id=instance_id, is_replay=True)

    assert row_of(record).outcome == "answered"
    assert counts() == {"requests": 1, "attempts": 1}


# Attempts


def test_attempts_are_written_once_and_numbered() -> None:
    refused = a_refused_attempt(account_name="grace@example.com", took_seconds=0.25, waited_seconds=1.0)
    record = a_record(attempts=[refused, an_attempt()])

    keep(record)
    keep(record, is_replay=True)

    first, second = RequestAttempt.objects.filter(request_id=record.id).order_by("number")
    assert (first.number, first.account, first.reason) == (1, "grace@example.com", "quota")
    assert (first.decision, first.took_seconds, first.waited_seconds) == ("next account", 0.25, 1.0)
    assert (second.number, second.account, second.reason) == (2, "ada@example.com", "answered")
    assert (second.started_at, second.input_tokens) == (MORNING, 100)


def test_a_request_answered_at_once_needs_no_row_for_its_attempt() -> None:
    record = a_record()

    keep(record)

    assert not RequestAttempt.objects.exists()
    assert row_of(record).endpoint == "https://cloudcode.example"
    assert counts() == {"requests": 1, "attempts": 1}
    assert hourly_sums(("input_tokens", "thinking_tokens")) == {"input_tokens": 100, "thinking_tokens": 5}


@pytest.mark.parametrize("problem", ["hung_up", "api_error"])
def test_an_only_attempt_that_came_to_nothing_has_its_row(problem: str) -> None:
    keep(a_record(problem=problem, attempts=[an_attempt(reason="broke off")]))

    assert RequestAttempt.objects.get().reason == "broke off"
    assert hourly_sums(("attempts", "input_tokens")) == {"attempts": 1, "input_tokens": 100}


def test_tokens_count_by_attempt_and_requests_by_last_attempt() -> None:
    broken = a_refused_attempt(
        account_name="grace@example.com", model_id="gemini-3-pro", tokens=Tokens(7, 3, 2, 1)
    )

    keep(a_record(attempts=[broken, an_attempt()], fallback=True))

    assert hourly_sums(account="grace@example.com", model="gemini-3-pro") == {
        "attempts": 1,
        "input_tokens": 7,
        "output_tokens": 3,
        "cache_read_tokens": 2,
        "thinking_tokens": 1,
    }
    ada = hourly_sums(account="ada@example.com", model="gemini-3-flash")
    assert (ada["requests"], ada["attempts"], ada["retried"], ada["retried_well"]) == (1, 1, 1, 1)
    assert (ada["input_tokens"], ada["fallback"], ada["begun"]) == (100, 1, 1)


def test_a_request_without_attempts_counts_for_no_account() -> None:
    keep(a_failed_record(attempts=[]))

    assert counts(account="", model="") == {"requests": 1, "failed": 1}


# Hours


@pytest.mark.parametrize(
    ("started_at", "hour"),
    [
        (datetime(2026, 11, 24, 10, 0, tzinfo=UTC), 10),
        (datetime(2026, 11, 24, 10, 59, 59, 999_999, tzinfo=UTC), 10),
        (datetime(2026, 11, 24, 11, 0, tzinfo=UTC), 11),
    ],
)
def test_a_request_belongs_to_the_hour_in_which_it_began(started_at: datetime, hour: int) -> None:
    record = a_record(
        started_at=started_at.timestamp(),
        duration_seconds=7200.0,
        attempts=[an_attempt(started_at=started_at.timestamp() + 3600)],
    )

    keep(record)

    assert HourlyUsage.objects.get().hour == started_at.replace(minute=0, second=0, microsecond=0)
    assert row_of(record).started_at == started_at
    assert HourlyUsage.objects.get().hour.hour == hour


def test_sums_of_an_hour_grow() -> None:
    keep(a_record(), a_record(problem="hung_up", status=499))
    keep(a_failed_record(waited_seconds=0.2), a_record(waited_seconds=0.05))

    assert counts() == {"requests": 4, "failed": 1, "hung_up": 1, "attempts": 4}
    assert hourly_sums(("waited", "waited_seconds")) == {"waited": 1, "waited_seconds": 0.2}
    assert HourlyUsage.objects.count() == 1


# Many, large and strange


@pytest.mark.parametrize("number", [1, VALUES_A_STATEMENT // len(RequestRow._fields), 40, 317])
def test_many_records_in_one_store(number: int) -> None:
    hours = [(MORNING + timedelta(hours=number % 60)).timestamp() for number in range(number)]

    keep(*[a_record(started_at=at, attempts=[a_refused_attempt(), an_attempt()]) for at in hours])

    assert (RequestLog.objects.count(), RequestAttempt.objects.count()) == (number, 2 * number)
    assert HourlyUsage.objects.count() == min(number, 60)
    assert counts() == {"requests": number, "attempts": 2 * number}


def test_batches_of_all_sizes_need_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    statements: set[str] = set()
    monkeypatch.setattr(rows_and_sums, "_execute", lambda sql, _: statements.add(sql))
    records = [a_record(attempts=[a_refused_attempt(), an_attempt()]) for _ in range(300)]

    for number in range(1, 301, 3):
        keep(*records[:number])

    assert len(statements) <= 3 * len([1, 2, 4, 8, 16, 32, 64, 128, 256])


def test_a_batch_costs_a_statement_for_each_table(monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    monkeypatch.setattr(rows_and_sums, "_execute", lambda sql, _: statements.append(sql.split(" ")[2]))
    moments = [(MORNING + timedelta(seconds=number)).timestamp() for number in range(128)]

    keep(*[a_record(started_at=at) for at in moments])

    assert statements == [
        f'"gateway_{name}"' for name in ("hourlyusage", "minuteusage", "minuteusage", "requestlog")
    ]


STRANGE = ["\x00", "a\x00b", "\ud800", "\x1b[2J", "\n\r\u2028", "\u202e", "é" * 700, "\x00" * 700, "😀" * 700]


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_strange_names_are_written_so_that_a_column_takes_them(text: str) -> None:
    record = an_open_record()
    record.describe(MessagesRequest(text, 10, []), RequestContext("", ""))

    keep(record)

    stored = row_of(record).client_model
    assert stored
    assert len(stored) <= 200
    assert not UNSAFE.search(stored)


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_strange_errors_are_written_so_that_a_column_takes_them(text: str) -> None:
    record = an_open_record()
    record.fail(UpstreamFailed(text))
    record.end()

    keep(record)

    stored = row_of(record).error
    assert stored
    assert len(stored) <= 500
    assert not UNSAFE.search(stored)


def test_an_error_that_may_quote_the_request_is_not_kept() -> None:
    error = GatewayError("Your secret is 42")
    error.may_quote_request = True
    record = an_open_record()
    record.fail(error)
    record.end()

    keep(record)

    row = row_of(record)
    assert (row.error, row.problem, row.status) == ("", "api_error", 500)


def test_long_texts_of_an_attempt_are_cut() -> None:
    record = a_failed_record(attempts=[an_attempt(reason="r" * 900, endpoint="https://" + "e" * 900)])
    keep(record)

    attempt = RequestAttempt.objects.get()
    assert (len(attempt.reason), len(attempt.endpoint), len(row_of(record).endpoint)) == (200, 200, 200)


def a_huge_record() -> Tokens:
    usage = TokenUsage(1)
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    usage.merge(dict.fromkeys(names, 2**70))
    record = an_open_record(attempts=[an_attempt(reason="", usage=usage)])
    record.succeed()
    record.end()
    keep(record)
    row = row_of(record)
    return Tokens(row.input_tokens, row.output_tokens, row.cache_read_tokens, row.thinking_tokens)


def test_absurd_numbers_of_tokens_are_cut() -> None:
    stored = a_huge_record()

    assert (stored.input, stored.thinking) == (LARGEST_COUNT, LARGEST_COUNT)
    assert stored.output <= 2 * LARGEST_COUNT
    assert hourly_sums(("input_tokens",)) == {"input_tokens": LARGEST_COUNT}


def test_no_count_is_larger_than_the_largest() -> None:
    assert a_huge_record().output == LARGEST_COUNT


def test_absurd_numbers_of_many_attempts_are_cut_as_well() -> None:
    record = a_record(attempts=[an_attempt(tokens=Tokens(LARGEST_COUNT, 1, 1, 1)) for _ in range(3)])

    keep(record)

    assert row_of(record).input_tokens == LARGEST_COUNT
