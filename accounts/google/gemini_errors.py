"""Map the Gemini API's errors to failure kinds, and read the limits and the tier from them. Pure: the time is
an argument.

A wrong key is a 400, most 403 say nothing about the key, and a 429 names the quotas that were exceeded
("violations"). An exceeded daily quota comes with a `RetryInfo` of seconds, but is reset at midnight in
California (ai.google.dev/gemini-api/docs/rate-limits). Messages may contain the key in clear text, so it is
removed from every body before anything else reads it.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from accounts.failures import FailureKind, Scope, UpstreamError
from accounts.google.error_bodies import (
    LONGEST_MESSAGE,
    details_of,
    error_object,
    excerpt_of,
    message_of,
    parse_body,
    reason_of,
    status_in_stream,
    wait_seconds_of,
)
from accounts.google.gemini_quotas import exceeded_quotas, learned_from
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import QuotaLimit

PACIFIC = ZoneInfo("America/Los_Angeles")
MINUTE_SECONDS = 60.0
DAY_SECONDS = 24 * 3600.0
LOCATION_SECONDS = 3600.0
"""The cooldown after "User location is not supported". Waiting alone does not help: it takes another network
or a paid project."""
KEY = re.compile(r"(api_key:)[^\s'\"]+|\bAIza[\w-]{10,}")
LIMIT_OF_ZERO = re.compile(r"\blimit: 0(?![.,]?\d)")


def parse_gemini_error(status: int, raw: bytes, headers: Mapping[str, str], now: datetime) -> UpstreamError:
    """Parse the body of an answer with an error status."""
    return _upstream_error(status, parse_body(raw), excerpt_of(raw), headers, now)


def gemini_error_in_stream(body: dict[str, Any], now: datetime) -> UpstreamError:
    """Parse an error object inside a stream that began with 200; its own code counts as the status."""
    return _upstream_error(status_in_stream(body), body, "", {}, now)


def _upstream_error(
    status: int, body: Any, excerpt: str, headers: Mapping[str, str], now: datetime
) -> UpstreamError:
    body = without_keys(body)
    error = error_object(body)
    message = message_of(error, without_keys(excerpt))
    quotas = exceeded_quotas(error)
    kind = _classify(status, error, message, quotas)
    return UpstreamError(
        kind=kind,
        status=status,
        message=truncate(message, LONGEST_MESSAGE),
        body=body,
        wait_seconds=_wait_seconds(kind, wait_seconds_of(error, message, headers, now), now),
        reason=reason_of(error),
        scope=SCOPES.get(kind, Scope.ACCOUNT),
        learned=learned_from(error, quotas),
    )


def without_keys(value: Any) -> Any:
    """Return the JSON value with "…" in place of each API key in its texts."""
    if isinstance(value, str):
        return KEY.sub(lambda found: f"{found[1] or ''}…", value)
    if isinstance(value, list):
        return [without_keys(item) for item in value]
    if isinstance(value, dict):
        return {name: without_keys(item) for name, item in value.items()}
    return value


# The kind

REASONS = {
    "API_KEY_INVALID": FailureKind.KEY_REFUSED,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": FailureKind.KEY_REFUSED,
    "CONSUMER_SUSPENDED": FailureKind.DISABLED,
    # The project or its owner must change something: the key itself is right.
    "SERVICE_DISABLED": FailureKind.FORBIDDEN,
    "BILLING_DISABLED": FailureKind.FORBIDDEN,
    "CONSUMER_INVALID": FailureKind.FORBIDDEN,
    "API_KEY_SERVICE_BLOCKED": FailureKind.FORBIDDEN,
    "API_KEY_HTTP_REFERRER_BLOCKED": FailureKind.FORBIDDEN,
    "API_KEY_IP_ADDRESS_BLOCKED": FailureKind.FORBIDDEN,
    # Sent as the finishReason of an answer (gateway/translation/response/stop_reason.py)
    "PUP_LIMITED_DISABLED": FailureKind.DISABLED,
    "MISSING_THOUGHT_SIGNATURE": FailureKind.BAD_SIGNATURE,
}

# Used when no reason decides. Each row: the statuses it applies to, and words that must all occur.
TEXTS: tuple[tuple[set[int], tuple[str, ...], FailureKind], ...] = (
    ({400, 403}, ("location is not supported",), FailureKind.PLACE_REFUSED),
    ({400}, ("api key not valid",), FailureKind.KEY_REFUSED),
    ({400}, ("api key expired",), FailureKind.KEY_REFUSED),
    ({400, 403}, ("reported as leaked",), FailureKind.KEY_REFUSED),
    ({403}, ("consumer", "has been suspended"), FailureKind.DISABLED),
    ({400}, ("thought signature",), FailureKind.BAD_SIGNATURE),
    ({400}, ("thought_signature",), FailureKind.BAD_SIGNATURE),
    ({429, 500, 503}, ("overloaded",), FailureKind.CAPACITY),
    ({429, 500, 503}, ("high demand",), FailureKind.CAPACITY),
    ({429, 500, 503}, ("capacity available",), FailureKind.CAPACITY),
)

STATUSES = {
    401: FailureKind.KEY_REFUSED,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.SERVER_ERROR,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.UNKNOWN_LIMIT,
}

SCOPES = {
    FailureKind.PLACE_REFUSED: Scope.KIND,
    FailureKind.DISABLED: Scope.QUOTA_GROUP,
    FailureKind.QUOTA: Scope.QUOTA_GROUP,
    FailureKind.RATE_LIMIT: Scope.QUOTA_GROUP,
    FailureKind.NO_LICENCE: Scope.QUOTA_GROUP,
}
"""The failures that apply to more than the account itself: limits belong to the project, a refused location
to this machine."""


def _classify(status: int, error: dict[str, Any], message: str, quotas: list[QuotaLimit]) -> FailureKind:
    if status == 429 and (kind := _limit_kind(message, quotas)) is not None:
        return kind
    for detail in details_of(error, "ErrorInfo"):
        if (kind := REASONS.get(str(detail.get("reason")))) is not None:
            return kind
    text = message.lower()
    for statuses, words, kind in TEXTS:
        if status in statuses and all(word in text for word in words):
            return kind
    return STATUSES.get(status) or (FailureKind.SERVER_ERROR if status >= 500 else FailureKind.BAD_REQUEST)


def _limit_kind(message: str, quotas: list[QuotaLimit]) -> FailureKind | None:
    """Return the kind of the exceeded limit that lasts longest: no licence, then a daily quota, then a rate
    limit; None for no known limit."""
    if LIMIT_OF_ZERO.search(message) or any(one.value == 0 for one in quotas):
        return FailureKind.NO_LICENCE
    periods = {one.period for one in quotas}
    if "day" in periods:
        return FailureKind.QUOTA
    return FailureKind.RATE_LIMIT if "minute" in periods else None


# The wait


def _wait_seconds(kind: FailureKind, named: float | None, now: datetime) -> float | None:
    """Return the seconds to wait after a failure of this kind; `named` is the wait that the error names."""
    if kind is FailureKind.QUOTA:
        return seconds_until_midnight(now)
    if kind is FailureKind.NO_LICENCE:
        return DAY_SECONDS
    if kind is FailureKind.PLACE_REFUSED:
        return LOCATION_SECONDS
    if kind is FailureKind.RATE_LIMIT:
        return named or MINUTE_SECONDS
    return named


def seconds_until_midnight(now: datetime) -> float:
    """Return the seconds until the next midnight in California, where Google's days end. A day has 23 to 25
    hours."""
    tomorrow = now.astimezone(PACIFIC).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time(), PACIFIC) - now).total_seconds()
