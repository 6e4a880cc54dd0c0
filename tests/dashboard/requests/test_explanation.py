"""The sentence of each kind of end, and what it advises."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dashboard.requests.explanation import ADVICE, NOT_STORED, SHORTEN, explain, note, ordinal
from gateway.errors import GatewayError
from gateway.models import RequestAttempt, RequestLog
from tests.gateway.ledger.builders import MORNING

SPACE = "\u00a0"


def a_row(**changes: Any) -> RequestLog:
    """Answered at the first try."""
    facts = {"started_at": MORNING, "status": 200, "attempts": 1, "duration_seconds": 1.9, "account": "ada"}
    return RequestLog(**{**facts, "first_event_seconds": 0.38, "upstream_model": "opus", **changes})


def a_failed_row(**changes: Any) -> RequestLog:
    facts = {"problem": "api_error", "status": 502, "first_event_seconds": None, "duration_seconds": 0.12}
    return a_row(**{**facts, **changes})


def a_try(
    at: float, took: float, reason: str = "quota", waited: float = 0.0, account: str = "ada"
) -> RequestAttempt:
    started_at = MORNING + timedelta(seconds=at)
    return RequestAttempt(
        started_at=started_at, took_seconds=took, reason=reason, waited_seconds=waited, account=account
    )


def sentence(row: RequestLog, *attempts: RequestAttempt, age: float = 0.0) -> str:
    """The sentence, with the course of a request that was answered."""
    found = explain(row, attempts, age)
    return f"{found.sentence} {found.course if row.problem is None else ''}".strip().replace(SPACE, " ")


def course(row: RequestLog, *attempts: RequestAttempt) -> str:
    return explain(row, attempts, 0.0).course.replace(SPACE, " ")


def test_an_answer_says_its_times() -> None:
    assert sentence(a_row()) == "Answered at the first try after 1.9 s; 0.38 s to the first event."
    assert sentence(a_row(first_event_seconds=None)) == "Answered at the first try after 1.9 s."


def test_a_slow_answer_names_the_account_that_took_longest() -> None:
    row = a_row(attempts=3, first_event_seconds=32.0, duration_seconds=41.0)
    silent = a_try(1.2, 30.0, "no answer within 30 s", account="grace")

    explanation = explain(row, [a_try(0, 1.2), silent, a_try(31.2, 9.8, "answered")], 0.0)

    assert explanation.sentence.replace(SPACE, " ") == "grace gave no answer for 30 s, then ada answered."
    assert explanation.course.replace(SPACE, " ") == "The first event came after 32 s, the end after 41 s."
    assert explanation.cause in explanation.sentence
    assert explanation.accounts == {"ada", "grace"}


def test_a_failed_try_that_took_longest_says_why_it_failed() -> None:
    row = a_row(attempts=2, first_event_seconds=6.0, duration_seconds=41.0)
    tries = [a_try(0, 4.1, "empty answer"), a_try(4.1, 36.9, "answered")]

    assert sentence(row, *tries) == (
        "ada failed after 4.1 s (empty answer), then answered when asked again. "
        "The first event came after 6.0 s, the end after 41 s."
    )


def test_a_slow_first_try_was_the_providers() -> None:
    row = a_row(first_event_seconds=8.6, duration_seconds=13.0)
    assert sentence(row, a_try(0, 13.0, "answered")) == (
        "ada took 8.6 s to the first event, all of it the provider's time. "
        "The first event came after 8.6 s, the end after 13 s."
    )


def test_a_wait_can_be_what_took_longest() -> None:
    row = a_row(first_event_seconds=5.5, waited_seconds=5.0, duration_seconds=7.0)
    assert sentence(row, a_try(5.0, 2.0, "answered", waited=5.0)) == (
        "5.0 s of waiting, then ada answered. The first event came after 5.5 s, the end after 7.0 s."
    )


def test_the_last_try_can_be_what_took_longest() -> None:
    row = a_row(attempts=2, first_event_seconds=5.0)
    assert sentence(row, a_try(0, 1.0), a_try(1.0, 9.0, "answered")).startswith(
        "ada took 4.0 s to the first event. The first event came after 5.0 s"
    )


def test_without_one_long_part_none_is_named() -> None:
    row = a_row(attempts=3, first_event_seconds=3.0)
    assert sentence(row, a_try(0, 1), a_try(1, 1), a_try(2, 1, "answered")) == (
        "Answered at the third try after 1.9 s; 3.0 s to the first event."
    )


def test_a_fallback_is_named() -> None:
    assert sentence(a_row(fallback=True)).startswith("Answered by the fallback opus at the first try")
    slow = a_row(fallback=True, first_event_seconds=8.6, duration_seconds=13.0)
    assert sentence(slow, a_try(0, 13.0, "answered")).endswith("the end after 13 s, by the fallback opus.")


def test_an_open_request_says_how_long_it_runs() -> None:
    row = a_row(duration_seconds=None, first_event_seconds=None)
    assert sentence(row, age=75) == "In flight for 1 min 15 s, without an event so far."
    row.first_event_seconds = 0.5
    assert sentence(row, age=75) == "In flight for 1 min 15 s; 0.50 s to the first event."


def test_a_client_that_hung_up_is_no_failure() -> None:
    hung_up = a_row(problem="hung_up", status=499)
    assert sentence(hung_up) == (
        "The client closed the connection after 1.9 s, while the answer was streaming; "
        "0.38 s to the first event."
    )
    hung_up.first_event_seconds = None
    assert sentence(hung_up).endswith("before the first event.")


def test_an_interrupted_request_is_to_be_sent_again() -> None:
    explanation = explain(a_row(problem="interrupted", status=None, duration_seconds=None), [], 60)
    assert explanation.advice == "Send it again."


def test_a_failure_says_the_last_reason_and_what_to_do() -> None:
    row = a_failed_row(attempts=2, problem="rate_limit_error", status=429, error="Next try in 2 h 3 min.")

    explanation = explain(row, [a_try(0, 0.1), a_try(0.1, 0.02)], 60)

    assert explanation.sentence == "Next try in 2 h 3 min."
    assert explanation.course.replace(SPACE, " ") == "Failed with 429 at the second try after 0.12 s: quota."
    assert explanation.advice.startswith("Wait until then")
    assert explanation.is_limited


def test_a_long_message_stands_below_a_short_sentence() -> None:
    row = a_failed_row(error="What the provider says of it. " * 10)

    explanation = explain(row, [a_try(0, 0.1)], 60)

    assert explanation.sentence == "Failed: quota."
    assert explanation.detail == row.error


def test_a_message_says_in_few_words_why_the_answer_broke_off() -> None:
    error = "The answer broke off: the connection broke (closed by the provider)."
    row = a_failed_row(first_event_seconds=0.5, error=error)

    explanation = explain(row, [a_try(0, 9.0, "broke off")], 0)

    assert (explanation.sentence, explanation.detail) == ("Broke off: closed by the provider.", "")
    assert (
        note(row.outcome, 502, error, MORNING) == f"{explanation.sentence}\n→ {' '.join(ADVICE['api_error'])}"
    )


def test_a_failure_before_any_account_says_so() -> None:
    row = a_failed_row(attempts=0)
    assert sentence(row) == "Failed before an account was asked."
    assert course(row) == "Failed with 502 after 0.12 s before an account was asked."


def test_a_broken_stream_broke_off() -> None:
    row = a_failed_row(first_event_seconds=0.5, duration_seconds=9.0)
    assert sentence(row, a_try(0, 9.0, "broke off")) == "Broke off."
    assert course(row, a_try(0, 9.0, "broke off")) == (
        "Broke off at the first try after 9.0 s; 0.50 s to the first event."
    )
    assert sentence(row, a_try(0, 9.0, "quota")) == "Broke off: quota."


@pytest.mark.parametrize(
    ("problem", "status", "said"),
    [
        ("api_error", 500, "`manage.py diagnose`"),
        ("api_error", 502, "wait some minutes, or ask for another model"),
        ("api_error", 503, "The gateway was not ready"),
        ("api_error", 508, "Correct the address of the account"),
        ("overloaded_error", 529, "ask for another model"),
        ("timeout_error", 504, "ask for another"),
        ("a kind to come", 502, "wait some minutes"),
    ],
)
def test_a_failure_says_what_a_person_can_do(problem: str, status: int, said: str) -> None:
    row = a_failed_row(problem=problem, status=status)
    found = explain(row, [a_try(0, 1, "server error")], 0)
    assert said in f"{found.advice} {found.further}"
    assert note(row.outcome, row.status, "", row.started_at) == f"→ {found.advice} {found.further}"


def test_an_answer_that_broke_off_is_sent_again() -> None:
    row = a_failed_row(first_event_seconds=0.5, duration_seconds=9.0)
    assert explain(row, [a_try(0, 9.0, "broke off")], 0).advice == ADVICE["api_error"].text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, True), ({"account": ""}, False), ({"status": 500}, False), ({"problem": "not_found_error"}, False)],
)
def test_other_failures_of_the_account_are_named_where_they_tell_more(
    changes: dict[str, Any], expected: bool
) -> None:
    assert explain(a_failed_row(**changes), [a_try(0, 1)], 0).is_providers is expected


def test_words_of_google_are_not_stored() -> None:
    assert explain(a_failed_row(), [a_try(0, 1)], 0).detail == NOT_STORED


def test_a_long_prompt_is_to_be_shortened() -> None:
    row = a_failed_row(problem="invalid_request_error", status=400)
    assert explain(row, [a_try(0, 1, "prompt too long")], 0).advice == SHORTEN.text


def test_what_the_operator_must_do_is_on_the_accounts_page() -> None:
    explanation = explain(a_failed_row(status=503, error="The operator must sign it in again."), [], 0)
    assert explanation.needs_account


def kinds_of(error: type[GatewayError]) -> set[str]:
    return {error.error_type}.union(*(kinds_of(one) for one in error.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(kinds_of(GatewayError)))
def test_each_type_of_error_has_advice(kind: str) -> None:
    assert kind in ADVICE


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "first"), (10, "tenth"), (11, "11th"), (20, "20th"), (21, "21st"), (112, "112th")],
)
def test_tries_are_counted_in_words(number: int, word: str) -> None:
    assert ordinal(number) == word
