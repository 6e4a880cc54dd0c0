"""The parts of Google's generateContent that the gateway reads and writes.

A part is one of ``{"text"}``, ``{"inlineData"}``, ``{"functionCall"}``, ``{"functionResponse"}``; ``thought``
marks a text as thinking, ``thoughtSignature`` has to be sent back on the next turn.

Functions that run for each chunk compare ``type(value) is``, which is faster than isinstance; JSON values
have no subclasses.
"""

from __future__ import annotations

from typing import Any, Literal

Part = dict[str, Any]
Content = dict[str, Any]
Chunk = dict[str, Any]
RequestType = Literal["agent", "web_search"]
"""The values of requestType in Cloud Code's envelope."""

# Accepted by Google in place of a lost thought signature.
NO_SIGNATURE_SENTINEL = "skip_thought_signature_validator"


def text_part(text: str) -> Part:
    return {"text": text}


def thought_part(text: str) -> Part:
    return {"thought": True, "text": text}


def inline_data_part(mime_type: str, data: str) -> Part:
    """Return a part for ``data`` in base64."""
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def unwrap(chunk: Chunk) -> Chunk:
    """Return the answer in Cloud Code's ``response``, or the chunk itself when it has none."""
    response = chunk["response"] if "response" in chunk else None  # noqa: SIM401 -- a call
    return response if type(response) is dict else chunk


def first_candidate(response: Chunk) -> dict[str, Any] | None:
    """Return the first candidate. The request asks for one; others would be alternatives, not
    continuations."""
    candidates = response["candidates"] if "candidates" in response else None  # noqa: SIM401
    if type(candidates) is not list:
        return None
    for candidate in candidates:
        if type(candidate) is dict and ("index" not in candidate or candidate["index"] in (None, 0)):
            return candidate
    return None


def parts_of(candidate: dict[str, Any]) -> list[Any]:
    content = candidate["content"] if "content" in candidate else None  # noqa: SIM401
    parts = content["parts"] if type(content) is dict and "parts" in content else None
    return parts if type(parts) is list else []


def has_content(chunk: Chunk) -> bool:
    """Return True when a chunk has a part of the answer itself, other than usage and empty texts."""
    candidate = first_candidate(unwrap(chunk))
    if candidate is None:
        return False
    return any(
        isinstance(part, dict) and any(value for name, value in part.items() if name != "thought")
        for part in parts_of(candidate)
    )
