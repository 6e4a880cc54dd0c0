"""a_record(), an_attempt(): requests as the ledger sees them, with good defaults; and what it has of them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from gateway.ledger.record import RequestRecord
from gateway.ledger.rows_and_sums import SUMMED, entry_of, store
from gateway.models import HourlyUsage, RequestLog
from gateway.relay.error_messages import Attempt
from gateway.translation.response.usage import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

MORNING = datetime(2026, 11, 24, 10, 15, tzinfo=UTC)
INSTANCE = 7

_ids = count(1_000)


def an_attempt(**changes: Any) -> Attempt:
    """One that answered."""
    facts: dict[str, Any] = {
        "account_label": "ad…@e…",
        "account_name": "ada@example.com",
        "model_id": "gemini-3-flash",
        "reason": "answered",
        "endpoint": "https://cloudcode.example",
        "started_at": MORNING.timestamp(),
        "took_seconds": 1.5,
        "tokens": Tokens(100, 20, 10, 5),
    }
    return Attempt(**facts | changes)


def a_refused_attempt(**changes: Any) -> Attempt:
    facts: dict[str, Any] = {"reason": "quota", "decision": "next account", "tokens": Tokens()}
    return an_attempt(**facts | changes)


def an_open_record(**changes: Any) -> RequestRecord:
    """Accepted, and nothing more is known."""
    number = next(_ids)
    facts: dict[str, Any] = {
        "id": number,
        "request_id": f"req_{number}",
        "client": "loopback",
        "session_id": "session-1",
        "request_bytes": 300,
        "started_at": MORNING.timestamp(),
        "client_model": "claude-sonnet-4-6",
    }
    return RequestRecord(**facts | changes)


def a_record(**changes: Any) -> RequestRecord:
    """Ended, and answered unless `changes` say otherwise."""
    attempts = changes.get("attempts", [an_attempt()])
    facts: dict[str, Any] = {
        "attempts": attempts,
        "tokens": Tokens.sum(attempt.tokens for attempt in attempts),
        "status": 200,
        "stop_reason": "end_turn",
        "first_event_seconds": 0.5,
        "duration_seconds": 2.0,
        "response_bytes": 900,
    }
    return an_open_record(**facts | changes)


def a_failed_record(**changes: Any) -> RequestRecord:
    facts: dict[str, Any] = {"problem": "api_error", "status": 502, "first_event_seconds": None}
    return a_record(**facts | changes)


def answer(record: RequestRecord, **changes: Any) -> RequestRecord:
    """The open request ends."""
    ended = a_record(**changes)
    for name in ("attempts", "tokens", "status", "stop_reason", "first_event_seconds", "duration_seconds"):
        setattr(record, name, getattr(ended, name))
    return record


def keep(*records: RequestRecord, instance_id: int = INSTANCE, is_replay: bool = False) -> None:
    store([entry_of(record, instance_id) for record in records], instance_id, is_replay=is_replay)


def row_of(record: RequestRecord) -> RequestLog:
    return RequestLog.objects.get(pk=record.id)


def hourly_sums(names: Sequence[str] = SUMMED, **only: Any) -> dict[str, Any]:
    """Over all hours, of what is more than nothing."""
    sums = HourlyUsage.objects.filter(**only).aggregate(**{f"of_{name}": Sum(name) for name in names})
    return {name.removeprefix("of_"): number for name, number in sums.items() if number}


def counts(**only: Any) -> dict[str, int]:
    """How many requests the hourly sums say there were, and how they went; without what there was none of."""
    return hourly_sums(("requests", "failed", "hung_up", "interrupted", "attempts"), **only)
