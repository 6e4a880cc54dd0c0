"""A request for a message, from its acceptance to its end, as the ledger, the log and the pages show it.

It has names, numbers and times, but no content.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from accounts.values.sanitize import truncate
from gateway.models import MESSAGES
from gateway.relay.error_messages import CLIENT_GONE, FORESEEN, TOLD_THE_CLIENT, Attempt
from gateway.translation.response.usage import NO_TOKENS, Tokens

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.errors import GatewayError
    from gateway.relay.answer import Answer
    from gateway.relay.context import RequestContext

HUNG_UP = "hung_up"
ANSWERED = "answered"
UNKNOWN_NAMES = "(unknown names)"
"""The name in place of all models that clients asked for and no account offers."""
CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that closed the connection before its answer; never sent."""


class Counted(Protocol):
    """Rows and sums of the ledger, with token columns as in Anthropic's usage."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def cache_read_tokens(self) -> int: ...
    @property
    def thinking_tokens(self) -> int: ...


def tokens_of(counted: Counted) -> Tokens:
    return Tokens(
        counted.input_tokens, counted.output_tokens, counted.cache_read_tokens, counted.thinking_tokens
    )


TOKEN_COLUMNS = ("input_tokens", "output_tokens", "cache_read_tokens", "thinking_tokens")
COST_COLUMNS = ("cost", "unpriced")


class RequestRecord(Struct, eq=False):
    request_id: str
    client: str
    """The name of the client (gateway/api/authentication.py)."""
    session_id: str
    request_bytes: int
    request_class: str = MESSAGES
    id: int = 0
    """The id in the ledger; 0 when the ledger is off."""
    started_at: float = field(default_factory=time.time)
    client_model: str = ""
    is_stream: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    waited_seconds: float = 0.0
    fallback: bool = False
    first_event_seconds: float | None = None
    duration_seconds: float | None = None
    """The duration of the request; None while it is open."""
    problem: str | None = None
    """The type of the error, or HUNG_UP, as in RequestLog; None when there is none."""
    status: int | None = None
    error: str = ""
    stop_reason: str = ""
    response_bytes: int = 0
    tokens: Tokens = NO_TOKENS
    cost: int | None = None
    """In billionths of a dollar. None before gateway/ledger/costs.py sets it at the end of the request, and
    when the tokens are not billed or a price is unknown."""
    unpriced: int = 0
    _request_context: RequestContext | None = None
    _answer: Answer | None = None
    _began: float = field(default_factory=time.monotonic)

    # Stages, in this order

    def describe(self, request: MessagesRequest, context: RequestContext) -> None:
        """Note what a parsed request asks for."""
        self.client_model = truncate(request.model, 200)
        self.is_stream = request.stream
        self.attempts = context.attempts
        self._request_context = context

    def begin(self, answer: Answer) -> None:
        """Note that the first content of the answer has arrived."""
        self.first_event_seconds = time.monotonic() - self._began
        self._answer = answer

    def succeed(self) -> None:
        self.status = 200

    def fail(self, error: GatewayError) -> None:
        self.status, self.problem = error.status, error.error_type
        self.error = "" if error.may_quote_request else truncate(error.message, 500)

    def end(self) -> None:
        """End the record. A request that neither succeeded nor failed was cancelled by its client."""
        if self.status is None:
            self.status, self.problem = CLIENT_CLOSED_REQUEST, HUNG_UP
        if self._answer is not None:
            self.stop_reason = truncate(self._answer.stop_reason, 30)
        if (context := self._request_context) is not None:
            if self.problem is not None:
                self._hide_unknown_names(context.unknown_models)
            self.waited_seconds, self.fallback = context.waited_seconds, context.fallback
        attempts = self.attempts
        if attempts and not attempts[-1].reason:
            self._end_last_attempt(attempts[-1])
        for attempt in attempts:
            if (usage := attempt.usage) is not None:
                attempt.tokens, attempt.cache_writes = usage.reported, usage.cache_writes
                attempt.usage = None
        if len(attempts) == 1 and not attempts[0].decision:
            self.tokens = attempts[0].tokens
        else:
            self._settle_decisions()
            self.tokens = Tokens.sum(attempt.tokens for attempt in attempts)
        # The record may wait for the database: request and answer must not stay in memory meanwhile.
        self._answer = self._request_context = None
        self.duration_seconds = time.monotonic() - self._began

    def _settle_decisions(self) -> None:
        for attempt, following in pairwise(self.attempts):
            if attempt.decision in FORESEEN:
                attempt.decision = attempt.came_next(following)
        if self.attempts and self.attempts[-1].decision in FORESEEN:
            told = CLIENT_GONE if self.problem == HUNG_UP else TOLD_THE_CLIENT
            self.attempts[-1].decision = told

    def _hide_unknown_names(self, names: frozenset[str]) -> None:
        """Replace names of models that no account offers, because statistics have a row for each model. The
        request's own row keeps the name that was asked for."""
        for attempt in self.attempts:
            if attempt.model_id in names:
                attempt.model_id = UNKNOWN_NAMES

    def _end_last_attempt(self, attempt: Attempt) -> None:
        """End the attempt that was running, or that has answered."""
        attempt.took_seconds = max(0.0, time.time() - attempt.started_at)
        if self.problem is None:
            attempt.reason = ANSWERED
        elif self.problem == HUNG_UP:
            attempt.reason = "the client hung up"
        elif self.first_event_seconds is None:
            attempt.reason = "given up"
        else:
            attempt.reason = "broke off"

    # What is known of the request

    @property
    def has_ended(self) -> bool:
        return self.duration_seconds is not None

    @property
    def account(self) -> str:
        """The account of the last attempt; "" before the first."""
        return self.attempts[-1].account_name if self.attempts else ""

    @property
    def upstream_model(self) -> str:
        return truncate(self.attempts[-1].model_id, 200) if self.attempts else ""

    @property
    def endpoint(self) -> str:
        return self.attempts[-1].endpoint[:200] if self.attempts else ""

    @property
    def outcome(self) -> str:
        return self.problem or ("open" if self.duration_seconds is None else ANSWERED)
