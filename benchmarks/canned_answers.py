"""Answers of the canned upstream: model answers as event streams, in Google's format and, with the same
content, in Anthropic's; account calls as JSON.

The shapes are those of proxy_site/emulator, which also has the list of models.
"""

from __future__ import annotations

import json
from typing import Any

from proxy_site.emulator.models import INTERNAL_IDS, MODELS

PROMPT_TOKENS = 1200
LAST = {"finishReason": "STOP"}
SIGNATURE = "RXFRQkNrWUlCeGdDS2tEdGhpc2lzbm9yZWFsc2lnbmF0dXJl" * 8
PASSED_MODEL = "claude-sonnet-9-9"
"""A model that only the stand-in for Anthropic lists."""


def text_answer(events: int) -> bytes:
    """A stream of so many text events, each about as long as a model's."""
    return b"".join(
        text_event(number, events, f"{number} of the words in this answer") for number in range(events)
    )


def text_event(number: int, events: int, text: str) -> bytes:
    return _event({"text": text}, number, events)


def tool_use_answer() -> bytes:
    """Twenty events as in a turn of Claude Code: thinking, its signature, a text, a call."""
    parts: list[dict[str, Any]] = [
        *({"text": f"I should look at file {number} first. ", "thought": True} for number in range(6)),
        {"text": "", "thought": True, "thoughtSignature": SIGNATURE},
        *({"text": f"Reading file {number} of the module now. "} for number in range(12)),
        {"functionCall": {"name": "Read", "args": {"file_path": "/src/app.py"}, "id": "toolu_vrtx_01"}},
    ]
    return b"".join(_event(part, number, len(parts)) for number, part in enumerate(parts))


def _event(part: dict[str, Any], number: int, events: int) -> bytes:
    candidate = {
        "content": {"role": "model", "parts": [part]},
        **(LAST if number == events - 1 else {}),
    }
    response = {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": PROMPT_TOKENS,
            "candidatesTokenCount": number + 1,
            "totalTokenCount": PROMPT_TOKENS + number + 1,
        },
        "modelVersion": "claude-sonnet-4-6",
        "responseId": "msg_vrtx_01benchmark",
    }
    return b"data: %b\r\n\r\n" % _json({"response": response, "traceId": "0123456789abcdef"})


# The same in Anthropic's format


def passed_message() -> bytes:
    """A whole message with the text of `text_answer(1)`."""
    content = [{"type": "text", "text": "0 of the words in this answer"}]
    return _json({**_message(content), "stop_reason": "end_turn"})


def passed_text(events: int) -> bytes:
    """A stream with the texts of `text_answer`."""
    texts = [f"{number} of the words in this answer" for number in range(events)]
    return _passed_stream([({"type": "text", "text": ""}, _deltas("text_delta", "text", texts))], "end_turn")


def passed_tool_use() -> bytes:
    """A stream with the blocks of `tool_use_answer`."""
    thoughts = [f"I should look at file {number} first. " for number in range(6)]
    texts = [f"Reading file {number} of the module now. " for number in range(12)]
    thinking = _deltas("thinking_delta", "thinking", thoughts)
    thinking += _deltas("signature_delta", "signature", [SIGNATURE])
    tool_use = {"type": "tool_use", "id": "toolu_01", "name": "Read", "input": {}}
    arguments = _deltas("input_json_delta", "partial_json", ['{"file_path":"/src/app.py"}'])
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"type": "thinking", "thinking": "", "signature": ""}, thinking),
        ({"type": "text", "text": ""}, _deltas("text_delta", "text", texts)),
        (tool_use, arguments),
    ]
    return _passed_stream(blocks, "tool_use")


def passed_models() -> bytes:
    model = {
        "type": "model",
        "id": PASSED_MODEL,
        "display_name": "Claude Sonnet 9.9",
        "created_at": "2026-01-01T00:00:00Z",
    }
    return _json({"data": [model], "has_more": False, "first_id": PASSED_MODEL, "last_id": PASSED_MODEL})


def _message(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "msg_01benchmark",
        "type": "message",
        "role": "assistant",
        "model": PASSED_MODEL,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 1},
    }


def _deltas(kind: str, field: str, values: list[str]) -> list[dict[str, Any]]:
    return [{"type": kind, field: value} for value in values]


def _passed_stream(blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]], stop_reason: str) -> bytes:
    events: list[dict[str, Any]] = [{"type": "message_start", "message": _message([])}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 20}})
    events.append({"type": "message_stop"})
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _json(event)) for event in events)


# Calls about accounts, by the end of their path


def account_answers() -> dict[str, bytes]:
    return {
        "token": _json({"access_token": "ya29.benchmark", "expires_in": 3599, "token_type": "Bearer"}),
        "loadCodeAssist": _json(
            {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "benchmark-project"}
        ),
        "fetchAvailableModels": _json({"models": {**_offers(), **_internal_offers()}}),
    }


def _offers() -> dict[str, Any]:
    return {
        model.id: {
            "displayName": model.display_name,
            "maxTokens": model.max_tokens,
            "maxOutputTokens": model.max_output_tokens,
            "quotaInfo": {"remainingFraction": 0.8, "resetTime": "2030-01-01T00:00:00Z"},
        }
        for model in MODELS.values()
        if model.in_antigravity
    }


def _internal_offers() -> dict[str, Any]:
    return {model_id: {"quotaInfo": {"remainingFraction": 1}} for model_id in INTERNAL_IDS}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
