from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation.response.errors import (
    NO_REASON,
    client_message,
    prompt_too_long,
)

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


def test_numbers_without_an_end_are_no_numbers() -> None:
    said = prompt_too_long(google(f"prompt is too long: {'9' * 5000} tokens > 7 maximum"))

    assert said == (None, 7)


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


# Public reports of each are named in the emulator's google_errors.TOO_LONG.
TOO_LONG_WORDINGS = [
    (
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
        "prompt is too long: 1200293 tokens > 1048576 maximum",
    ),
    (
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        "prompt is too long: 1048577 tokens > 1048576 maximum",
    ),
    (
        "Unable to submit request because the input token count is 1251952 but model only supports up to "
        "1048576. Reduce the input token count and try again.",
        "prompt is too long: 1251952 tokens > 1048576 maximum",
    ),
    (
        "prompt is too long: 352692 tokens > 200000 maximum",
        "prompt is too long: 352692 tokens > 200000 maximum",
    ),
    ("Prompt is too long", "prompt is too long: 200001 tokens > 200000 maximum"),
    (
        "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens (139000 "
        "in the messages, 1000 in the completion).",
        "prompt is too long: 140000 tokens > 131072 maximum",
    ),
]


@pytest.mark.parametrize(("message", "told"), TOO_LONG_WORDINGS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in Anthropic's JSON"])
def test_a_too_long_prompt_has_anthropics_message(message: str, told: str, *, wrapped: bool) -> None:
    body = google(of_claude(message) if wrapped else message)
    too_long = prompt_too_long(body)

    assert too_long is not None
    assert too_long.sentence(estimate=7, maximum=200_000) == told
    assert client_message(body) == (told if None not in too_long else message)


def test_the_estimate_replaces_a_missing_count() -> None:
    too_long = prompt_too_long(google("Prompt is too long", 413))

    assert too_long is not None
    assert too_long.sentence(230_000, 200_000) == "prompt is too long: 230000 tokens > 200000 maximum"
    assert too_long.sentence(150_000, 200_000) == "prompt is too long: 200001 tokens > 200000 maximum"
    assert too_long.sentence(150_000, None) == "prompt is too long"


@pytest.mark.parametrize(
    "message",
    [
        "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000, decrease input length "
        "or `max_tokens` and try again",
        "max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens for claude-opus-4-5",
        "Request payload size exceeds the limit: 20971520 bytes.",
        "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000",
        "tools.0.description: String should have at most 1024 characters",
    ],
)
def test_other_limits_keep_their_own_words(message: str) -> None:
    body = google(of_claude(message))

    assert prompt_too_long(body) is None
    assert client_message(body) == message


def test_endless_nesting_ends() -> None:
    message = TOO_LONG
    for _ in range(12):
        message = of_claude(message)

    assert TOO_LONG in client_message(google(message))
