"""The sentence of each kind of end, and what it advises."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dashboard.requests.explanation import (
    ADVICE,
    NOT_STORED,
    SHORTEN,
    explain,
    is_mostly_stream,
    note,
    ordinal,
)
from gateway.errors import GatewayError
from gateway.models import RequestAttempt, RequestLog
from tests.gateway.ledger.builders import MORNING

SPACE = "\u00a0"


def a_row(**changes: Any) -> RequestLog:
    """Answered at the first try."""
    facts = {"started_at": MORNING, "status": 200, "attempts": 1, "duration_seconds": 1.9, "account": "ada"}
    return RequestLog(
        **{**facts, "first_event_seconds": 0.38, "upstream_model": "opus", "output_tokens": 0, **changes}
    )


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
    assert sentence(a_row()) == "Answered at the first try in 1.9 s, 0.38 s of it to the first event."
    assert sentence(a_row(first_event_seconds=None)) == "Answered at the first try in 1.9 s."


def test_a_slow_answer_names_the_account_that_took_longest() -> None:
    row = a_row(attempts=3, first_event_seconds=32.0, duration_seconds=41.0)
    silent = a_try(1.2, 30.0, "no answer within 30 s", account="grace")

    explanation = explain(row, [a_try(0, 1.2), silent, a_try(31.2, 9.8, "answered")], 0.0)

    assert explanation.sentence.replace(SPACE, " ") == "grace gave no answer for 30 s."
    course = "Answered by ada in 41 s, 32 s of it to the first event."
    assert explanation.course.replace(SPACE, " ") == course
    assert explanation.cause in explanation.sentence
    assert explanation.accounts == {"ada", "grace"}


def test_a_failed_try_that_took_longest_says_why_it_failed() -> None:
    row = a_row(attempts=2, first_event_seconds=6.0, duration_seconds=41.0)
    tries = [a_try(0, 4.1, "empty answer"), a_try(4.1, 36.9, "answered")]

    assert sentence(row, *tries) == (
        "ada failed after 4.1 s (empty answer). "
        "Answered when asked again, in 41 s, 6.0 s of it to the first event."
    )


def test_a_slow_first_try_was_the_providers() -> None:
    row = a_row(first_event_seconds=8.6, duration_seconds=13.0)
    assert sentence(row, a_try(0, 13.0, "answered")) == (
        "ada took 8.6 s to the first event, all of it the provider's time. "
        "Answered in 13 s, 8.6 s of it to the first event."
    )


def test_a_wait_can_be_what_took_longest() -> None:
    row = a_row(first_event_seconds=5.5, waited_seconds=5.0, duration_seconds=7.0)
    assert sentence(row, a_try(5.0, 2.0, "answered", waited=5.0)) == (
        "5.0 s of waiting. Answered by ada in 7.0 s, 5.5 s of it to the first event."
    )


def test_the_last_try_can_be_what_took_longest() -> None:
    row = a_row(attempts=2, first_event_seconds=5.0, duration_seconds=10.0)
    assert sentence(row, a_try(0, 1.0), a_try(1.0, 9.0, "answered")) == (
        "ada took 4.0 s to the first event. Answered in 10 s, 5.0 s of it to the first event."
    )


def test_without_one_long_part_none_is_named() -> None:
    row = a_row(attempts=3, first_event_seconds=3.0, duration_seconds=4.0)
    assert sentence(row, a_try(0, 1), a_try(1, 1), a_try(2, 1, "answered")) == (
        "Answered at the third try in 4.0 s, 3.0 s of it to the first event."
    )


def test_a_fallback_is_named() -> None:
    assert sentence(a_row(fallback=True)).startswith("Answered by the fallback opus at the first try")
    slow = a_row(fallback=True, first_event_seconds=8.6, duration_seconds=13.0)
    assert sentence(slow, a_try(0, 13.0, "answered")).endswith(
        "Answered by the fallback opus in 13 s, 8.6 s of it to the first event."
    )


@pytest.mark.parametrize(
    ("times", "tokens", "said"),
    [
        ((1.1, 8.1), 523, "7.0 of 8.1 s was the stream: 523 tokens, 75 a second."),
        ((1.1, 8.1), 1, "7.0 of 8.1 s was the stream: 1 token, 0.1 a second."),
        ((1.1, 8.1), 0, "7.0 of 8.1 s was the stream."),
        ((2.0, 72.0), 1400, "1 min 10 s of 1 min 12 s was the stream: 1,400 tokens, 20 a second."),
        ((2.6, 5.0), 523, "Answered at the first try"),
        ((0.5, 4.9), 523, "Answered at the first try"),
        ((5.0, 41.0), 523, "ada took 5.0 s to the first event"),
    ],
)
def test_a_long_answer_that_began_soon_says_how_long_it_streamed(
    times: tuple[float, float], tokens: int, said: str
) -> None:
    first_event, whole = times
    row = a_row(first_event_seconds=first_event, duration_seconds=whole, output_tokens=tokens)

    assert sentence(row, a_try(0, whole, "answered")).startswith(said)
    assert is_mostly_stream(row) is ("stream" in said)


def test_of_a_long_stream_the_time_to_the_first_event_is_explained_second() -> None:
    row = a_row(attempts=2, first_event_seconds=3.0, duration_seconds=23.0, output_tokens=2000)
    assert sentence(row, a_try(0, 2.0, account="grace"), a_try(2.0, 21.0, "answered")) == (
        "20 of 23 s was the stream: 2,000 tokens, 100 a second. "
        "grace failed after 2.0 s (quota). "
        "Answered by ada in 23 s, 3.0 s of it to the first event."
    )


def a_try_with(model: str, reason: str, account: str = "ada", at: float = 0.0) -> RequestAttempt:
    attempt = a_try(at, 0.3, reason, account=account)
    attempt.model = model
    return attempt


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        (
            [("ada", "rate limit"), ("grace", "rate limit"), ("ada", "rate limit")],
            "2 accounts at a rate limit",
        ),
        ([("ada", "quota (weekly)"), ("grace", "quota")], "2 accounts out of quota"),
        ([("ada", "limit")], "ada at a limit"),
        ([("ada", "server error"), ("ada", "no capacity")], "ada failed (server error, no capacity)"),
        ([("ada", "rate limit"), ("grace", "quota")], "2 accounts failed (rate limit, quota)"),
    ],
)
def test_what_led_to_a_fallback_comes_first(failures: list[tuple[str, str]], said: str) -> None:
    row = a_row(
        fallback=True, upstream_model="gemini", first_event_seconds=0.9, duration_seconds=1.0, account="linus"
    )
    tries = [a_try_with("opus", reason, account) for account, reason in failures]
    refused = a_try_with("gemini", "server error", "hedy")

    explanation = explain(row, [*tries, refused, a_try_with("gemini", "answered", "linus", at=0.5)], 0.0)

    assert explanation.sentence == f"{said}, then gemini answered instead."
    assert explanation.course.replace(SPACE, " ") == "Answered in 1.0 s, 0.90 s of it to the first event."
    assert explanation.accounts == {name for name, _ in failures}


@pytest.mark.parametrize(
    ("times", "took_longest"),
    [
        ((3.3, 4.0), "linus took 3.0 s to the first event."),
        ((3.3, 13.3), "10 of 13 s was the stream."),
    ],
)
def test_what_took_longest_follows_on_what_led_to_a_fallback(
    times: tuple[float, float], took_longest: str
) -> None:
    row = a_row(
        fallback=True, upstream_model="gemini", first_event_seconds=times[0], duration_seconds=times[1]
    )
    tries = [a_try_with("opus", "rate limit"), a_try_with("gemini", "answered", "linus", at=0.3)]
    assert explain(row, tries, 0.0).sentence.replace(SPACE, " ") == (
        f"ada at a rate limit, then gemini answered instead; {took_longest}"
    )


@pytest.mark.parametrize(
    ("tries", "said"),
    [
        ([a_try(0, 9.0, "answered")], "ada took all of it, the provider's time"),
        ([a_try(2.0, 7.0, "answered")], "ada took 4.0 s, the provider's time"),
        ([a_try(0, 1.0), a_try(1.0, 8.0, "answered")], "ada took 5.0 s"),
        ([a_try(0, 5.0, account="grace"), a_try(5.0, 4.0, "answered")], "grace failed after 5.0 s (quota)"),
        ([a_try(5.0, 4.0, "answered", waited=5.0)], "5.0 s of waiting"),
    ],
)
def test_the_cause_alone_stands_beside_the_time_to_the_first_event(
    tries: list[RequestAttempt], said: str
) -> None:
    row = a_row(attempts=len(tries), first_event_seconds=6.0, duration_seconds=9.0)
    assert explain(row, tries, 0.0).cause_alone.replace(SPACE, " ") == said


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
