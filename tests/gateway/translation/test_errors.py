from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation.errors import NO_REASON, client_message, error_type_of, is_signature_complaint

TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"


def google(message: Any, code: Any = 400) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": "INVALID_ARGUMENT"}}


def of_claude(message: str) -> str:
    error = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
        "request_id": "req_1",
    }
    return orjson.dumps(error).decode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (google("Requested entity was not found."), "Requested entity was not found."),
        (google(of_claude(TOO_LONG)), TOO_LONG),
        (google(of_claude(of_claude(TOO_LONG))), TOO_LONG),
        (google("Claude said: " + of_claude(TOO_LONG)), TOO_LONG),
        (google('{"message":"bare"}'), "bare"),
        (google('Unknown name "a" at {x}'), 'Unknown name "a" at {x}'),
        (google('{"other":1}'), '{"other":1}'),
        (google('{"error":{}}'), '{"error":{}}'),
        ([google(TOO_LONG)], TOO_LONG),
        ([], NO_REASON),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"message": "bare"}, "bare"),
        ("plain words", "plain words"),
        (google(None), NO_REASON),
        (google(""), NO_REASON),
        (None, NO_REASON),
    ],
)
def test_the_wording_reaches_the_client_unchanged(body: Any, message: str) -> None:
    assert client_message(body) == message


def test_endless_nesting_ends() -> None:
    message = TOO_LONG
    for _ in range(12):
        message = of_claude(message)

    assert TOO_LONG in client_message(google(message))


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (google("m", 400), "invalid_request_error"),
        (google("m", 429), "rate_limit_error"),
        (google("m", 503), "overloaded_error"),
        (google("m", 500), "api_error"),
        (google("m", "400"), "api_error"),
        ("broken", "api_error"),
    ],
)
def test_an_error_in_a_stream_keeps_its_class(body: Any, error_type: str) -> None:
    assert error_type_of(body) == error_type


@pytest.mark.parametrize(
    ("message", "is_complaint"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", True),
        ("Thought signature is not valid", True),
        ("Corrupted thought signature.", True),
        ("function call is missing a `thought_signature`.", True),
        ("messages.1: `thinking` must come first", False),
        ("the request's signature is wrong", False),
    ],
)
def test_a_complaint_about_signatures_is_recognised(message: str, is_complaint: bool) -> None:
    assert is_signature_complaint(google(of_claude(message))) is is_complaint
