"""Map Google's error bodies to failure kinds, and read when to try again. Pure: the time is an argument.

Bodies have the shape {"error": {"code", "status", "message", "details": [...]}}; a streaming call may wrap it
in a list of one. `details[].reason` decides before the text, because `status` is RESOURCE_EXHAUSTED for every
429, and messages of any kind may contain numbers.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accounts.failures import FailureKind, UpstreamError
from accounts.values.outside import NotJson, as_list, as_object, parse_json, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIN_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 7 * 24 * 3600.0
IDENTIFIER = re.compile(r"[A-Z][A-Z0-9_]{1,60}|projects/[\w.:-]{1,60}|project_number:\d{1,30}", re.ASCII)
SANE_YEARS = range(2000, 2100)
"""Years of plausible times; others are mistakes, and may not be representable."""
LONGEST_MESSAGE = 2000
"""In characters, of a message that is stored and logged. A client gets the whole message from the body."""
LONGEST_LINK = 2000
CLOSED_API = "cloudcode-pa.googleapis.com"
VERIFICATION_HOSTS = {"accounts.google.com", "support.google.com"}


def parse_error(status: int, raw: bytes, headers: Mapping[str, str], now: datetime) -> UpstreamError:
    """Parse the body of an answer with an error status. `raw` may be anything, since proxies answer with
    their own pages."""
    return _upstream_error(status, _parse_body(raw), _excerpt(raw), headers, now)


def error_in_stream(body: dict[str, Any], now: datetime) -> UpstreamError:
    """Parse an error object inside a stream that began with 200; its own code counts as the status."""
    code = _error_object(body).get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return _upstream_error(status, body, "", {}, now)


def _upstream_error(
    status: int, body: Any, excerpt: str, headers: Mapping[str, str], now: datetime
) -> UpstreamError:
    error = _error_object(body)
    found = error.get("message")
    message = (found if isinstance(found, str) else "") or excerpt
    return UpstreamError(
        kind=_classify(status, error, message),
        status=status,
        message=truncate(message, LONGEST_MESSAGE),
        body=body,
        wait_seconds=_wait_seconds(error, message, headers, now),
        link=_verification_link(error),
        reason=_reason(error),
    )


def is_closed_api(error: UpstreamError) -> bool:
    """True when the project lacks the API that serves the models. Google's message says to enable it, which
    its console allows no ordinary project (duolahypercho/codex-router#566)."""
    return any(
        detail.get("reason") == "SERVICE_DISABLED" and _metadata(detail).get("service") == CLOSED_API
        for detail in _details(_error_object(error.body), "ErrorInfo")
    )


def _parse_body(raw: bytes) -> Any:
    try:
        body = parse_json(raw)
    except NotJson:
        return {}
    return body[0] if isinstance(body, list) and body else body


def _error_object(body: Any) -> dict[str, Any]:
    return as_object(as_object(body).get("error"))


def _excerpt(raw: bytes) -> str:
    text = raw[:200].decode("utf-8", "replace").strip()
    return "an HTML page" if text.startswith("<") else text


def _details(error: dict[str, Any], type_name: str) -> Iterator[dict[str, Any]]:
    for detail in as_list(error.get("details")):
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(type_name):
            yield detail


def _reason(error: dict[str, Any]) -> str:
    """The reason and the project as text, for example `SERVICE_DISABLED, projects/my-project`."""
    for detail in _details(error, "ErrorInfo"):
        words = (detail.get("reason"), _metadata(detail).get("consumer"))
        return ", ".join(word for word in words if isinstance(word, str) and IDENTIFIER.fullmatch(word))
    return ""


def _metadata(detail: dict[str, Any]) -> dict[str, Any]:
    return as_object(detail.get("metadata"))


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
    for detail in _details(error, "ErrorInfo"):
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
    for failure in _details(error, "QuotaFailure"):
        for violation in as_list(failure.get("violations")):
            quota_id = str(as_object(violation).get("quotaId", ""))
            if "PerDay" in quota_id or "Daily" in quota_id:
                return True
    return False


# The time to try again

DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|us|µs|ns|m|s))+")
DURATION_GROUP = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
LONGEST_DURATION = 100
WAIT_IN_TEXT = re.compile(rf"(?:resets?|retry|try again)\s+(?:after|in)\s+({DURATION.pattern})")


def parse_duration(text: str) -> float | None:
    """Seconds in a Go or protobuf duration such as `2h3m4.179915352s`; None when the whole is not one."""
    if len(text) > LONGEST_DURATION or not DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in DURATION_GROUP.findall(text))


def _wait_seconds(
    error: dict[str, Any], message: str, headers: Mapping[str, str], now: datetime
) -> float | None:
    """The wait by the details, else the text, else the headers, limited to between half a second and seven
    days."""
    wait = _wait_in_details(error, now)
    if wait is None and (found := WAIT_IN_TEXT.search(message[:LONGEST_MESSAGE].lower())):
        wait = parse_duration(found.group(1))
    if wait is None:
        wait = _wait_in_headers(headers, now)
    return None if wait is None else min(max(wait, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)


def _wait_in_details(error: dict[str, Any], now: datetime) -> float | None:
    infos = [_metadata(detail) for detail in _details(error, "ErrorInfo")]
    texts = [detail.get("retryDelay") for detail in _details(error, "RetryInfo")]
    texts += [metadata.get("quotaResetDelay") for metadata in infos]
    waits = [wait for text in texts if isinstance(text, str) and (wait := parse_duration(text)) is not None]
    if waits:
        return max(waits)
    for metadata in infos:
        if (moment := parse_timestamp(metadata.get("quotaResetTimeStamp"))) is not None:
            return (moment - now).total_seconds()
    return None


def parse_timestamp(text: Any) -> datetime | None:
    """Parse an RFC 3339 time into UTC; without a zone it is UTC. None for one outside SANE_YEARS."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.year in SANE_YEARS else None


def _wait_in_headers(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in `retry-after-ms`, else in `retry-after`: seconds, or a date (RFC 9110, 10.2.3)."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        if (seconds := _finite(headers.get(name))) is not None:
            return seconds * unit
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (KeyError, ValueError, OverflowError):
        return None


def _finite(text: str | None) -> float | None:
    """Parse a finite number. float() also accepts `nan`, `inf` and `1e400`, which are no times."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# The page to verify an account


def _verification_link(error: dict[str, Any]) -> str:
    """The page on which a person must verify the account; "" unless it is one of Google's, since the operator
    is shown it."""
    for link in _links(error):
        if is_googles_page(link):
            return str(link)
    return ""


def _links(error: dict[str, Any]) -> Iterator[Any]:
    for detail in _details(error, "ErrorInfo"):
        yield _metadata(detail).get("validation_url")
        yield _metadata(detail).get("validation_link")
    for detail in _details(error, "Help"):
        for link in as_list(detail.get("links")):
            yield as_object(link).get("url")


def is_googles_page(link: Any) -> bool:
    """Whether the link is a page of Google's. False for a link with a line end, which urlsplit would drop."""
    text = word(link, LONGEST_LINK)
    try:
        address = urlsplit(text or "")
    except ValueError:
        return False
    return address.scheme == "https" and address.netloc in VERIFICATION_HOSTS
