"""One request of the demo's history: the question, the attempts, and the record that is made of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.failures import FailureKind
from accounts.pool.labels import short_labels
from gateway.errors import GatewayError, RateLimited, UpstreamFailed
from gateway.ledger.record import RequestRecord
from gateway.relay.error_messages import ANOTHER_TRY, NEXT_ACCOUNT, Attempt, sentence
from gateway.relay.error_policy import ERROR_POLICIES
from proxy_site.demo.quotas import ADA, GRACE, LINUS

if TYPE_CHECKING:
    from gateway.translation.response.usage import Tokens

BYTES_A_TOKEN = 4
BYTES_A_STREAMED_TOKEN = 24
LABELS = dict(zip((ADA, GRACE, LINUS), short_labels({1: ADA, 2: GRACE, 3: LINUS}).values(), strict=True))
RATE_LIMIT_SECONDS = 38.0
SLOW_SECONDS = 41.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model by the name that the client asks for, and the model that answers."""

    asked_for: str
    answers: str
    first_event_seconds: float
    """The median time to the first event."""
    tokens_per_second: float
    thinking: float = 0.0
    """The share of thinking in the output."""

    @property
    def is_gemini(self) -> bool:
        return self.answers.startswith("gemini")


SONNET = Model("claude-sonnet-4-6", "claude-sonnet-4-6", 1.1, 75)
OPUS = Model("claude-opus-4-6", "claude-opus-4-6-thinking", 1.9, 48, thinking=0.3)
HAIKU = Model("claude-haiku-4-5", "gemini-3-flash", 0.45, 150)
GEMINI_PRO = Model("gemini-3.1-pro-high", "gemini-3.1-pro-high", 2.2, 90, thinking=0.4)
GPT_OSS = Model("gpt-oss-120b-medium", "gpt-oss-120b-medium", 0.6, 200)
"""A model that only the Google accounts have, without a fallback."""
GEMINI_FLASH = Model("gemini-2.5-flash", "gemini-2.5-flash", 0.4, 170)


@dataclass(slots=True)
class Turn:
    """A turn of a conversation. `first_event_seconds` and `stream_seconds` are those of the attempt that
    answers."""

    request_id: str
    at: float
    client: str
    session_id: str
    model: Model
    account: str
    tokens: Tokens
    first_event_seconds: float
    is_stream: bool = True
    stop_reason: str = "end_turn"
    attempts: list[Attempt] = field(default_factory=list)
    fallback: str = ""
    """The model that answers instead; "" for none."""

    @property
    def stream_seconds(self) -> float:
        return self.tokens.output / self.model.tokens_per_second

    @property
    def now(self) -> float:
        """When the last attempt ended."""
        last = self.attempts[-1] if self.attempts else None
        return last.started_at + last.took_seconds if last else self.at

    def fails(self, account: str, kind: FailureKind, seconds: float, reason: str = "") -> None:
        """Add an attempt that fails after this many seconds."""
        decision = ANOTHER_TRY if ERROR_POLICIES[kind].is_passing else NEXT_ACCOUNT
        attempt = self._attempt(account, seconds, reason or kind.value)
        attempt.decision = decision
        if kind is FailureKind.RATE_LIMIT:
            attempt.back_at = self.now + RATE_LIMIT_SECONDS

    def answers(self, account: str, waited_seconds: float = 0.0) -> None:
        """Add the attempt that answers, or begins to."""
        seconds = self.first_event_seconds + self.stream_seconds
        self._attempt(account, seconds, waited_seconds=waited_seconds).tokens = self.tokens

    def _attempt(
        self, account: str, seconds: float, reason: str = "", waited_seconds: float = 0.0
    ) -> Attempt:
        attempt = Attempt(
            account_label=LABELS[account],
            account_name=account,
            model_id=self.fallback or self.model.answers,
            reason=reason,
            endpoint=settings.CLOUDCODE_ENDPOINTS[0],
            started_at=self.now + waited_seconds,
            waited_seconds=waited_seconds,
            took_seconds=seconds,
        )
        self.attempts.append(attempt)
        return attempt

    def record(self) -> RequestRecord:
        """Return the record, which is still open."""
        return RequestRecord(
            request_id=self.request_id,
            client=self.client,
            session_id=self.session_id,
            request_bytes=self.tokens.all_input * BYTES_A_TOKEN,
            started_at=self.at,
            client_model=self.model.asked_for,
            is_stream=self.is_stream,
            attempts=self.attempts,
            waited_seconds=sum(attempt.waited_seconds for attempt in self.attempts),
            fallback=bool(self.fallback),
            _began=time.monotonic() - (self.now - self.at),
        )


# How a turn goes


def answered(turn: Turn) -> RequestRecord:
    """Return the record of a turn that is answered by the next attempt."""
    turn.answers(turn.account)
    return _whole(turn)


def answered_after_wait(turn: Turn) -> RequestRecord:
    """Return the record of a turn that is answered after all accounts were busy for a while."""
    turn.answers(turn.account, waited_seconds=2.4)
    return _whole(turn)


def answered_by_another(turn: Turn) -> RequestRecord:
    turn.fails(GRACE if turn.account == ADA else ADA, FailureKind.SERVER_ERROR, 0.6)
    return answered(turn)


def answered_by_third(turn: Turn) -> RequestRecord:
    """Return the record of a turn that the third account answers, after the second one did not, and after
    SLOW_SECONDS in all."""
    turn.fails(ADA, FailureKind.QUOTA, 1.2)
    silence = settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS
    turn.fails(GRACE, FailureKind.TIMED_OUT, silence, f"no answer within {silence:.0f} s")
    turn.account, turn.first_event_seconds = LINUS, 0.9
    seconds = turn.at + SLOW_SECONDS - turn.now - turn.first_event_seconds
    turn.tokens = turn.tokens._replace(output=round(seconds * turn.model.tokens_per_second))
    return answered(turn)


def answered_by_fallback(turn: Turn) -> RequestRecord:
    _limit_all(turn)
    turn.fallback, turn.account = GEMINI_PRO.answers, LINUS
    return answered(turn)


def limited(turn: Turn) -> RequestRecord:
    _limit_all(turn)
    said = sentence(turn.model.answers, turn.attempts, turn.now, settings.LOCAL_TIME_ZONE)
    return _failed(turn, RateLimited(said))


def _limit_all(turn: Turn) -> None:
    for account in (ADA, LINUS, GRACE):
        turn.fails(account, FailureKind.RATE_LIMIT, 0.3)


def broken_off(turn: Turn) -> RequestRecord:
    """Return the record of a turn whose stream breaks."""
    turn.answers(turn.account)
    return _failed(
        turn, UpstreamFailed("The answer broke off: the connection broke (closed by the provider).")
    )


def hung_up(turn: Turn) -> RequestRecord:
    turn.answers(turn.account)
    record = _begun(turn)
    _end(record)
    return record


def interrupted(turn: Turn) -> RequestRecord:
    """Return the record of a turn whose server died, which is still open."""
    turn.answers(turn.account)
    return _begun(turn)


def _whole(turn: Turn) -> RequestRecord:
    record = _begun(turn)
    record.stop_reason = turn.stop_reason
    record.succeed()
    _end(record)
    return record


def _failed(turn: Turn, error: GatewayError) -> RequestRecord:
    record = turn.record() if turn.attempts[-1].reason else _begun(turn)
    record.fail(error)
    _end(record)
    return record


def _begun(turn: Turn) -> RequestRecord:
    record = turn.record()
    record.first_event_seconds = turn.attempts[-1].started_at - turn.at + turn.first_event_seconds
    record.response_bytes = turn.tokens.output * BYTES_A_STREAMED_TOKEN
    return record


def _end(record: RequestRecord) -> None:
    """End the record at the time of the request; otherwise its last attempt would last until now."""
    took_seconds = record.attempts[-1].took_seconds
    record.end()
    record.attempts[-1].took_seconds = took_seconds


Outcome = Callable[[Turn], RequestRecord]
