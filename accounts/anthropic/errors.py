"""Map Anthropic's errors to failure kinds. Pure: the time is an argument.

Bodies are {"type": "error", "error": {"type", "message", "details"?}, "request_id"}; inside a stream the same
object is the data of an event (platform.claude.com/docs/en/api/errors, .../rate-limits, the error details of
the official SDK). An `error_code`, where there is one, decides rather than the message.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accounts.failures import FailureKind, Scope, UpstreamError
from accounts.google.error_bodies import (
    LONGEST_MESSAGE,
    excerpt_of,
    message_of,
    parse_body,
    wait_seconds_of,
)
from accounts.values.outside import as_object, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_LINK = 2000
ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}", re.ASCII)
STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status by error type, for an error inside a stream, which has no status of its own."""
CODES = {
    "enforced_spend_limit_reached": FailureKind.SPEND_LIMIT,
    "contract_spend_limit_reached": FailureKind.OUT_OF_CREDIT,
    "ramp_limit_exceeded": FailureKind.RATE_LIMIT,
    "organization_on_hold": FailureKind.DISABLED,
    "claude_code_version_too_old": FailureKind.CLIENT_TOO_OLD,
    "claude_code_key_creator_not_member": FailureKind.KEY_REFUSED,
}

# Used when no code decides. Each row: the statuses it applies to, and words that must all occur.
TEXTS: tuple[tuple[set[int], tuple[str, ...], FailureKind], ...] = (
    ({400, 429}, ("you will regain access on",), FailureKind.SPEND_LIMIT),
    ({400}, ("credit balance is too low",), FailureKind.OUT_OF_CREDIT),
    ({400}, ("invalid `signature` in `thinking`",), FailureKind.BAD_SIGNATURE),
    ({400}, ("invalid signature",), FailureKind.BAD_SIGNATURE),
    ({400}, ("expected `thinking` or `redacted_thinking`",), FailureKind.BAD_SIGNATURE),
    ({400}, ("thinking", "cannot be modified"), FailureKind.BAD_SIGNATURE),
    ({500, 503}, ("overloaded",), FailureKind.CAPACITY),
)
STATUSES = {
    401: FailureKind.KEY_REFUSED,
    402: FailureKind.OUT_OF_CREDIT,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    413: FailureKind.TOO_LARGE,
    529: FailureKind.CAPACITY,
}
OF_THE_ORGANISATION = {
    FailureKind.SPEND_LIMIT,
    FailureKind.RATE_LIMIT,
    FailureKind.UNKNOWN_LIMIT,
    FailureKind.OUT_OF_CREDIT,
    FailureKind.DISABLED,
}
"""The failures that apply to all keys of an organisation, or of a workspace with limits of its own."""
_REGAINED = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d) UTC)?")


def parse_anthropic_error(
    status: int, raw: bytes, headers: Mapping[str, str], now: datetime
) -> UpstreamError:
    return _error(status, parse_body(raw), headers, now, excerpt_of(raw) or f"HTTP {status}")


def anthropic_error_in_stream(body: Any, now: datetime) -> UpstreamError:
    kind = as_object(as_object(body).get("error")).get("type")
    return _error(STATUS_OF_TYPE.get(str(kind), 500), body, {}, now, "an error without a message")


def _error(status: int, body: Any, headers: Mapping[str, str], now: datetime, excerpt: str) -> UpstreamError:
    error = as_object(as_object(body).get("error"))
    details = as_object(error.get("details"))
    message, code = message_of(error, excerpt), _code(details)
    kind = CODES.get(code) or _kind(status, str(error.get("type")), message)
    wait = wait_seconds_of({}, "", headers, now)
    if kind is FailureKind.UNKNOWN_LIMIT and wait is not None:
        kind = FailureKind.RATE_LIMIT
    return UpstreamError(
        kind=kind,
        status=status,
        message=truncate(message, LONGEST_MESSAGE),
        body=body,
        wait_seconds=_until_regained(message, now) if kind is FailureKind.SPEND_LIMIT else wait,
        link=_appeal_page(details.get("appeal_url")),
        reason=code,
        scope=Scope.QUOTA_GROUP if kind in OF_THE_ORGANISATION else Scope.ACCOUNT,
    )


def _code(details: dict[str, Any]) -> str:
    code = details.get("error_code")
    return code if isinstance(code, str) and ERROR_CODE.fullmatch(code) else ""


def _kind(status: int, error_type: str, message: str) -> FailureKind:
    lowered = message[:LONGEST_MESSAGE].lower()
    for statuses, words, kind in TEXTS:
        if status in statuses and all(text in lowered for text in words):
            return kind
    if error_type == "overloaded_error":
        return FailureKind.CAPACITY
    if status == 429:
        return FailureKind.UNKNOWN_LIMIT
    if status == 408 or (status >= 500 and status not in STATUSES):
        return FailureKind.SERVER_ERROR
    return STATUSES.get(status, FailureKind.BAD_REQUEST)


def _until_regained(message: str, now: datetime) -> float:
    """Return the seconds until the date in the message, else until the first of the next month, both in
    UTC."""
    found = _REGAINED.search(message[:LONGEST_MESSAGE])
    try:
        at = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}+00:00") if found else None
    except ValueError:
        at = None
    if at is None:
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        at = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(1.0, (at - now).total_seconds())


def _appeal_page(value: Any) -> str:
    """Return the page on which an organisation can appeal; "" unless it is one of Anthropic's."""
    url = word(value, LONGEST_LINK) or ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.hostname or ""
    is_theirs = host in {"anthropic.com", "claude.com"} or host.endswith((".anthropic.com", ".claude.com"))
    return url if parts.scheme == "https" and is_theirs else ""
