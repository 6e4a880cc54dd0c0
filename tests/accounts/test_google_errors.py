"""The bodies of Google's errors, as they look on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from accounts.failures import FailureKind
from accounts.google.error_bodies import parse_duration
from accounts.google.errors import error_in_stream, parse_error

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
    ("status", "body", "kind"),
    [
        (429, an_error(429, "", a_reason("QUOTA_EXHAUSTED")), FailureKind.QUOTA),
        (429, an_error(429, "", a_reason("RATE_LIMIT_EXCEEDED")), FailureKind.RATE_LIMIT),
        (429, an_error(429, "", a_reason("MODEL_CAPACITY_EXHAUSTED")), FailureKind.CAPACITY),
        (503, an_error(503, "", a_reason("MODEL_CAPACITY_EXHAUSTED")), FailureKind.CAPACITY),
        (503, an_error(503, NO_CAPACITY), FailureKind.CAPACITY),
        (429, an_error(429, "Resource has been exhausted (e.g. check quota)."), FailureKind.UNKNOWN_LIMIT),
        (429, an_error(429, "Individual quota reached. Resets in 9h22m20s."), FailureKind.QUOTA),
        (429, b"[" + an_error(429, "", a_reason("QUOTA_EXHAUSTED")) + b"]", FailureKind.QUOTA),
        (400, an_error(400, "Invalid JSON payload. 1500 tokens, 401 and 429"), FailureKind.BAD_REQUEST),
        (400, an_error(400, "Invalid `signature` in `thinking` block"), FailureKind.BAD_SIGNATURE),
        (400, an_error(400, "Thought signature is not valid"), FailureKind.BAD_SIGNATURE),
        (400, an_error(400, "Corrupted thought signature."), FailureKind.BAD_SIGNATURE),
        (400, an_error(400, "a function call lacks a `thought_signature`."), FailureKind.BAD_SIGNATURE),
        (400, an_error(400, "messages.1: `thinking` must come first"), FailureKind.BAD_REQUEST),
        (400, an_error(400, "the request's signature is wrong"), FailureKind.BAD_REQUEST),
        (401, an_error(401, "Invalid authentication credentials."), FailureKind.ACCESS_TOKEN_REFUSED),
        (403, an_error(403, "Verify", a_reason("VALIDATION_REQUIRED")), FailureKind.NEEDS_VERIFICATION),
        (403, an_error(403, "", a_reason("SUBSCRIPTION_REQUIRED")), FailureKind.NO_LICENCE),
        (403, an_error(403, BANNED), FailureKind.DISABLED),
        (403, an_error(403, "The API has not been used in project 1"), FailureKind.WRONG_PROJECT),
        (403, an_error(403, "", a_reason("SERVICE_DISABLED")), FailureKind.WRONG_PROJECT),
        (403, an_error(403, "", a_reason("CONSUMER_INVALID")), FailureKind.WRONG_PROJECT),
        (403, an_error(403, "Permission denied on resource project p-1."), FailureKind.WRONG_PROJECT),
        (403, an_error(403, "no"), FailureKind.FORBIDDEN),
        (404, an_error(404, "Requested entity was not found."), FailureKind.NOT_FOUND),
        (500, an_error(500, "Internal error"), FailureKind.SERVER_ERROR),
        (502, b"<html>Bad Gateway</html>", FailureKind.SERVER_ERROR),
        (529, b"", FailureKind.CAPACITY),
        (413, b"<html>Payload Too Large</html>", FailureKind.TOO_LARGE),
        (418, b"", FailureKind.BAD_REQUEST),
        (400, an_error(400, "old", a_reason("UNSUPPORTED_CLIENT")), FailureKind.CLIENT_TOO_OLD),
    ],
)  # fmt: skip
def test_an_error_is_classified(status: int, body: bytes, kind: FailureKind) -> None:
    assert parse_error(status, body, {}, NOW).kind is kind


def test_a_daily_quota_id_is_a_quota() -> None:
    violation = {"quotaId": "GenerateRequestsPerDayPerProject"}
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}

    assert parse_error(429, an_error(429, "", failure), {}, NOW).kind is FailureKind.QUOTA


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

    assert parse_error(429, body, {}, NOW).wait_seconds == 7384


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
    assert parse_error(429, body, headers, NOW).wait_seconds == seconds


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

    assert parse_error(403, body, {}, NOW).link == (url if shown else "")


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"[1]", b'"x"', b'{"error": "x"}', b'{"error": {"details": {}}}', b"\xff\xfe",
     b'{"error": {"details": [1, {"@type": 5}, {"@type": "ErrorInfo", "metadata": []}]}}'],
)  # fmt: skip
def test_a_body_of_any_shape_raises_nothing(raw: bytes) -> None:
    assert parse_error(500, raw, {}, NOW).kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": {"code": 429, "message": "m"}}, 429, FailureKind.UNKNOWN_LIMIT),
        ({"error": {"code": 503, "message": "No capacity available"}}, 503, FailureKind.CAPACITY),
        # An error in an error, with HTTP's phrase for a status (google-gemini/gemini-cli#14811)
        (
            {
                "error": {
                    "code": 429,
                    "status": "Too Many Requests",
                    "message": '{\n  "error": {"code": 429, "message": "exhausted (e.g. check quota)."}\n}\n',
                }
            },
            429,
            FailureKind.UNKNOWN_LIMIT,
        ),
        # The older list of reasons beside no details (google-gemini/gemini-cli#25607)
        (
            {
                "error": {
                    "code": 403,
                    "status": "PERMISSION_DENIED",
                    "message": "The caller does not have permission",
                    "errors": [{"domain": "global", "reason": "forbidden"}],
                }
            },
            403,
            FailureKind.WRONG_PROJECT,
        ),
        ({"error": {"code": 200}}, 500, FailureKind.SERVER_ERROR),
        ({"error": {"code": "429"}}, 500, FailureKind.SERVER_ERROR),
        ({"error": "broken"}, 500, FailureKind.SERVER_ERROR),
    ],
)
def test_an_error_in_a_stream_has_the_status_that_it_names(
    body: dict[str, Any], status: int, kind: FailureKind
) -> None:
    error = error_in_stream(body, NOW)

    assert (error.status, error.kind, error.body) == (status, kind, body)
