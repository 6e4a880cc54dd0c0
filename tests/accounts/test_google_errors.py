"""The bodies of Google's errors, as they look on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from accounts.google.errors import Trouble, parse_duration, parse_refusal

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
NO_CAPACITY = "No capacity available for model gemini-3.1-pro-high on the server"
BANNED = "This service has been disabled in this account for Violation of Terms of Service."
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def an_error(status: int, message: str = "", *details: dict[str, Any]) -> bytes:
    return orjson.dumps({"error": {"code": status, "message": message, "details": list(details)}})


def a_reason(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": ERROR_INFO, "reason": reason, "metadata": metadata}


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (429, an_error(429, "", a_reason("QUOTA_EXHAUSTED")), Trouble.QUOTA),
        (429, an_error(429, "", a_reason("RATE_LIMIT_EXCEEDED")), Trouble.RATE_LIMIT),
        (429, an_error(429, "", a_reason("MODEL_CAPACITY_EXHAUSTED")), Trouble.CAPACITY),
        (503, an_error(503, "", a_reason("MODEL_CAPACITY_EXHAUSTED")), Trouble.CAPACITY),
        (503, an_error(503, NO_CAPACITY), Trouble.CAPACITY),
        (429, an_error(429, "Resource has been exhausted (e.g. check quota)."), Trouble.UNKNOWN_LIMIT),
        (429, an_error(429, "Individual quota reached. Resets in 9h22m20s."), Trouble.QUOTA),
        (429, b"[" + an_error(429, "", a_reason("QUOTA_EXHAUSTED")) + b"]", Trouble.QUOTA),
        (400, an_error(400, "Invalid JSON payload received. 1500 tokens, 401 and 429"), Trouble.BAD_REQUEST),
        (400, an_error(400, "Invalid `signature` in `thinking` block"), Trouble.BAD_SIGNATURE),
        (401, an_error(401, "Invalid authentication credentials."), Trouble.ACCESS_TOKEN_REFUSED),
        (403, an_error(403, "Verify", a_reason("VALIDATION_REQUIRED")), Trouble.NEEDS_VERIFICATION),
        (403, an_error(403, "", a_reason("SUBSCRIPTION_REQUIRED")), Trouble.NO_LICENCE),
        (403, an_error(403, BANNED), Trouble.DISABLED),
        (403, an_error(403, "Cloud Code Private API has not been used in project 1"), Trouble.WRONG_PROJECT),
        (403, an_error(403, "", a_reason("SERVICE_DISABLED")), Trouble.WRONG_PROJECT),
        (403, an_error(403, "", a_reason("CONSUMER_INVALID")), Trouble.WRONG_PROJECT),
        (403, an_error(403, "Permission denied on resource project p-1."), Trouble.WRONG_PROJECT),
        (403, an_error(403, "no"), Trouble.FORBIDDEN),
        (404, an_error(404, "Requested entity was not found."), Trouble.NOT_FOUND),
        (500, an_error(500, "Internal error"), Trouble.SERVER_ERROR),
        (502, b"<html>Bad Gateway</html>", Trouble.SERVER_ERROR),
        (529, b"", Trouble.CAPACITY),
        (418, b"", Trouble.BAD_REQUEST),
        (400, an_error(400, "old", a_reason("UNSUPPORTED_CLIENT")), Trouble.CLIENT_TOO_OLD),
    ],
)  # fmt: skip
def test_a_refusal_is_classified(status: int, body: bytes, trouble: Trouble) -> None:
    assert parse_refusal(status, body, {}, NOW).trouble is trouble


def test_a_daily_quota_id_is_a_quota() -> None:
    violation = {"quotaId": "GenerateRequestsPerDayPerProject"}
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}

    assert parse_refusal(429, an_error(429, "", failure), {}, NOW).trouble is Trouble.QUOTA


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("754.431528ms", 0.754431528),
        ("33740.910400305s", 33740.910400305),
        ("3.957525076s", 3.957525076),
        ("25h20m26.179915352s", 91226.179915352),
        ("2h3m", 7380),
        ("3h", 10800),
        ("2h3m4s", 7384),
        ("5us", 5e-6),
        ("", None),
        ("soon", None),
        ("3", None),
        ("3s later", None),
    ],
)
def test_durations_follow_googles_grammar(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_the_longer_of_two_delays_counts() -> None:
    body = an_error(
        429,
        "",
        a_reason("QUOTA_EXHAUSTED", quotaResetDelay="2h3m4s", quotaResetTimeStamp="2026-03-01T14:00:00Z"),
        {"@type": RETRY_INFO, "retryDelay": "5s"},
    )

    assert parse_refusal(429, body, {}, NOW).wait_seconds == 7384


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (an_error(429, "", a_reason("X", quotaResetTimeStamp="2026-03-01T15:00:00Z")), {}, 7200),
        (an_error(429, "", a_reason("X", quotaResetTimeStamp="2026-03-01T12:00:00Z")), {}, 0.5),
        (an_error(429, "Your quota will reset after 2h3m."), {}, 7380),
        (an_error(429, "Please try again in 20s"), {}, 20),
        (an_error(429, "no"), {"retry-after": "30"}, 30),
        (an_error(429, "no"), {"retry-after-ms": "1500"}, 1.5),
        (an_error(429, "no"), {"retry-after": "Sun, 01 Mar 2026 13:02:00 GMT"}, 120),
        (an_error(429, "no"), {"retry-after": "Sun, 01 Mar 2026 12:02:00 GMT"}, 0.5),
        (an_error(429, "no"), {"retry-after": "Sun, 01 Mar 2026"}, None),
        (an_error(429, "no"), {"retry-after": "Sun, 99 Mar 2026 13:02:00 GMT"}, None),
        (an_error(429, "no"), {"retry-after": "nan"}, None),
        (an_error(429, "no"), {"retry-after": "inf"}, None),
        (an_error(429, "no"), {"retry-after": "-inf"}, None),
        (an_error(429, "no"), {"retry-after": "1e400"}, None),
        (an_error(429, "no"), {"retry-after": "9" * 400}, None),
        (an_error(429, "no"), {"retry-after": "-30"}, 0.5),
        (an_error(429, "no"), {"retry-after": ""}, None),
        (an_error(429, "no"), {"retry-after-ms": "nan", "retry-after": "30"}, 30),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": "9" * 400 + "s"}), {}, None),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": "nans"}), {}, None),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": "-5s"}), {}, None),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": 5}), {}, None),
        (an_error(429, "", a_reason("X", quotaResetTimeStamp="0001-01-01T00:00:00+23:59")), {}, None),
        (an_error(429, "", a_reason("X", quotaResetTimeStamp="9999-12-31T23:59:59Z")), {}, None),
        (an_error(429, "no"), {}, None),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": "0s"}), {}, 0.5),
        (an_error(429, "", {"@type": RETRY_INFO, "retryDelay": "99999999s"}), {}, 7 * 24 * 3600),
    ],
)
def test_when_to_try_again(body: bytes, headers: dict[str, str], seconds: float | None) -> None:
    assert parse_refusal(429, body, headers, NOW).wait_seconds == seconds


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://accounts.google.com/signin/continue?a=1&b=2", True),
        ("https://support.google.com/x", True),
        ("http://accounts.google.com/x", False),
        ("https://accounts.google.com.evil.example/x", False),
        ("https://user@accounts.google.com/x", False),
        ("javascript:alert(1)", False),
        ("https://[bad", False),
        ("https://accounts.google.com/\r\nx", False),
        ("https://accounts.google.com/\x1b[2J", False),
        ("https://accounts.google.com/" + "a" * 2000, False),
    ],
)
def test_only_googles_own_pages_are_offered_as_links(url: str, shown: bool) -> None:
    body = an_error(403, "Verify", a_reason("VALIDATION_REQUIRED", validation_url=url))

    assert parse_refusal(403, body, {}, NOW).link == (url if shown else "")


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"[1]", b'"x"', b'{"error": "x"}', b'{"error": {"details": {}}}', b"\xff\xfe",
     b'{"error": {"details": [1, {"@type": 5}, {"@type": "ErrorInfo", "metadata": []}]}}'],
)  # fmt: skip
def test_a_body_of_any_shape_is_survived(raw: bytes) -> None:
    assert parse_refusal(500, raw, {}, NOW).trouble is Trouble.SERVER_ERROR
