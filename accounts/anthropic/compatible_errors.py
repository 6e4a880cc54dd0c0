"""Map errors of servers that use Anthropic's format to failure kinds. Pure: the time is an argument.

Their bodies have five shapes: Anthropic's; OpenAI's {"error": {"message", "type", "code"}}, also with a text
in place of the object; FastAPI's {"detail"}; plain text; an HTML page. OpenRouter wraps the error of the
provider behind it (hotovo/aider-desk#513). The `body` of the errors made here always has Anthropic's
shape.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accounts.anthropic.errors import STATUS_OF_TYPE, parse_anthropic_error
from accounts.failures import FailureKind, Scope, UpstreamError
from accounts.google.error_bodies import LONGEST_MESSAGE, excerpt_of, parse_body, wait_seconds_of
from accounts.values.outside import NotJson, as_object, parse_json
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

LOOP_DETECTED = 508
"""What a gateway answers to a request that has come back to it (gateway/upstreams/hops.py)."""
STATUSES = {
    401: FailureKind.KEY_REFUSED,
    402: FailureKind.OUT_OF_CREDIT,
    403: FailureKind.FORBIDDEN,
    408: FailureKind.SERVER_ERROR,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.UNKNOWN_LIMIT,
    LOOP_DETECTED: FailureKind.IN_A_CIRCLE,
    529: FailureKind.CAPACITY,
}
TELLS_IN_ITS_WORDS = {FailureKind.FORBIDDEN, FailureKind.NO_RETRY_HELPS}
"""Failures that only the server's own words explain."""
MOST_SAID = 150
OF_THE_GROUP = {FailureKind.RATE_LIMIT, FailureKind.UNKNOWN_LIMIT, FailureKind.OUT_OF_CREDIT}
TYPES = {status: name for name, status in STATUS_OF_TYPE.items()}
TOO_LONG = re.compile(
    r"exceeds? the available context size"  # llama.cpp
    r"|maximum context length"  # OpenAI, vLLM
    r"|context (?:length|window) (?:is |was )?exceeded|exceeds? (?:the |its )?(?:maximum )?context"
    r"|prompt is too long",
    re.IGNORECASE,
)
PROVIDER_ERROR = "Provider returned error"


def parse_compatible_error(
    status: int, raw: bytes, headers: Mapping[str, str], now: datetime
) -> UpstreamError:
    error = _parsed(status, raw, headers, now)
    if error.kind is FailureKind.SERVER_ERROR and headers.get("x-should-retry") == "false":
        error = replace(error, kind=FailureKind.NO_RETRY_HELPS)
    if error.kind in TELLS_IN_ITS_WORDS:
        words = (said(error.body) or error.message)[:LONGEST_MESSAGE].split()
        return replace(error, said=truncate(" ".join(words).rstrip("."), MOST_SAID))
    return error


def _parsed(status: int, raw: bytes, headers: Mapping[str, str], now: datetime) -> UpstreamError:
    body = _unwrapped(parse_body(raw))
    if as_object(body).get("type") == "error":
        error = parse_anthropic_error(status, raw, headers, now)
        if _is_too_long(status, error.message):
            return replace(error, kind=FailureKind.PROMPT_TOO_LONG)
        return replace(error, kind=FailureKind.IN_A_CIRCLE) if status == LOOP_DETECTED else error
    message = said(body) or f"The server answers {status} with {excerpt_of(raw) or 'nothing'}"
    return _error(status, message, body, wait_seconds_of({}, "", headers, now))


def compatible_error_in_stream(body: Any) -> UpstreamError:
    error = as_object(as_object(body).get("error"))
    code = error.get("code")
    if not isinstance(code, int) or not 400 <= code < 600:
        code = STATUS_OF_TYPE.get(str(error.get("type")), 500)
    return _error(code, said(body) or "an error without a message", body, None)


def said(body: Any) -> str:
    """Return the error's message, whatever its shape; "" when it has none."""
    content = as_object(body)
    error = content.get("error", content.get("detail"))
    if isinstance(error, dict):
        error = error.get("message")
    if isinstance(error, list):  # FastAPI's list of the fields that are wrong
        error = "; ".join(str(as_object(one).get("msg", "")) for one in error[:5])
    return error if isinstance(error, str) else ""


def _error(status: int, message: str, body: Any, wait: float | None) -> UpstreamError:
    kind = _kind(status, message)
    if kind is FailureKind.UNKNOWN_LIMIT and wait is not None:
        kind = FailureKind.RATE_LIMIT
    if kind is FailureKind.PROMPT_TOO_LONG:
        message = _with_numbers(message, as_object(as_object(body).get("error")))
    return UpstreamError(
        kind=kind,
        status=status,
        message=truncate(message, LONGEST_MESSAGE),
        body={"type": "error", "error": {"type": TYPES.get(status, "api_error"), "message": message}},
        wait_seconds=wait,
        scope=Scope.QUOTA_GROUP if kind in OF_THE_GROUP else Scope.ACCOUNT,
    )


def _kind(status: int, message: str) -> FailureKind:
    if _is_too_long(status, message):
        return FailureKind.PROMPT_TOO_LONG
    if status == 404 and "model" in message.lower():
        return FailureKind.NOT_FOUND
    if status in {404, 405} or 200 <= status < 400:
        return FailureKind.WRONG_ADDRESS
    if status in {500, 503} and "overloaded" in message.lower():
        return FailureKind.CAPACITY
    return STATUSES.get(status, FailureKind.SERVER_ERROR if status >= 500 else FailureKind.BAD_REQUEST)


def _is_too_long(status: int, message: str) -> bool:
    return status in {400, 413, 422, 500} and TOO_LONG.search(message[:LONGEST_MESSAGE]) is not None


def _with_numbers(message: str, error: dict[str, Any]) -> str:
    """Return Anthropic's message, which makes clients compact the conversation, with llama.cpp's token counts
    if it names them."""
    tokens, maximum = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(tokens, int) and isinstance(maximum, int):
        return f"prompt is too long: {tokens} tokens > {maximum} maximum"
    return message if "maximum context length" in message else "prompt is too long"


def _unwrapped(body: Any) -> Any:
    """Return the error of the provider behind OpenRouter, or `body` when there is none that can be read."""
    error = as_object(as_object(body).get("error"))
    raw = as_object(error.get("metadata")).get("raw")
    if error.get("message") != PROVIDER_ERROR or not isinstance(raw, str) or not raw:
        return body
    try:
        inner = parse_json(raw.encode("utf-8", "replace"))
    except NotJson:
        return {"error": {**error, "message": truncate(raw, LONGEST_MESSAGE)}}
    return inner if said(inner) else body
