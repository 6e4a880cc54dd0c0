"""Translation of Google's finishReason into Anthropic's stop_reason, or into the description of a failure."""

from __future__ import annotations

import re
from typing import Any

from accounts.values.sanitize import truncate

# Any reason not listed ends the turn: STOP, OTHER, and unknown ones.
STOP_REASONS = {
    "MAX_TOKENS": "max_tokens",
    "CONTINUATION": "max_tokens",
    "SAFETY": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "BLOCKLIST": "refusal",
    "SPII": "refusal",
    "RECITATION": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "ESCALATION": "refusal",
    "MODEL_ARMOR": "refusal",
}

# An answer with one of these reasons is complete, even without any content.
MAY_BE_EMPTY = frozenset(STOP_REASONS.values())

REFUSED = "The model declined to answer this request"
LONGEST_EXPLANATION = 300

# The model failed to make a tool call or to continue: without a call the turn is incomplete.
BROKEN_OFF = {
    "MALFORMED_FUNCTION_CALL": "the model's tool call could not be read",
    "UNEXPECTED_TOOL_CALL": "the model called a tool that it was not given",
    "TOO_MANY_TOOL_CALLS": "the model called too many tools one after the other",
    "MALFORMED_RESPONSE": "the model's answer could not be read",
}

# Why an answer is empty.
NOTHING_SAID = {
    **BROKEN_OFF,
    "NO_IMAGE": "the model made no image",
    "IMAGE_OTHER": "the model made no image",
    "LANGUAGE": "the model does not answer in this language",
}

_REASON = re.compile(r"(?!FINISH_REASON_UNSPECIFIED)[A-Z_]{1,40}")
NO_FINISH_REASONS = frozenset({None, "", "FINISH_REASON_UNSPECIFIED"})

# Errors that Google reports as finishReason: code, status and message of the error.
ERRORS: dict[str, tuple[int, str, str]] = {
    "PUP_LIMITED_DISABLED": (
        403,
        "PERMISSION_DENIED",
        "The user account is limited or disabled for a violation of Google's policies.",
    ),
    "MISSING_THOUGHT_SIGNATURE": (400, "INVALID_ARGUMENT", "A thought signature is missing in the request."),
}


def stop_reason_for(finish_reason: str | None, *, has_tool_use: bool, is_blocked: bool = False) -> str:
    """Return the stop_reason. Google reports calls as STOP or OTHER, but clients run them only for tool_use.

    ``is_blocked``: promptFeedback reports the prompt itself as refused.
    """
    reason = STOP_REASONS[finish_reason] if finish_reason in STOP_REASONS else "end_turn"  # noqa: SIM401
    if has_tool_use and reason != "max_tokens":
        return "tool_use"
    return "refusal" if is_blocked else reason


def refusal_text(reason: object, explanation: object) -> str:
    """Return the text block of a refusal that has no content. ``explanation`` is Google's finishMessage or
    blockReasonMessage, ``reason`` its finishReason or blockReason, used when there is no explanation."""
    if isinstance(explanation, str) and (said := truncate(explanation.strip(), LONGEST_EXPLANATION)):
        return f"{REFUSED}: {said}"
    is_code = isinstance(reason, str) and _REASON.fullmatch(reason)
    return f"{REFUSED} ({reason})." if is_code else f"{REFUSED}."


def why_nothing_was_said(finish_reason: str | None) -> str:
    words = NOTHING_SAID.get(finish_reason or "", "answered with nothing")
    is_worth_telling = finish_reason and finish_reason != "STOP" and _REASON.fullmatch(finish_reason)
    return f"{words} ({finish_reason})" if is_worth_telling else words


def why_it_broke_off(finish_reason: str | None) -> str | None:
    """Return why an answer without a call is incomplete; None for a complete one.

    A call completes a turn whatever the reason, as in Google's own client (google-gemini/gemini-cli,
    ``processStreamResponse``).
    """
    if finish_reason in NO_FINISH_REASONS:
        return "the upstream closed the stream without a finish reason"
    return f"{BROKEN_OFF[finish_reason]} ({finish_reason})" if finish_reason in BROKEN_OFF else None


def error_body_for(finish_reason: str) -> dict[str, Any] | None:
    """Return Google's error object for a reason that stands for an error; None for an ordinary reason."""
    if finish_reason not in ERRORS:
        return None
    code, status, message = ERRORS[finish_reason]
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": finish_reason}
    return {"error": {"code": code, "status": status, "message": message, "details": [info]}}
