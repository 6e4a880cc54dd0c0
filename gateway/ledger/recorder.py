"""Opens and closes each request once, in the ledger, in the log and for the pages."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.ledger.costs import set_costs
from gateway.models import MESSAGES
from gateway.pricing.prices import as_dollars, in_dollars
from gateway.telemetry.request_lines import log_request, safe

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.ledger.record import RequestRecord
    from gateway.ledger.writer import Ledger
    from gateway.pricing.price_list import PriceList
    from gateway.relay.answer import Answer
    from gateway.relay.context import RequestContext
    from gateway.relay.error_messages import Attempt
    from gateway.routing.token_ratios import TokenRatios
    from gateway.telemetry.activity import Activity

logger = logging.getLogger(__name__)


class RequestRecorder:
    def __init__(
        self, ledger: Ledger, activity: Activity, token_ratios: TokenRatios, prices: PriceList
    ) -> None:
        self.in_flight: set[RequestRecord] = set()
        self._ledger = ledger
        self._activity = activity
        self._token_ratios = token_ratios
        self._prices = prices

    async def open(self, record: RequestRecord) -> None:
        """Accept a request. Raises Unavailable when it is not accepted. The caller must close the record."""
        await self._ledger.open(record)
        self.in_flight.add(record)

    def describe(self, record: RequestRecord, request: MessagesRequest, context: RequestContext) -> None:
        """Note what a parsed request asks for, before it is sent."""
        record.describe(request, context)
        if self._activity.listeners_until:
            context.on_failed_attempt = lambda attempt: self._tell("attempt_failed", record, _shown(attempt))
            self._tell("request_started", record)

    def begin(self, record: RequestRecord, answer: Answer) -> None:
        """Note that the first content of the answer has arrived."""
        record.begin(answer)
        self._ledger.note(record)
        if self._activity.listeners_until:
            self._tell("first_event", record)

    def close(self, record: RequestRecord) -> None:
        """End the record, log it and hand it to the ledger. Closing it again does nothing."""
        if record.duration_seconds is not None:
            return
        self._learn_from(record)
        record.end()
        set_costs(record, self._prices)
        self.in_flight.discard(record)
        self._ledger.close(record)
        if logger.isEnabledFor(logging.INFO):
            log_request(logger, summary(record), partial(facts, record))
        if self._activity.listeners_until:
            self._tell("request_finished", record)

    def _learn_from(self, record: RequestRecord) -> None:
        """Update token ratios, unless more tokens were cached than the prompt had: those were counted in
        another way."""
        for attempt in record.attempts:
            usage = attempt.usage
            if usage is not None and usage.prompt_tokens and usage.cached_tokens <= usage.prompt_tokens:
                self._token_ratios.learn(attempt.model_id, usage.raw_estimate, usage.prompt_tokens)

    def _tell(self, kind: str, record: RequestRecord, more: dict[str, Any] | None = None) -> None:
        if self._activity.has_listeners:
            self._activity.publish(kind, {"request": facts(record), **(more or {})})


def summary(record: RequestRecord) -> str:
    """Return the log line, safe to show, for example: loopback sonnet → claude-sonnet-4-6, ada@example.com:
    200 end_turn; 120 in (100 cached), 34 out; first event 0.82 s, whole 3.41 s; 2 attempts."""
    tokens, tries = record.tokens, len(record.attempts)
    cached = f" ({tokens.cache_read} cached)" if tokens.cache_read else ""
    thinking = f" ({tokens.thinking} thinking)" if tokens.thinking else ""
    first = (
        f"first event {record.first_event_seconds:.2f} s, " if record.first_event_seconds is not None else ""
    )
    of_class = "" if record.request_class == MESSAGES else f"[{record.request_class}] "
    # All names from outside, and the blank after them, are checked together, so that a secret is found as in
    # a search of the whole line.
    names = safe(
        f"{record.client} {of_class}{record.client_model or '-'} → {record.upstream_model or '-'}, "
        f"{record.account or 'no account'}: {record.status} {record.stop_reason or record.outcome}; "
    )
    return (
        f"{names}{tokens.all_input} in{cached}, {tokens.output} out{thinking}; "
        f"{first}whole {record.duration_seconds or 0:.2f} s; {tries} attempt{'' if tries == 1 else 's'}"
        f"{_cost(record)}"
    )


def _cost(record: RequestRecord) -> str:
    if record.unpriced:
        return "; price not known"
    return f"; {in_dollars(record.cost)}" if record.cost is not None else ""


def facts(record: RequestRecord) -> dict[str, Any]:
    """Return the record for JSON in the log and on the pages. The names are those of RequestLog, except for
    tokens."""
    return {
        "id": record.id,
        "request_id": record.request_id,
        "started_at": record.started_at,
        "client": record.client,
        "request_class": record.request_class,
        "session_id": record.session_id,
        "client_model": record.client_model,
        "upstream_model": record.upstream_model,
        "account": record.account,
        "endpoint": record.endpoint,
        "is_stream": record.is_stream,
        "fallback": record.fallback,
        "outcome": record.outcome,
        "status": record.status,
        "error": record.error,
        "stop_reason": record.stop_reason,
        "attempts": len(record.attempts),
        "waited_seconds": round(record.waited_seconds, 3),
        "first_event_seconds": _rounded(record.first_event_seconds),
        "duration_seconds": _rounded(record.duration_seconds),
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
        **record.tokens.as_shown(),
        "cost_dollars": as_dollars(record.cost),
        "unpriced": record.unpriced,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _shown(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": {
            "account": attempt.account_name,
            "model": attempt.model_id,
            "endpoint": attempt.endpoint,
            "took_seconds": round(attempt.took_seconds, 3),
            "reason": attempt.reason,
            "decision": attempt.decision,
        }
    }
