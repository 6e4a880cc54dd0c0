"""The outcome of a request as a sign, a word and a colour. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from gateway.ledger.record import HUNG_UP

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.models import RequestLog

LATE_AFTER = timedelta(seconds=60)
"""A request that has had no event for this long is marked as late."""
LONG_SECONDS = 5.0
"""A first event after more than this is slow, and its cause is shown. Also in static/dashboard/rows.js."""
WORDS = {
    "invalid_request_error": "invalid",
    "authentication_error": "wrong key",
    "permission_error": "not allowed",
    "not_found_error": "not found",
    "request_too_large": "too large",
    "rate_limit_error": "limit",
    "timeout_error": "timed out",
    "overloaded_error": "overloaded",
    "api_error": "failed",
}
"""The words for the error types of the Messages API (gateway/errors.py)."""


class Outcome(NamedTuple):
    """The outcome of a request as it is shown. `level` is a colour: busy, late, good, none or bad."""

    level: str
    sign: str
    text: str


def outcome_of(row: RequestLog, now: datetime) -> Outcome:
    if row.outcome == "open":
        return _of_open(row, now)
    if row.problem is None:
        return Outcome("good", "●", str(row.status))
    if row.problem == HUNG_UP:
        return Outcome("none", "○", "hung up")
    if row.problem == row.INTERRUPTED:
        return Outcome("bad", "✕", "interrupted")
    return Outcome("bad", "✕", f"{row.status} {WORDS.get(row.problem, row.problem)}")


def _of_open(row: RequestLog, now: datetime) -> Outcome:
    if row.first_event_seconds is not None:
        return Outcome("busy", "◌", "streaming")
    return Outcome("late" if is_late(row, now) else "busy", "◌", "no event yet")


def is_slow(row: RequestLog) -> bool:
    """Return whether the client got no event for LONG_SECONDS, as in the filter `slower`."""
    heard = row.duration_seconds if row.first_event_seconds is None else row.first_event_seconds
    return heard is not None and heard >= LONG_SECONDS


def is_late(row: RequestLog, now: datetime) -> bool:
    return row.outcome == "open" and row.first_event_seconds is None and now - row.started_at > LATE_AFTER
