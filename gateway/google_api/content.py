"""The few shapes of Google's generateContent that we read and write.

A part is one of ``{"text"}``, ``{"inlineData"}``, ``{"functionCall"}``, ``{"functionResponse"}``; ``thought``
marks a text as thinking, ``thoughtSignature`` is the proof the model wants back on its next turn.
"""

from __future__ import annotations

from typing import Any, Literal

Part = dict[str, Any]
Content = dict[str, Any]
Chunk = dict[str, Any]
RequestType = Literal["agent", "web_search"]
"""What an envelope says of the request in it."""

# Google takes this in place of a thought signature that was lost.
NO_SIGNATURE_SENTINEL = "skip_thought_signature_validator"


def text_part(text: str) -> Part:
    return {"text": text}


def thought_part(text: str) -> Part:
    return {"thought": True, "text": text}


def inline_data_part(mime_type: str, data: str) -> Part:
    """``data`` is base64."""
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def unwrap(chunk: Chunk) -> Chunk:
    """Cloud Code wraps each answer in ``response``; the bare form is understood too."""
    response = chunk.get("response")
    return response if isinstance(response, dict) else chunk


def first_candidate(response: Chunk) -> dict[str, Any] | None:
    """We ask for one candidate. Should more come, the others are alternatives, never a continuation."""
    candidates = response.get("candidates")
    if not isinstance(candidates, list):
        return None
    for candidate in candidates:
        if isinstance(candidate, dict) and candidate.get("index") in (None, 0):
            return candidate
    return None


def parts_of(candidate: dict[str, Any]) -> list[Any]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return parts if isinstance(parts, list) else []


def has_content(chunk: Chunk) -> bool:
    """Whether a chunk brings anything of the answer itself. Usage and empty texts are none of it."""
    candidate = first_candidate(unwrap(chunk))
    if candidate is None:
        return False
    return any(
        isinstance(part, dict) and any(value for name, value in part.items() if name != "thought")
        for part in parts_of(candidate)
    )
