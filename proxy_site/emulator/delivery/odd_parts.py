"""Odd parts as in public reports: a flag on the wrong part, two values in one part, half characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.delivery.behaviour import Behaviour

Json = dict[str, Any]

MODULE = "default_api:"


def with_odd_parts(chunks: list[Json], behaviour: Behaviour) -> list[Json]:
    """Return the chunks with odd parts. Each chunk of an answer has at most one part."""
    if behaviour.calls_beside_texts:
        chunks = _joined(chunks)
    if behaviour.halved_characters:
        chunks = [piece for chunk in chunks for piece in _halved(chunk)]
    if behaviour.calls_in_thoughts or behaviour.calls_by_module or behaviour.bare_signatures:
        chunks = [
            _with_parts(chunk, [_odd(part, behaviour) for part in _parts_of(chunk)]) for chunk in chunks
        ]
    return chunks


def _odd(part: Json, behaviour: Behaviour) -> Json:
    call = part.get("functionCall")
    if call and behaviour.calls_in_thoughts:
        part = {**part, "thought": True}
    if call and behaviour.calls_by_module:
        part = {**part, "functionCall": {**call, "name": MODULE + call["name"]}}
    if behaviour.bare_signatures and part.get("text") == "" and "thoughtSignature" in part:
        part = {name: value for name, value in part.items() if name != "text"}
    return part


def _joined(chunks: list[Json]) -> list[Json]:
    """Put a call into the part of the text right before it."""
    joined: list[Json] = []
    for chunk in chunks:
        parts, before = _parts_of(chunk), _parts_of(joined[-1]) if joined else []
        if parts and before and "functionCall" in parts[0] and "text" in before[0]:
            chunk = _with_parts(chunk, [{**before[0], **parts[0]}])
            joined.pop()
        joined.append(chunk)
    return joined


def _halved(chunk: Json) -> Iterator[Json]:
    """Cut a chunk inside each character that UTF-16 writes as two units; the last piece has its
    finishReason."""
    parts = _parts_of(chunk)
    pieces = list(_pieces(parts[0]["text"])) if parts and parts[0].get("text") else []
    if len(pieces) < 2:
        yield chunk
        return
    for number, piece in enumerate(pieces, 1):
        kept = chunk if number == len(pieces) else _without_finish(chunk)
        yield _with_parts(kept, [{**parts[0], "text": piece}])


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for character in text:
        if ord(character) > 0xFFFF:
            first, second = character.encode("utf-16-be")[:2], character.encode("utf-16-be")[2:]
            yield piece + first.decode("utf-16-be", "surrogatepass")
            piece = second.decode("utf-16-be", "surrogatepass")
        else:
            piece += character
    if piece:
        yield piece


def _parts_of(chunk: Json) -> list[Json]:
    for candidate in chunk["response"].get("candidates") or []:
        parts: list[Json] = candidate["content"].get("parts") or []
        return parts
    return []


def _with_parts(chunk: Json, parts: list[Json]) -> Json:
    response = chunk["response"]
    candidates = [
        {**candidate, "content": {**candidate["content"], "parts": parts}}
        for candidate in response.get("candidates") or []
    ]
    return {**chunk, "response": {**response, "candidates": candidates}}


def _without_finish(chunk: Json) -> Json:
    response = chunk["response"]
    candidates = [
        {name: value for name, value in candidate.items() if name != "finishReason"}
        for candidate in response.get("candidates") or []
    ]
    return {**chunk, "response": {**response, "candidates": candidates}}
