"""The Gemini API's errors: what each means, for how long, for whom, and what it teaches.

Bodies are the emulator's, whose sources it names, and those of public reports, which are named here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.failures import FailureKind, QuotaLimit, Scope, UpstreamError
from accounts.google.error_bodies import MAX_WAIT_SECONDS, MIN_WAIT_SECONDS
from accounts.google.gemini_errors import gemini_error_in_stream, parse_gemini_error, seconds_until_midnight
from accounts.values.sanitize import UNSAFE
from proxy_site.emulator.gemini_api import errors
from tests.accounts.values.any_json import ANYTHING, ERROR, HEADERS, encoded

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
UNTIL_MIDNIGHT = 19 * 3600.0
"""From NOW to 8:00 UTC, which is midnight in California."""
DAY = 24 * 3600.0
KEY = "AIzaSyNotAKeyNotAKeyNotAKeyNotAKey12345"
PROJECT = "100000000001"
FLASH = "gemini-2.5-flash"
PER_DAY, PER_MINUTE = errors.REQUESTS_PER_DAY, errors.TOKENS_PER_MINUTE


def raw(error: Any) -> bytes:
    return orjson.dumps(error.body)


def a_body(code: int, message: str, *details: dict[str, Any], status: str = "INVALID_ARGUMENT") -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "status": status, "details": details}})


def a_failure(*quotas: tuple[str, str, str | None]) -> dict[str, Any]:
    """A QuotaFailure of quotas: metric, id, value."""
    violations = [
        {
            "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
            "quotaId": quota_id,
            "quotaDimensions": {"location": "global", "model": FLASH},
            **({"quotaValue": value} if value else {}),
        }
        for metric, quota_id, value in quotas
    ]
    return {"@type": errors.QUOTA_FAILURE, "violations": violations}


def parse(status: int, body: bytes, headers: dict[str, str] | None = None) -> UpstreamError:
    return parse_gemini_error(status, body, headers or {}, NOW)


EXHAUSTED = "Resource has been exhausted (e.g. check quota)."
BUSY = "This model is currently experiencing high demand. Spikes in demand are usually temporary."
DAILY_TOKENS = a_failure(
    (
        "generate_content_free_tier_input_token_count",
        "GenerateContentInputTokensPerModelPerDay-FreeTier",
        "6000000",
    )
)
NO_VALUE = a_failure(
    ("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", None),
    ("generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier", None),
)
LIMIT_OF_ZERO = (
    "You exceeded your current quota.\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
    "generate_content_free_tier_requests, limit: 0, model: gemini-3.1-pro\nPlease retry in 38.557315136s."
)
RETRY_IN_THE_TEXT = (
    "You exceeded your current quota.\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
    "generate_content_free_tier_input_token_count, limit: 250000, model: gemini-2.5-flash\n"
    "Please retry in 39.844676573s."
)
A_MINUTE = a_failure(
    ("generate_content_paid_tier_3_requests", "GenerateRequestsPerMinutePerProjectPerModel-PaidTier3", "150")
)
EXPIRED = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "metadata": {"service": errors.SERVICE},
}
K, S = FailureKind, Scope

# (what, status, body, kind, seconds to wait, scope)
MEANINGS: list[tuple[str, int, bytes, FailureKind, float | None, Scope]] = [
    ("wrong key", 400, raw(errors.api_key_invalid()), K.KEY_REFUSED, None, S.ACCOUNT),
    ("wrong key in a list (continuedev/continue#8516)", 400, b"[" + raw(errors.api_key_invalid()) + b"]",
     K.KEY_REFUSED, None, S.ACCOUNT),
    ("expired key (continuedev/continue#11336)", 400, a_body(400, "API key expired.", EXPIRED),
     K.KEY_REFUSED, None, S.ACCOUNT),
    ("wrong key without details", 400, a_body(400, "API key not valid. Please pass a valid API key."),
     K.KEY_REFUSED, None, S.ACCOUNT),
    ("key of another kind", 401, raw(errors.key_as_a_token()), K.KEY_REFUSED, None, S.ACCOUNT),
    ("leaked", 403, raw(errors.key_leaked()), K.KEY_REFUSED, None, S.ACCOUNT),
    ("no key arrived", 403, raw(errors.without_a_key()), K.FORBIDDEN, None, S.ACCOUNT),
    ("suspended", 403, raw(errors.consumer_suspended(PROJECT, KEY)), K.DISABLED, None, S.QUOTA_GROUP),
    ("place", 400, raw(errors.location_not_supported()), K.PLACE_REFUSED, 3600.0, S.KIND),
    ("API off", 403, raw(errors.service_disabled(PROJECT)), K.FORBIDDEN, None, S.ACCOUNT),
    ("key restricted", 403, raw(errors.service_blocked(PROJECT)), K.FORBIDDEN, None, S.ACCOUNT),
    ("referrer", 403, raw(errors.referrer_blocked(PROJECT)), K.FORBIDDEN, None, S.ACCOUNT),
    ("address", 403, raw(errors.address_blocked(PROJECT)), K.FORBIDDEN, None, S.ACCOUNT),
    ("model", 404, raw(errors.model_not_found("gemini-9")), K.NOT_FOUND, None, S.ACCOUNT),
    ("day", 429, raw(errors.quota_exceeded(FLASH, 34.07, PER_DAY)), K.QUOTA, UNTIL_MIDNIGHT, S.QUOTA_GROUP),
    ("day, tokens (google-gemini/gemini-cli#4656)", 429, a_body(429, "", DAILY_TOKENS), K.QUOTA,
     UNTIL_MIDNIGHT, S.QUOTA_GROUP),
    ("day, no values (google-gemini/gemini-cli#8437)", 429, a_body(429, "", NO_VALUE), K.QUOTA,
     UNTIL_MIDNIGHT, S.QUOTA_GROUP),
    ("minute", 429, raw(errors.quota_exceeded(FLASH, 39.8, PER_MINUTE)), K.RATE_LIMIT, 39.0, S.QUOTA_GROUP),
    ("minute, wait in the text", 429, a_body(429, RETRY_IN_THE_TEXT, A_MINUTE), K.RATE_LIMIT, 39.844676573,
     S.QUOTA_GROUP),
    ("minute, no wait", 429, a_body(429, "", A_MINUTE), K.RATE_LIMIT, 60.0, S.QUOTA_GROUP),
    ("minute and day", 429, raw(errors.quota_exceeded(FLASH, 18.5, PER_MINUTE, PER_DAY)), K.QUOTA,
     UNTIL_MIDNIGHT, S.QUOTA_GROUP),
    ("not offered", 429, raw(errors.quota_exceeded(FLASH, 25.4, errors.Violation("requests", PER_DAY.id, 0))),
     K.NO_LICENCE, DAY, S.QUOTA_GROUP),
    ("not offered, in words (continuedev/continue#11524)", 429, a_body(429, LIMIT_OF_ZERO), K.NO_LICENCE, DAY,
     S.QUOTA_GROUP),
    ("older form", 429, raw(errors.old_rate_limit(PROJECT)), K.RATE_LIMIT, 60.0, S.QUOTA_GROUP),
    ("no details (googleapis/js-genai#1840)", 429, a_body(429, EXHAUSTED), K.UNKNOWN_LIMIT, None, S.ACCOUNT),
    ("shared pool", 429, a_body(429, "Resource exhausted, please try again later."), K.UNKNOWN_LIMIT, None,
     S.ACCOUNT),
    ("internal", 500, raw(errors.internal()), K.SERVER_ERROR, None, S.ACCOUNT),
    ("overloaded", 503, raw(errors.overloaded()), K.CAPACITY, None, S.ACCOUNT),
    ("high demand", 503, a_body(503, BUSY), K.CAPACITY, None, S.ACCOUNT),
    ("down", 503, a_body(503, "The service is currently unavailable."), K.SERVER_ERROR, None, S.ACCOUNT),
    ("deadline", 504, raw(errors.deadline_exceeded()), K.SERVER_ERROR, None, S.ACCOUNT),
    ("signature missing", 400, a_body(400, "Function call is missing a thought_signature in functionCall "
     "parts. Additional data, function call `default_api:Bash` , position 2."), K.BAD_SIGNATURE, None,
     S.ACCOUNT),
    ("signature corrupted", 400, a_body(400, "Corrupted thought signature."), K.BAD_SIGNATURE, None,
     S.ACCOUNT),
    ("responses", 400, a_body(400, "Please ensure that the number of function response parts is equal to the "
     "number of function call parts of the function call turn."), K.BAD_REQUEST, None, S.ACCOUNT),
    ("large", 413, b"<html>too large</html>", K.TOO_LARGE, None, S.ACCOUNT),
    ("a proxy's page", 502, b"<html>Bad Gateway</html>", K.SERVER_ERROR, None, S.ACCOUNT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait", "scope"),
    [row[1:] for row in MEANINGS],
    ids=[row[0] for row in MEANINGS],
)
def test_an_error_means(
    status: int, body: bytes, kind: FailureKind, wait: float | None, scope: Scope
) -> None:
    error = parse(status, body)

    assert (error.kind, error.wait_seconds, error.scope) == (kind, wait, scope)


@pytest.mark.parametrize(
    ("limit", "kind"),
    [("0", K.NO_LICENCE), ("20", K.UNKNOWN_LIMIT), ("05", K.UNKNOWN_LIMIT), ("0.5", K.UNKNOWN_LIMIT)],
)
def test_only_a_limit_of_zero_is_no_offer(limit: str, kind: FailureKind) -> None:
    assert parse(429, a_body(429, f"Quota exceeded, limit: {limit}, model: x")).kind is kind


# The day


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 3, 1, 13, 0, tzinfo=UTC), 19),
        (datetime(2026, 3, 1, 7, 59, 59, tzinfo=UTC), 1 / 3600),
        (datetime(2026, 3, 1, 8, 0, tzinfo=UTC), 24),
        (datetime(2026, 3, 8, 8, 0, tzinfo=UTC), 23),  # an hour is left out
        (datetime(2026, 11, 1, 7, 0, tzinfo=UTC), 25),  # an hour comes twice
        (datetime(2026, 11, 1, 9, 30, tzinfo=UTC), 22.5),  # the second 1:30
        (datetime(2026, 7, 1, 9, 0, tzinfo=ZoneInfo("Asia/Tokyo")), 7),
        (datetime(2026, 7, 1, 9, 0, tzinfo=ZoneInfo("Pacific/Kiritimati")), 12),
    ],
)
def test_a_day_ends_at_midnight_in_california(now: datetime, hours: float) -> None:
    assert seconds_until_midnight(now) == pytest.approx(hours * 3600)


# What an error teaches


def test_a_limit_teaches_tier_and_limits() -> None:
    learned = parse(429, raw(errors.quota_exceeded(FLASH, 18.5, PER_MINUTE, PER_DAY))).learned

    assert learned.tier == "free"
    assert learned.limits == (
        QuotaLimit("input_tokens", "minute", 250_000, FLASH),
        QuotaLimit("requests", "day", 20, FLASH),
    )


def test_a_limit_of_a_paid_project_teaches_no_tier() -> None:
    assert parse(429, raw(errors.quota_exceeded(FLASH, 1, PER_MINUTE, free=False))).learned.tier == ""


def test_the_older_form_teaches_its_limit() -> None:
    learned = parse(429, raw(errors.old_rate_limit(PROJECT))).learned

    assert learned.limits == (QuotaLimit("requests", "minute", 60),)
    assert learned.quota_group == PROJECT


@pytest.mark.parametrize("body", [errors.consumer_suspended(PROJECT, KEY), errors.service_disabled(PROJECT)])
def test_a_project_that_is_named_is_learned(body: Any) -> None:
    assert parse(403, raw(body)).learned.quota_group == PROJECT


def test_limits_without_a_value_teach_nothing() -> None:
    assert parse(429, a_body(429, "", NO_VALUE)).learned.limits == ()


# Keys


def test_no_part_of_an_error_has_the_key() -> None:
    error = parse(403, raw(errors.consumer_suspended(PROJECT, KEY)))

    assert KEY not in f"{error.message} {error.body} {error.reason} {error}"
    assert error.message == "Permission denied: Consumer 'api_key:…' has been suspended."
    assert error.reason == f"CONSUMER_SUSPENDED, projects/{PROJECT}"


def test_a_key_in_a_page_is_removed() -> None:
    assert KEY not in parse(403, f"Your key {KEY} is blocked".encode()).message


# Inside a stream, and any shape


def test_an_error_in_a_stream_has_its_own_status() -> None:
    error = gemini_error_in_stream(errors.overloaded().body, NOW)

    assert (error.status, error.kind) == (503, K.CAPACITY)


@pytest.mark.parametrize(
    ("reason", "kind"), [("PUP_LIMITED_DISABLED", K.DISABLED), ("MISSING_THOUGHT_SIGNATURE", K.BAD_SIGNATURE)]
)
def test_a_finish_reason_may_be_an_error(reason: str, kind: FailureKind) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}

    assert gemini_error_in_stream({"error": {"code": 400, "details": [info]}}, NOW).kind is kind


@settings(max_examples=300)
@given(st.integers(300, 999), (ERROR | ANYTHING).map(encoded) | st.binary(), HEADERS)
def test_an_error_of_any_shape_can_be_shown_and_stored(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    error = parse(status, body, headers)

    assert len(error.message) <= 2000
    assert not UNSAFE.search(error.message)
    wait = error.wait_seconds
    assert wait is None or MIN_WAIT_SECONDS <= wait <= MAX_WAIT_SECONDS
