"""Turns what the model says into the chunks that Google streams.

A reply is a list of parts without signatures and ids: ``text("...")``, ``thinking("...")``,
``function_call("Read", {...})``. ``chunks_of`` gives them the form of the model's family:

    claude   thought texts, then an empty thought part that carries the signature; calls have ids
    gemini   thought texts; the signature rides on the first call, else on an empty text at the end
    gpt      text and calls
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.pretend_model.tokenizer import count_json, count_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.models import Family, Model
    from proxy_site.emulator.pretend_model.signatures import Signatures

Json = dict[str, Any]
Part = dict[str, Any]

CHARACTERS_PER_CHUNK = 48


def text(words: str) -> Part:
    return {"text": words}


def thinking(words: str) -> Part:
    return {"text": words, "thought": True}


def function_call(name: str, args: Json | None = None) -> Part:
    return {"functionCall": {"name": name, "args": args or {}}}


@dataclass(frozen=True)
class Usage:
    """Tokens. ``prompt`` includes ``cached``."""

    prompt: int
    cached: int
    visible: int
    thoughts: int

    def as_metadata(self, family: Family) -> Json:
        """Return usageMetadata: Claude's thoughts are part of its candidates, and zeros are left out."""
        inside = self.thoughts if family == "claude" else 0
        counts = {
            "promptTokenCount": self.prompt,
            "cachedContentTokenCount": self.cached,
            "candidatesTokenCount": self.visible + inside,
            "thoughtsTokenCount": self.thoughts - inside,
            "totalTokenCount": self.prompt + self.visible + self.thoughts,
        }
        return {name: count for name, count in counts.items() if count}


def count_parts(parts: list[Part]) -> tuple[int, int]:
    """Return the numbers of visible tokens and of thinking tokens."""
    thoughts = sum(count_text(part["text"]) for part in parts if part.get("thought"))
    visible = sum(_visible_tokens(part) for part in parts if not part.get("thought"))
    return visible, thoughts


def _visible_tokens(part: Part) -> int:
    if "text" in part:
        return count_text(part["text"])
    return count_json(part["functionCall"]) if "functionCall" in part else 0


# Limits that the request sets


def within_limits(parts: list[Part], generation_config: Json) -> tuple[list[Part], str]:
    """Return the parts within the limits, and the finishReason. A stop sequence is cut off with all that
    follows it."""
    parts = _until_stop_sequence(parts, generation_config.get("stopSequences") or [])
    limit = generation_config.get("maxOutputTokens")
    if limit is None or sum(count_parts(parts)) <= limit:
        return parts, "STOP"
    return _first_tokens(parts, int(limit)), "MAX_TOKENS"


def _until_stop_sequence(parts: list[Part], sequences: list[str]) -> list[Part]:
    kept: list[Part] = []
    for part in parts:
        visible = part.get("text", "") if not part.get("thought") else ""
        cuts = [at for sequence in sequences if (at := visible.find(sequence)) >= 0]
        if cuts:
            return [*kept, {**part, "text": visible[: min(cuts)]}]
        kept.append(part)
    return kept


def _first_tokens(parts: list[Part], limit: int) -> list[Part]:
    kept: list[Part] = []
    for part in parts:
        size = sum(count_parts([part]))
        if size > limit:
            return [*kept, *_shortened(part, limit)]
        kept.append(part)
        limit -= size
    return kept


def _shortened(part: Part, limit: int) -> list[Part]:
    """Return the parts that fit. A text is cut between words; an incomplete call is dropped."""
    words: list[str] = []
    for word in _words(part.get("text", "")):
        if count_text("".join([*words, word])) > limit:
            break
        words.append(word)
    return [{**part, "text": "".join(words)}] if words else []


# Signatures and ids


def signed(parts: list[Part], family: Family, signatures: Signatures) -> list[Part]:
    if family == "claude":
        return _signed_like_claude(parts, signatures)
    return _signed_like_gemini(parts, signatures) if family == "gemini" else parts


def _signed_like_claude(parts: list[Part], signatures: Signatures) -> list[Part]:
    result: list[Part] = []
    for is_thought, group in itertools.groupby(parts, key=lambda part: bool(part.get("thought"))):
        same = list(group)
        result.extend(same if is_thought else map(_with_id, same))
        if is_thought:
            signature = signatures.issue("claude", "".join(part["text"] for part in same))
            result.append({"text": "", "thought": True, "thoughtSignature": signature})
    return result


def _with_id(part: Part) -> Part:
    if "functionCall" not in part or "id" in part["functionCall"]:
        return part
    return {**part, "functionCall": {**part["functionCall"], "id": f"toolu_vrtx_{secrets.token_hex(12)}"}}


def _signed_like_gemini(parts: list[Part], signatures: Signatures) -> list[Part]:
    said = "".join(str(part.get("text", part)) for part in parts)
    signature = {"thoughtSignature": signatures.issue("gemini", said)}
    for index, part in enumerate(parts):
        if "functionCall" in part:
            return [*parts[:index], {**part, **signature}, *parts[index + 1 :]]
    return [*parts, {"text": "", **signature}]


# Chunks


def chunks_of(
    parts: list[Part],
    *,
    model: Model,
    usage: Usage,
    finish_reason: str,
    chunk_count: int | None = None,
) -> list[Json]:
    """Return the response envelopes of one answer, in order; the last has the finishReason."""
    pieces: list[Part | None] = [*_pieces(parts, chunk_count)] or [None]
    metadata = usage.as_metadata(model.family)
    response_id = _response_id(model.family)
    trace_id = secrets.token_hex(8)
    chunks = []
    for number, piece in enumerate(pieces, 1):
        candidate: Json = {"content": {"role": "model", "parts": [piece] if piece else []}}
        response: Json = {"candidates": [candidate], "modelVersion": model.id, "responseId": response_id}
        if number == len(pieces):
            candidate["finishReason"] = finish_reason
        response["usageMetadata"] = metadata
        chunks.append({"response": response, "traceId": trace_id})
    return chunks


def _response_id(family: Family) -> str:
    return f"msg_vrtx_{secrets.token_hex(12)}" if family == "claude" else secrets.token_urlsafe(16)


def _pieces(parts: list[Part], chunk_count: int | None) -> Iterator[Part]:
    length = sum(len(part.get("text", "")) for part in parts)
    size = max(1, -(-length // chunk_count)) if chunk_count else CHARACTERS_PER_CHUNK
    for part in parts:
        if not part.get("text"):
            yield part
        else:
            yield from ({**part, "text": piece} for piece in _cut(part["text"], size, chunk_count))


def _cut(words: str, size: int, chunk_count: int | None) -> Iterator[str]:
    if chunk_count:
        yield from (words[start : start + size] for start in range(0, len(words), size))
        return
    piece = ""
    for word in _words(words):
        if piece and len(piece) + len(word) > size:
            yield piece
            piece = ""
        piece += word
    yield piece


def _words(words: str) -> list[str]:
    """Return the words with the blanks after them; joined, they are the text again."""
    parts = words.split(" ")
    return [part + " " for part in parts[:-1]] + parts[-1:]


def merged(chunks: list[Json]) -> Json:
    """Return the same answer in one piece, as generateContent returns it."""
    last = chunks[-1]["response"]
    parts: list[Part] = []
    for chunk in chunks:
        for candidate in chunk["response"].get("candidates") or []:
            for part in candidate["content"]["parts"]:
                _append(parts, part)
    candidates = [
        {**candidate, "content": {"role": "model", "parts": parts}} for candidate in last["candidates"]
    ]
    return {**chunks[-1], "response": {**last, "candidates": candidates}}


def _append(parts: list[Part], part: Part) -> None:
    """Append the parts, joining adjacent texts of one kind."""
    last = parts[-1] if parts else {}
    plain = "text" in part and "text" in last and "thoughtSignature" not in last
    if plain and last.get("thought") == part.get("thought"):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)
