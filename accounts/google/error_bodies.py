"""Google's error bodies: their parts, and the time to wait before a retry. Pure: the time is an argument.

Bodies have the shape {"error": {"code", "status", "message", "details": [...]}}, google.rpc.Status as JSON; a
streaming call may wrap it in a list of one. What an error means differs by service: errors.py covers Cloud
Code, gemini_errors.py the Gemini API.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from accounts.values.outside import NotJson, as_list, as_object, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIN_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 7 * 24 * 3600.0
IDENTIFIER = re.compile(r"[A-Z][A-Z0-9_]{1,60}|projects/[\w.:-]{1,60}|project_number:\d{1,30}", re.ASCII)
SANE_YEARS = range(2000, 2100)
"""The years of plausible times. A time outside them is a mistake, and may not be representable."""
LONGEST_MESSAGE = 2000
"""The longest message, in characters, that is stored and logged. A client gets the whole message from the
body."""


def parse_body(raw: bytes) -> Any:
    """Parse an error body. Returns {} when it is not JSON, since proxies answer with pages of their own."""
    try:
        body = parse_json(raw)
    except NotJson:
        return {}
    return body[0] if isinstance(body, list) and body else body


def error_object(body: Any) -> dict[str, Any]:
    return as_object(as_object(body).get("error"))


def status_in_stream(body: Any) -> int:
    """Return the status of an error inside a stream that began with 200: the error's own code, else 500."""
    code = error_object(body).get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def message_of(error: dict[str, Any], excerpt: str) -> str:
    """Return the error's message, or `excerpt` when it has none."""
    found = error.get("message")
    return (found if isinstance(found, str) else "") or excerpt


def excerpt_of(raw: bytes) -> str:
    """Return the beginning of a body that is not an error object."""
    text = raw[:200].decode("utf-8", "replace").strip()
    return "an HTML page" if text.startswith("<") else text


def details_of(error: dict[str, Any], type_name: str) -> Iterator[dict[str, Any]]:
    """Yield the details of one type, such as "ErrorInfo"."""
    for detail in as_list(error.get("details")):
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(type_name):
            yield detail


def reason_of(error: dict[str, Any]) -> str:
    """Return the reason and the project as text, for example `SERVICE_DISABLED, projects/my-project`."""
    for detail in details_of(error, "ErrorInfo"):
        words = (detail.get("reason"), metadata_of(detail).get("consumer"))
        return ", ".join(word for word in words if isinstance(word, str) and IDENTIFIER.fullmatch(word))
    return ""


def metadata_of(detail: dict[str, Any]) -> dict[str, Any]:
    return as_object(detail.get("metadata"))


# The time to try again

DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|us|µs|ns|m|s))+")
DURATION_GROUP = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
LONGEST_DURATION = 100
WAIT_IN_TEXT = re.compile(rf"(?:resets?|retry|try again)\s+(?:after|in)\s+({DURATION.pattern})")


def parse_duration(text: str) -> float | None:
    """Return the seconds of a Go or protobuf duration such as `2h3m4.179915352s`; None when the text is not a
    duration."""
    if len(text) > LONGEST_DURATION or not DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in DURATION_GROUP.findall(text))


def wait_seconds_of(
    error: dict[str, Any], message: str, headers: Mapping[str, str], now: datetime
) -> float | None:
    """Return the seconds to wait, from the details, else the message, else the headers, limited to between
    half a second and seven days. None when none of them names a time."""
    wait = _wait_in_details(error, now)
    if wait is None and (found := WAIT_IN_TEXT.search(message[:LONGEST_MESSAGE].lower())):
        wait = parse_duration(found.group(1))
    if wait is None:
        wait = _wait_in_headers(headers, now)
    return None if wait is None else min(max(wait, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)


def _wait_in_details(error: dict[str, Any], now: datetime) -> float | None:
    infos = [metadata_of(detail) for detail in details_of(error, "ErrorInfo")]
    texts = [detail.get("retryDelay") for detail in details_of(error, "RetryInfo")]
    texts += [metadata.get("quotaResetDelay") for metadata in infos]
    waits = [wait for text in texts if isinstance(text, str) and (wait := parse_duration(text)) is not None]
    if waits:
        return max(waits)
    for metadata in infos:
        if (moment := parse_timestamp(metadata.get("quotaResetTimeStamp"))) is not None:
            return (moment - now).total_seconds()
    return None


def parse_timestamp(text: Any) -> datetime | None:
    """Parse an RFC 3339 time and return it in UTC, which is assumed when it has no zone. None for a time
    outside SANE_YEARS."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.year in SANE_YEARS else None


def _wait_in_headers(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds in `retry-after-ms`, else in `retry-after`, which may be a date (RFC 9110,
    10.2.3)."""
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
