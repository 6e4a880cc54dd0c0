"""Values with good defaults, so that a test names only what it is about."""

from __future__ import annotations

import base64
import itertools
import struct
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from accounts.google.errors import error_in_stream
from gateway.dialects.anthropic.messages import MessagesRequest, parse_messages_request
from gateway.routing.upstream_model import UpstreamModel, upstream_model
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.response.stream import MessageStream
from gateway.translation.signature_families import SignatureCache

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.google_api.content import Chunk
    from gateway.google_api.sse import AnyChunk
    from gateway.translation.signature_families import SignatureStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLAUDE = "claude-sonnet-4-5"
CLAUDE_THINKING = "claude-sonnet-4-5-thinking"
GEMINI_3 = "gemini-3-pro-high"
GEMINI_2_5 = "gemini-2.5-flash"
GPT = "gpt-oss-120b-medium"

# Of the length that real ones have at least.
SIGNATURE = base64.b64encode(b"a genuine signature of the model that thought this").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 1500, 1000)).decode()


def a_body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32_000,
        "messages": list(messages) or [user("Hello")],
        **fields,
    }


def a_messages_request(*messages: dict[str, Any], **fields: Any) -> MessagesRequest:
    return parse_messages_request(a_body(*messages, **fields))


def user(*content: Any) -> dict[str, Any]:
    return _message("user", content)


def assistant(*content: Any) -> dict[str, Any]:
    return _message("assistant", content)


def _message(role: str, content: tuple[Any, ...]) -> dict[str, Any]:
    """The content of ``user("Hello")`` is a string, that of ``user(a_text("Hello"))`` a list of blocks."""
    if len(content) == 1 and isinstance(content[0], str):
        return {"role": role, "content": content[0]}
    return {"role": role, "content": list(content)}


# --- content blocks ---


def a_text(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def a_thinking(thinking: str = "Let me see.", signature: str = f"claude#{SIGNATURE}") -> dict[str, Any]:
    return {"type": "thinking", "thinking": thinking, "signature": signature}


def a_tool_use(id: str = "toolu_1", name: str = "get_weather", input: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {"city": "Oslo"} if input is None else input}


def a_tool_result(id: str = "toolu_1", content: Any = "sunny", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


def an_image() -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def a_tool(name: str = "get_weather", schema: Any = None, **fields: Any) -> dict[str, Any]:
    schema = schema or {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"name": name, "description": "", "input_schema": schema, **fields}


# --- the way there ---


def a_model(model_id: str = CLAUDE, header_mode: str = "antigravity", **limits: Any) -> UpstreamModel:
    """A model of Cloud Code in a header mode, or with "gemini" one of the Gemini API."""
    if header_mode == "gemini":
        return upstream_model(model_id, kind="gemini", **limits)
    return upstream_model(model_id, header_mode="cli" if header_mode == "cli" else "antigravity", **limits)


def translated(
    *messages: dict[str, Any],
    model: str | UpstreamModel = CLAUDE,
    options: TranslationOptions | None = None,
    signatures: SignatureStore | None = None,
    without_thinking: bool = False,
    **fields: Any,
) -> TranslatedRequest:
    return translate_request(
        a_messages_request(*messages, **fields),
        a_model(model) if isinstance(model, str) else model,
        options or TranslationOptions(),
        signatures if signatures is not None else SignatureCache(),
        without_thinking=without_thinking,
    )


# --- the way back ---


def a_candidate(*parts: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    return candidate


def a_chunk(
    *parts: dict[str, Any],
    finish_reason: str | None = None,
    usage: dict[str, Any] | None = None,
    **fields: Any,
) -> Chunk:
    response = {"candidates": [a_candidate(*parts, finish_reason=finish_reason)], **fields}
    if usage is not None:
        response["usageMetadata"] = usage
    return {"response": response}


def a_stream(
    request: TranslatedRequest | None = None,
    *,
    model: str = CLAUDE_THINKING,
    signatures: SignatureStore | None = None,
    input_token_estimate: int = 7,
) -> MessageStream:
    numbers = itertools.count(1)
    return MessageStream(
        message_id="msg_made_here",
        client_model="the-name-the-client-used",
        translated=request or translated(model=model, thinking={"type": "adaptive"}),
        signatures=signatures if signatures is not None else SignatureCache(),
        new_tool_use_id=lambda: f"toolu_new_{next(numbers)}",
        read_error=partial(error_in_stream, now=NOW),
        input_token_estimate=input_token_estimate,
    )


def events_of(stream: MessageStream, *chunks: AnyChunk) -> list[StreamEvent]:
    """All events of an answer, to its end; one without a finish reason ends with STOP."""
    events = [event for chunk in chunks for event in stream.receive(chunk)]
    if stream.finish_reason is None:
        events += stream.receive(a_chunk(finish_reason="STOP"))
    return events + stream.close()
