"""A sentence on how a request ended and why it took so long, and advice after a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from accounts.failures import FailureKind
from dashboard.formats import SPACE, count, seconds
from dashboard.requests.operator_text import (
    ADDRESS,
    in_short,
    names_by_label,
    next_try_is_past,
    operator_text,
    with_one_reason,
)
from dashboard.requests.outcomes import LONG_SECONDS
from gateway.ledger.record import HUNG_UP
from gateway.relay.error_messages import NOTICEABLE_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from gateway.models import RequestAttempt, RequestLog

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
ENDINGS = {1: "st", 2: "nd", 3: "rd"}
MOST = 0.5
"""A part of a time counts as most of it above this share."""
NOT_STORED = "Google's own words went to the client and are not stored, since they may quote the request."
LONGEST_HEADING = 120
"""A longer message of the gateway stands below the sentence instead of being it."""


class Advice(NamedTuple):
    """What to do about a failure, in a few words, and what to do when that is not enough."""

    text: str
    further: str = ""


SEND_AGAIN = "Send it again."
ADVICE = {
    "invalid_request_error": Advice("The client has to change it.", "The same request fails again."),
    "authentication_error": Advice("Check the key of the client."),
    "permission_error": Advice("Use another key.", "The client's key does not allow this."),
    "not_found_error": Advice("Ask for a model that an account offers, or map this name."),
    "request_too_large": Advice(
        "Send less.", "Shorten the conversation, or leave out large files and images."
    ),
    "rate_limit_error": Advice(
        "Wait until then, or add an account.", "Or let another model answer: setting FALLBACK."
    ),
    "timeout_error": Advice(SEND_AGAIN, "If it fails again, the provider is slow: ask for another model."),
    "overloaded_error": Advice("Send it again in a moment.", "If it fails again, ask for another model."),
    "api_error": Advice(
        SEND_AGAIN,
        "If it fails again, the fault is the provider's: wait some minutes, or ask for another model.",
    ),
}
"""What the operator can do, by error type of the Messages API."""
ADVICE_BY_STATUS = {
    500: Advice(
        SEND_AGAIN,
        "If it fails again, it is a fault of this gateway: report it with what `manage.py diagnose` prints "
        "for this id.",
    ),
    503: Advice("Send it again in a moment.", "The gateway was not ready for it."),
    508: Advice(
        "Correct the address of the account.",
        "It leads back to a gateway that this request has passed already.",
    ),
}
"""The same for an api_error, by HTTP status; others are as in ADVICE."""
PROVIDERS = {"api_error", "overloaded_error", "timeout_error"}
"""The types of errors whose cause can be one account or its provider."""
IS_PAST = "Send it again: that is past."
STOPPED = "The server stopped while this request was in flight, so its end is unknown."
BROKE_OFF = "Broke off"
NO_ANSWER = "no answer "
"""The beginning of the reasons of attempts that got no answer ("no answer within 30 s")."""
TOO_LONG = "prompt too long"
LIMITS = {
    FailureKind.RATE_LIMIT.value: "at a rate limit",
    FailureKind.QUOTA.value: "out of quota",
    FailureKind.UNKNOWN_LIMIT.value: "at a limit",
}
"""What is said of accounts that were at a limit, by the reason of their attempts."""
SHORTEN = Advice("Shorten the conversation: /compact in Claude Code.", "Or ask a model that takes more.")
OPERATOR_MUST_ACT = Advice("The accounts page says what each account needs.")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a request: in `sentence` why it failed or took so long, in `advice` what can be
    done."""

    sentence: str
    course: str = ""
    """What else is to say of its course, such as its times."""
    detail: str = ""
    """The gateway's message to the client, unless it is the sentence."""
    advice: str = ""
    further: str = ""
    """What can be done when the advice is not enough."""
    needs_account: bool = False
    """True when the operator must do something about an account."""
    is_limited: bool = False
    """True for a limit, after whose end the request can succeed."""
    is_past: bool = False
    """True for a limit that has ended by now, as far as its message told."""
    cause: str = ""
    """What took most of the time to the first event, without a full stop."""
    cause_alone: str = ""
    """The cause for a place that shows the time to the first event: without that time."""
    accounts: frozenset[str] = frozenset()
    """The names of accounts in the sentence, its course and the cause, for pages that can hide them."""

    is_providers: bool = False
    """True when the cause may be the account or its provider, so that its other failures tell more."""

    @property
    def advice_now(self) -> str:
        """The advice for a reader who does not know which limits are in force now."""
        return IS_PAST if self.is_past else self.advice


class _Span(NamedTuple):
    """A part of the time to the first event. `what` says what took it, `then` what came of it, after the word
    "Answered"; both name `accounts`."""

    what: str
    seconds: float
    accounts: frozenset[str]
    then: str = ""
    alone: str = ""
    """`what` for a place that shows the time to the first event; "" when it is the same."""


def explain(row: RequestLog, attempts: Sequence[RequestAttempt], age: float) -> Explanation:
    """Explain a request. `attempts` are those in the ledger; `age` is how many seconds ago the request
    began."""
    if row.outcome == "open":
        return Explanation(_open(row, age))
    if row.problem is None:
        return _answered(row, attempts)
    if row.problem == HUNG_UP:
        return Explanation(
            _hung_up(row),
            advice="Nothing to mend: Esc in Claude Code does this.",
            further="If nobody pressed it, the client's timeout is too short.",
        )
    if row.problem == row.INTERRUPTED:
        return Explanation(STOPPED, advice=SEND_AGAIN)
    return _failed(row, attempts)


def _open(row: RequestLog, age: float) -> str:
    if row.first_event_seconds is None:
        return f"In flight for {seconds(age)}, without an event so far."
    return f"In flight for {seconds(age)}; {seconds(row.first_event_seconds)} to the first event."


def _answered(row: RequestLog, attempts: Sequence[RequestAttempt]) -> Explanation:
    """Say first what led to a fallback, then what took most of the time."""
    cause = _cause(row, attempts)
    failed = _failed_before_fallback(row, attempts)
    instead = f"{_failures(failed)}, then {row.upstream_model} answered instead" if failed else ""
    stream = _stream(row) if is_mostly_stream(row) else ""
    by = f" by the fallback {row.upstream_model}" if row.fallback and not failed else ""
    if not (instead or stream or cause):
        return Explanation(f"Answered{by}{_at_try(row)} in {_times(row)}.")
    what, alone, names = "", "", frozenset[str]()
    if cause:
        what, alone, names = cause.what, cause.alone or cause.what, cause.accounts
        by = by or ("" if instead else cause.then)
    course = f"{what}. " if stream and cause else ""
    return Explanation(
        f"{'; '.join(filter(None, [instead, stream or what]))}.",
        f"{course}Answered{by} in {_times(row)}.",
        cause=what,
        cause_alone=alone,
        accounts=names.union(one.account for one in failed),
    )


def _times(row: RequestLog) -> str:
    whole = seconds(row.duration_seconds)
    if row.first_event_seconds is None:
        return whole
    return f"{whole}, {seconds(row.first_event_seconds)} of it to the first event"


def is_mostly_stream(row: RequestLog) -> bool:
    """Return whether an answer took long though its first event did not, and was streaming for most of that
    time."""
    if row.problem is not None or row.first_event_seconds is None or row.duration_seconds is None:
        return False
    stream_seconds = row.duration_seconds - row.first_event_seconds
    is_long = row.first_event_seconds < LONG_SECONDS <= row.duration_seconds
    return is_long and stream_seconds > MOST * row.duration_seconds


def _stream(row: RequestLog) -> str:
    """Return how much of an answer's time was its stream, and how fast that was."""
    took = (row.duration_seconds or 0.0) - (row.first_event_seconds or 0.0)
    part, whole = seconds(took), seconds(row.duration_seconds)
    if whole.partition(SPACE)[2] == "s":
        part = part.removesuffix(f"{SPACE}s")
    text = f"{part} of {whole} was the stream"
    if not row.output_tokens:
        return text
    tokens = f"{count(row.output_tokens)} token{'' if row.output_tokens == 1 else 's'}"
    rate = row.output_tokens / took
    return f"{text}: {tokens}, {count(rate) if rate >= 9.95 else f'{rate:.1f}'} a second"


def _failed_before_fallback(row: RequestLog, attempts: Sequence[RequestAttempt]) -> list[RequestAttempt]:
    """Return the attempts with the models that a fallback stood in for."""
    if not row.fallback:
        return []
    return [attempt for attempt in attempts[:-1] if attempt.model != attempts[-1].model]


def _failures(attempts: Sequence[RequestAttempt]) -> str:
    """Return which accounts failed, by name if it is one, and why: "3 accounts at a rate limit"."""
    names = {attempt.account for attempt in attempts}
    who = names.pop() if len(names) == 1 else f"{len(names)} accounts"
    reasons = list(dict.fromkeys(attempt.reason.partition(" (")[0] for attempt in attempts))
    if len(reasons) == 1 and reasons[0] in LIMITS:
        return f"{who} {LIMITS[reasons[0]]}"
    return f"{who} failed ({', '.join(reasons)})"


def _at_try(row: RequestLog) -> str:
    return f" at the {ordinal(row.attempts)} try" if row.attempts else ""


def ordinal(number: int) -> str:
    """Return "first" to "tenth", then "11th" and so on."""
    if 0 < number <= len(ORDINALS):
        return ORDINALS[number - 1]
    ending = "th" if number % 100 in {11, 12, 13} else ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


def _hung_up(row: RequestLog) -> str:
    text = f"The client closed the connection after {seconds(row.duration_seconds)}"
    if row.first_event_seconds is None:
        return f"{text}, before the first event."
    return f"{text}, while the answer was streaming; {seconds(row.first_event_seconds)} to the first event."


def _cause(row: RequestLog, attempts: Sequence[RequestAttempt]) -> _Span | None:
    """Return what took most of the time to the first event, if there are several candidates or it took long;
    else None."""
    first_event = row.first_event_seconds or 0.0
    spans = list(_spans(row, attempts))
    if len(spans) == 1 and len(attempts) == 1:
        if first_event < LONG_SECONDS:
            return None
        (span,) = spans
        return span._replace(
            what=f"{span.what}, all of it the provider's time", alone=f"{span.alone}, the provider's time"
        )
    longest = max(spans, key=lambda span: span.seconds, default=None)
    return longest if longest is not None and longest.seconds > MOST * first_event else None


def _spans(row: RequestLog, attempts: Sequence[RequestAttempt]) -> Iterator[_Span]:
    if row.first_event_seconds is None:
        return
    for number, attempt in enumerate(attempts, 1):
        waited, name = attempt.waited_seconds, attempt.account
        if waited >= NOTICEABLE_WAIT_SECONDS:
            what = f"{seconds(waited)} of waiting"
            yield _Span(what, waited, frozenset({row.account}), f" by {row.account}")
        if number < len(attempts):
            then = " when asked again," if name == row.account else f" by {row.account}"
            yield _Span(_failed_try(attempt), attempt.took_seconds, frozenset({name, row.account}), then)
        else:
            began = (attempt.started_at - row.started_at).total_seconds()
            took = max(0.0, row.first_event_seconds - began)
            text = f"{name} took {seconds(took)}"
            is_all = seconds(took) == seconds(row.first_event_seconds)
            yield _Span(
                f"{text} to the first event",
                took,
                frozenset({name}),
                alone=f"{name} took all of it" if is_all else text,
            )


def _failed_try(attempt: RequestAttempt) -> str:
    took = seconds(attempt.took_seconds)
    if attempt.reason.startswith(NO_ANSWER):
        return f"{attempt.account} gave no answer for {took}"
    return f"{attempt.account} failed after {took} ({attempt.reason})"


def has_broken_off(row: RequestLog) -> bool:
    """Return whether the request failed after its answer had begun."""
    is_failed = row.problem not in {None, HUNG_UP, row.INTERRUPTED}
    return is_failed and row.first_event_seconds is not None


def _failed(row: RequestLog, attempts: Sequence[RequestAttempt]) -> Explanation:
    last = attempts[-1].reason if attempts else ""
    after = "" if row.duration_seconds is None else f" after {seconds(row.duration_seconds)}"
    because = f": {last}" if last else " before an account was asked"
    what = f"Failed with {row.status}"
    if has_broken_off(row):
        what, after = BROKE_OFF, f"{after}; {seconds(row.first_event_seconds)} to the first event"
        because = "" if last == BROKE_OFF.lower() else because
    text = operator_text(with_one_reason(row.error), row.started_at)
    message = in_short(text)
    is_short = 0 < len(message) <= LONGEST_HEADING
    advice = _advice_on(row, last)
    return Explanation(
        message if is_short else f"{what if what == BROKE_OFF else 'Failed'}{because}.",
        f"{what}{_at_try(row)}{after}{because}.",
        "" if is_short else operator_text(row.error, row.started_at) or NOT_STORED,
        advice.text,
        advice.further,
        _needs_account(row.status, row.error),
        row.problem == "rate_limit_error",
        _is_past(row.problem or "", text),
        accounts=frozenset(ADDRESS.findall(message)) if is_short else frozenset(),
        is_providers=bool(row.account) and row.problem in PROVIDERS and row.status not in ADVICE_BY_STATUS,
    )


def _advice_on(row: RequestLog, last: str) -> Advice:
    """Return what to do about a failed request. `last` is the reason of its last attempt."""
    if last.startswith(TOO_LONG):
        return SHORTEN
    return _advice(row.problem or "", row.status, row.error)


def note(
    outcome: str,
    status: int | None,
    error: str,
    begun: datetime,
    names: Callable[[], Mapping[str, str]] = names_by_label,
) -> str:
    """Return a failure's reason and, in a second line, all advice on it; "" for a request that did not fail.

    `outcome` is RequestLog.outcome; `names` is that of `operator_text`.
    """
    if outcome == "interrupted":
        return f"{STOPPED}\n→ {SEND_AGAIN}"
    if outcome in {"open", "answered", HUNG_UP}:
        return ""
    text = operator_text(with_one_reason(error), begun, names)
    advice = Advice(IS_PAST) if _is_past(outcome, text) else _advice(outcome, status, error)
    return f"{in_short(text)}\n→ {' '.join(advice)}".strip()


def _is_past(problem: str, text: str) -> bool:
    """Return whether a limit has ended, by its text of `operator_text`."""
    return problem == "rate_limit_error" and next_try_is_past(text)


def _needs_account(status: int | None, error: str) -> bool:
    return status == 503 and "operator" in error.lower()


def _advice(problem: str, status: int | None, error: str) -> Advice:
    if _needs_account(status, error):
        return OPERATOR_MUST_ACT
    if problem in ADVICE and problem != "api_error":
        return ADVICE[problem]
    return ADVICE_BY_STATUS.get(status or 0, ADVICE["api_error"])
