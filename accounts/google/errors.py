"""Map Cloud Code's errors to failure kinds. Pure: the time is an argument.

`details[].reason` decides before the text, because `status` is RESOURCE_EXHAUSTED for every 429, and messages
of any kind may contain numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accounts.failures import FailureKind, UpstreamError
from accounts.google.error_bodies import (
    LONGEST_MESSAGE,
    details_of,
    error_object,
    excerpt_of,
    message_of,
    metadata_of,
    parse_body,
    reason_of,
    status_in_stream,
    wait_seconds_of,
)
from accounts.values.outside import as_list, as_object, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

LONGEST_LINK = 2000
CLOSED_API = "cloudcode-pa.googleapis.com"
VERIFICATION_HOSTS = {"accounts.google.com", "support.google.com"}


def parse_error(status: int, raw: bytes, headers: Mapping[str, str], now: datetime) -> UpstreamError:
    """Parse the body of an answer with an error status."""
    return _upstream_error(status, parse_body(raw), excerpt_of(raw), headers, now)


def error_in_stream(body: dict[str, Any], now: datetime) -> UpstreamError:
    """Parse an error object inside a stream that began with 200; its own code counts as the status."""
    return _upstream_error(status_in_stream(body), body, "", {}, now)


def _upstream_error(
    status: int, body: Any, excerpt: str, headers: Mapping[str, str], now: datetime
) -> UpstreamError:
    error = error_object(body)
    message = message_of(error, excerpt)
    return UpstreamError(
        kind=_classify(status, error, message),
        status=status,
        message=truncate(message, LONGEST_MESSAGE),
        body=body,
        wait_seconds=wait_seconds_of(error, message, headers, now),
        link=_verification_link(error),
        reason=reason_of(error),
    )


def is_closed_api(error: UpstreamError) -> bool:
    """Return True when the project lacks the API that serves the models. Google's message says to enable it,
    which its console allows no ordinary project (duolahypercho/codex-router#566)."""
    return any(
        detail.get("reason") == "SERVICE_DISABLED" and metadata_of(detail).get("service") == CLOSED_API
        for detail in details_of(error_object(error.body), "ErrorInfo")
    )


# The kind

REASONS = {
    "MODEL_CAPACITY_EXHAUSTED": FailureKind.CAPACITY,
    "RATE_LIMIT_EXCEEDED": FailureKind.RATE_LIMIT,
    "QUOTA_EXHAUSTED": FailureKind.QUOTA,
    "INSUFFICIENT_G1_CREDITS_BALANCE": FailureKind.QUOTA,
    "VALIDATION_REQUIRED": FailureKind.NEEDS_VERIFICATION,
    "SUBSCRIPTION_REQUIRED": FailureKind.NO_LICENCE,
    "UNSUPPORTED_CLIENT": FailureKind.CLIENT_TOO_OLD,
    # Sent as the finishReason of an answer (gateway/translation/response/stop_reason.py)
    "PUP_LIMITED_DISABLED": FailureKind.DISABLED,
    "MISSING_THOUGHT_SIGNATURE": FailureKind.BAD_SIGNATURE,
    # The project: its API is off, it is not this account's, or the account has no role in it.
    "SERVICE_DISABLED": FailureKind.WRONG_PROJECT,
    "CONSUMER_INVALID": FailureKind.WRONG_PROJECT,
    "CONSUMER_SUSPENDED": FailureKind.WRONG_PROJECT,
    "IAM_PERMISSION_DENIED": FailureKind.WRONG_PROJECT,
}

# Used when no reason decides. Each row: the statuses it applies to, and words that must all occur.
TEXTS: tuple[tuple[set[int], tuple[str, ...], FailureKind], ...] = (
    ({403}, ("has been disabled", "violation of terms of service"), FailureKind.DISABLED),
    ({403}, ("account_disabled",), FailureKind.DISABLED),
    ({403}, ("user_disabled",), FailureKind.DISABLED),
    ({403}, ("validation_required",), FailureKind.NEEDS_VERIFICATION),
    ({403}, ("no valid license",), FailureKind.NO_LICENCE),
    ({403}, ("has not been used in project",), FailureKind.WRONG_PROJECT),
    ({403}, ("caller does not have permission",), FailureKind.WRONG_PROJECT),
    ({403}, ("denied on resource",), FailureKind.WRONG_PROJECT),
    ({400, 403}, ("unsupported_client",), FailureKind.CLIENT_TOO_OLD),
    ({400}, ("signature", "thinking"), FailureKind.BAD_SIGNATURE),
    ({400}, ("thought signature",), FailureKind.BAD_SIGNATURE),
    ({400}, ("thought_signature",), FailureKind.BAD_SIGNATURE),
    ({429, 500, 503, 529}, ("capacity available",), FailureKind.CAPACITY),
    ({429, 500, 503, 529}, ("overloaded",), FailureKind.CAPACITY),
    ({429, 503, 529}, ("capacity_exhausted",), FailureKind.CAPACITY),
    ({429}, ("quota will reset",), FailureKind.QUOTA),
    ({429}, ("resets in",), FailureKind.QUOTA),
    ({429}, ("daily",), FailureKind.QUOTA),
)

STATUSES = {
    401: FailureKind.ACCESS_TOKEN_REFUSED,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.SERVER_ERROR,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.UNKNOWN_LIMIT,
    529: FailureKind.CAPACITY,
}


def _classify(status: int, error: dict[str, Any], message: str) -> FailureKind:
    for detail in details_of(error, "ErrorInfo"):
        if (kind := REASONS.get(str(detail.get("reason")))) is not None:
            return kind
    if status == 429 and _is_daily_quota(error):
        return FailureKind.QUOTA
    text = message.lower()
    for statuses, words, kind in TEXTS:
        if status in statuses and all(word in text for word in words):
            return kind
    return STATUSES.get(status) or (FailureKind.SERVER_ERROR if status >= 500 else FailureKind.BAD_REQUEST)


def _is_daily_quota(error: dict[str, Any]) -> bool:
    for failure in details_of(error, "QuotaFailure"):
        for violation in as_list(failure.get("violations")):
            quota_id = str(as_object(violation).get("quotaId", ""))
            if "PerDay" in quota_id or "Daily" in quota_id:
                return True
    return False


# The page to verify an account


def _verification_link(error: dict[str, Any]) -> str:
    """Return the page on which a person must verify the account; "" unless it is one of Google's, since the
    operator is shown it."""
    for link in _links(error):
        if is_googles_page(link):
            return str(link)
    return ""


def _links(error: dict[str, Any]) -> Iterator[Any]:
    for detail in details_of(error, "ErrorInfo"):
        yield metadata_of(detail).get("validation_url")
        yield metadata_of(detail).get("validation_link")
    for detail in details_of(error, "Help"):
        for link in as_list(detail.get("links")):
            yield as_object(link).get("url")


def is_googles_page(link: Any) -> bool:
    """Return whether the link is a page of Google's. False for a link with a line break, which urlsplit would
    drop."""
    text = word(link, LONGEST_LINK)
    try:
        address = urlsplit(text or "")
    except ValueError:
        return False
    return address.scheme == "https" and address.netloc in VERIFICATION_HOSTS
