"""Translation of Google's error body into the message for the client.

A refusal by Claude arrives as Anthropic's own error, written as JSON into Google's message, sometimes twice.
Its wording is kept: Claude Code compacts, retries or disables a feature depending on it. A prompt that is too
long is reported in Anthropic's wording for every model.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from accounts.values.outside import NotJson, parse_json

MAX_NESTING = 5
MOST_DIGITS = 12
"""The most digits of a number of tokens."""
NO_REASON = "The upstream refused the request without giving a reason."

# Wordings of Google, Anthropic (with and without numbers) and OpenAI. "input length and `max_tokens` exceed
# context limit" is another error.
_TOO_LONG = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"input token count(?: \((?P<tokens>\d+)\))? exceeds the maximum number of tokens allowed"
        r"(?:[ :(]+(?P<maximum>\d+))?",
        r"input token count is (?P<tokens>\d+) but (?:the )?model only supports up to (?P<maximum>\d+)",
        r"prompt is too long(?:: (?P<tokens>\d+) tokens > (?P<maximum>\d+) maximum)?",
        r"maximum context length is (?P<maximum>\d+) tokens\D{1,60}(?P<tokens>\d+) tokens",
    )
)


class PromptLength(NamedTuple):
    """The tokens of a prompt and the model's maximum; None for a number that the upstream did not give."""

    tokens: int | None
    maximum: int | None

    def sentence(self, estimate: int | None = None, maximum: int | None = None) -> str:
        """Return Anthropic's sentence, which makes clients compact. Missing numbers come from ``estimate``
        and ``maximum``."""
        most = self.maximum or maximum
        if most is None:
            return "prompt is too long"
        tokens = self.tokens or max(estimate or 0, most + 1)
        return f"prompt is too long: {tokens} tokens > {most} maximum"


def client_message(google_error_body: object) -> str:
    """Return the message of ``{"error": {...}}``, the bare error, a list around either, or plain text."""
    message = _message_of(google_error_body, MAX_NESTING)
    too_long = _too_long(message)
    if too_long is not None and None not in too_long:
        return too_long.sentence()
    return message or NO_REASON


def prompt_too_long(google_error_body: object) -> PromptLength | None:
    """Return the numbers of a prompt-too-long error; None for any other error."""
    return _too_long(_message_of(google_error_body, MAX_NESTING))


def _too_long(message: str) -> PromptLength | None:
    for pattern in _TOO_LONG:
        if found := pattern.search(message):
            return PromptLength(*(_number(found[name]) for name in PromptLength._fields))
    return None


def _number(digits: str | None) -> int | None:
    return int(digits) if digits and len(digits) <= MOST_DIGITS else None


def _message_of(body: object, depth: int) -> str:
    error = _error_of(body)
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str):
        return ""
    nested = _json_inside(message) if depth else None
    return (_message_of(nested, depth - 1) if nested is not None else "") or message


def _error_of(body: object) -> Any:
    if isinstance(body, list):
        body = next((item for item in body if isinstance(item, dict)), None)
    if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
        return body["error"]
    return body


def _json_inside(message: str) -> dict[str, Any] | None:
    """Return the error object within a message, which may begin with text of Google's."""
    start = message.find("{")
    if start < 0:
        return None
    try:
        value = parse_json(message[start:].encode("utf-8", "replace"))
    except NotJson:
        return None
    return value if isinstance(value, dict) and ("error" in value or "message" in value) else None
