"""Encoding of chunks to bytes, with the faults of a Behaviour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from proxy_site.emulator.delivery.odd_parts import with_odd_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.delivery.behaviour import Behaviour

Json = dict[str, Any]


def reshaped(chunks: list[Json], behaviour: Behaviour) -> list[Json]:
    """Apply the fault to the chunks: without finishReason, with the usage elsewhere, or with an error among
    them."""
    if behaviour.block_reason is not None:
        return _blocked(chunks, behaviour.block_reason)
    chunks = with_odd_parts(_emptied(chunks, behaviour.empty), behaviour)
    if behaviour.without_sources and chunks:
        chunks = [*chunks[:-1], _with_candidate(chunks[-1], groundingMetadata={})]
    if behaviour.finish_in_every_chunk:
        chunks = [_with_candidate(chunk, finishReason="STOP") for chunk in chunks[:-1]] + chunks[-1:]
    if behaviour.without_finish or behaviour.finish_reason:
        chunks = _with_finish(chunks, behaviour.finish_reason)
    if behaviour.usage != "every":
        chunks = _with_usage(chunks, behaviour.usage)
    if behaviour.error_after_chunks is not None:
        chunks = [*chunks[: behaviour.error_after_chunks], behaviour.error_body or {}]
    return chunks


def _blocked(chunks: list[Json], reason: str) -> list[Json]:
    last = chunks[-1]["response"]
    response = {name: value for name, value in last.items() if name != "candidates"}
    return [{**chunks[-1], "response": {"promptFeedback": {"blockReason": reason}, **response}}]


def _emptied(chunks: list[Json], empty: str | None) -> list[Json]:
    if empty is None:
        return chunks
    if empty == "nothing":
        return []
    thoughts = [chunk for chunk in chunks[:-1] if _is_thought(chunk)] if empty == "thinking_only" else []
    return [*thoughts, _with_candidate(chunks[-1], content={"role": "model"})]


def _is_thought(chunk: Json) -> bool:
    return any(
        part.get("thought")
        for candidate in chunk["response"].get("candidates") or []
        for part in candidate["content"].get("parts") or []
    )


def _with_candidate(chunk: Json, **changes: Any) -> Json:
    response = chunk["response"]
    candidates = [{**candidate, **changes} for candidate in response.get("candidates") or []]
    return {**chunk, "response": {**response, "candidates": candidates}}


def _with_finish(chunks: list[Json], reason: str | None) -> list[Json]:
    if not chunks:
        return chunks
    last = _with_candidate(chunks[-1], finishReason=reason)
    if reason is None:
        for candidate in last["response"]["candidates"]:
            del candidate["finishReason"]
    return [*chunks[:-1], last]


def _without_usage(chunk: Json) -> Json:
    response = {key: value for key, value in chunk["response"].items() if key != "usageMetadata"}
    return {**chunk, "response": response}


def _with_usage(chunks: list[Json], usage: str) -> list[Json]:
    bare = [_without_usage(chunk) for chunk in chunks]
    if usage == "none" or not chunks:
        return bare
    if usage == "last":
        return [*bare[:-1], chunks[-1]]
    repeated = {"response": {"usageMetadata": chunks[-1]["response"]["usageMetadata"]}}
    return [*bare[:-1], chunks[-1], repeated]


def as_events(chunks: list[Json], behaviour: Behaviour) -> list[bytes]:
    """Encode each chunk as an SSE event: ``data: {json}`` and a blank line."""
    end = behaviour.line_end * 2
    events = [b"data: " + _encoded(chunk) + end for chunk in chunks]
    if events and not behaviour.final_newline:
        events[-1] = events[-1].rstrip(b"\r\n")
    return events


def _encoded(chunk: Json) -> bytes:
    """Encode JSON; a lone surrogate has no UTF-8, so it is written as an escape."""
    try:
        return orjson.dumps(chunk)
    except TypeError:
        return json.dumps(chunk).encode()


def truncated(events: list[bytes], behaviour: Behaviour) -> list[bytes]:
    """Cut the last event, if the fault asks for it."""
    if not events or behaviour.truncate_at is None:
        return events
    last = events[-1]
    return [*events[:-1], last[: int(len(last) * behaviour.truncate_at)]]


def frames_of(event: bytes, behaviour: Behaviour) -> Iterator[bytes]:
    """Return the bytes of each write: a whole event, unless the fault cuts elsewhere."""
    if behaviour.cut_inside_characters:
        yield from _cut_inside_characters(event)
    elif behaviour.frame_size:
        size = behaviour.frame_size
        yield from (event[start : start + size] for start in range(0, len(event), size))
    else:
        yield event


def _cut_inside_characters(event: bytes) -> Iterator[bytes]:
    """Begin a new frame after the first byte of each character that has several."""
    start = 0
    for index, byte in enumerate(event):
        if byte >= 0xC0:
            yield event[start : index + 1]
            start = index + 1
    yield event[start:]
