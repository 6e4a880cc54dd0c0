"""Answers of the canned upstream in Google's format: model answers as event streams, account calls as JSON.

The shapes are those of proxy_site/emulator, which also has the list of models.
"""

from __future__ import annotations

import json
from typing import Any

from proxy_site.emulator.models import INTERNAL_IDS, MODELS

PROMPT_TOKENS = 1200
LAST = {"finishReason": "STOP"}
SIGNATURE = "RXFRQkNrWUlCeGdDS2tEdGhpc2lzbm9yZWFsc2lnbmF0dXJl" * 8


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
