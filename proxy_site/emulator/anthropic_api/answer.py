"""The pretended model's answer as Anthropic's blocks, message and events. Pure except for ids."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from proxy_site.emulator.delivery.framing import truncated
from proxy_site.emulator.pretend_model.replies import CHARACTERS_PER_CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy_site.emulator.delivery.behaviour import Behaviour
    from proxy_site.emulator.pretend_model.replies import Part
    from proxy_site.emulator.refusal import Json


@dataclass(frozen=True)
class Tokens:
    """The token counts of an answer. ``prompt`` is the part neither written to the cache nor read from it."""

    prompt: int
    written: int
    read: int
    visible: int
    thoughts: int
    for_an_hour: bool = False

    def usage(self, *, at_the_start: bool = False) -> Json:
        written = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
        written["ephemeral_1h_input_tokens" if self.for_an_hour else "ephemeral_5m_input_tokens"] = (
            self.written
        )
        return {
            "input_tokens": self.prompt,
            "cache_creation_input_tokens": self.written,
            "cache_read_input_tokens": self.read,
            "cache_creation": written,
            "output_tokens": 1 if at_the_start else self.visible + self.thoughts,
            "output_tokens_details": {"thinking_tokens": 0 if at_the_start else self.thoughts},
            "service_tier": "standard",
        }


@dataclass(frozen=True)
class Answer:
    """One answer: its blocks, its stop reason, and its usage at the start and at the end."""

    model: str
    blocks: list[Json]
    stop_reason: str
    stop_sequence: str | None
    usage_at_start: Json
    usage: Json
    stop_details: Json | None = None

    def message(self) -> Json:
        details = {"stop_details": self.stop_details} if self.stop_details else {}
        return {
            **self._head(),
            "content": self.blocks,
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            **details,
            "usage": self.usage,
        }

    def _head(self) -> Json:
        id_ = f"msg_01{secrets.token_hex(11)}"
        return {"id": id_, "type": "message", "role": "assistant", "model": self.model}

    def events(self, behaviour: Behaviour, chunk_count: int | None) -> list[Json]:
        """Return the events of the stream, with the faults of a behaviour that concern its content."""
        if behaviour.empty == "nothing":
            return []
        empty = {**self._head(), "content": [], "stop_reason": None, "stop_sequence": None}
        events: list[Json] = [{"type": "message_start", "message": {**empty, "usage": self.usage_at_start}}]
        shown = [] if behaviour.empty == "no_parts" else self.blocks
        if behaviour.empty == "thinking_only":
            shown = [block for block in shown if block["type"] == "thinking"]
        for index, block in enumerate(shown):
            of_block = _block_events(block, index, self._size(chunk_count))
            events += _signed_late(of_block) if behaviour.late_signature else of_block
        if not behaviour.without_finish:
            events += self._end(behaviour)
        if behaviour.error_after_chunks is not None:
            error = [behaviour.error_body] if behaviour.error_body else []
            return [*events[: behaviour.error_after_chunks], *error]
        return [one for event in events for one in _with_pings(event, behaviour.pings)]

    def _end(self, behaviour: Behaviour) -> list[Json]:
        details = {"stop_details": self.stop_details} if self.stop_details else {}
        delta = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence, **details}
        usage = {} if behaviour.usage == "none" else {"usage": self.usage}
        return [{"type": "message_delta", "delta": delta, **usage}, {"type": "message_stop"}]

    def _size(self, chunk_count: int | None) -> int:
        """Return the number of characters in each delta."""
        length = sum(len(str(block.get("text", block.get("thinking", "")))) for block in self.blocks)
        return max(1, -(-length // chunk_count)) if chunk_count else CHARACTERS_PER_CHUNK


def _with_pings(event: Json, count: int) -> list[Json]:
    """Add `count` pings: a single one only after the start, as Anthropic sends it; more, after each event."""
    ping = {"type": "ping"}
    if event["type"] == "message_start" or (count > 1 and event["type"] != "message_stop"):
        return [event, *[ping] * count]
    return [event]


def _block_events(block: Json, index: int, size: int) -> list[Json]:
    empty, deltas = _DELTAS[block["type"]](block, size)
    start: Json = {"type": "content_block_start", "index": index, "content_block": empty}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


def _signed_late(events: list[Json]) -> list[Json]:
    """Move the signature of a thinking block to the end of the block."""
    signatures = [one for one in events if one.get("delta", {}).get("type") == "signature_delta"]
    return [*(one for one in events if one not in signatures), *signatures]


def _text_deltas(block: Json, size: int) -> tuple[Json, list[Json]]:
    pieces = [{"type": "text_delta", "text": piece} for piece in _cut(block["text"], size)]
    return {"type": "text", "text": ""}, pieces


def _thinking_deltas(block: Json, size: int) -> tuple[Json, list[Json]]:
    pieces = [{"type": "thinking_delta", "thinking": piece} for piece in _cut(block["thinking"], size)]
    signed = [{"type": "signature_delta", "signature": block["signature"]}] if "signature" in block else []
    return {"type": "thinking", "thinking": "", "signature": ""}, [*pieces, *signed]


def _tool_deltas(block: Json, size: int) -> tuple[Json, list[Json]]:
    pieces = ["", *_cut(orjson.dumps(block["input"]).decode(), size)]
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return {**block, "input": {}}, deltas


_DELTAS: dict[str, Callable[[Json, int], tuple[Json, list[Json]]]] = {
    "text": _text_deltas,
    "thinking": _thinking_deltas,
    "tool_use": _tool_deltas,
}


def _cut(words: str, size: int) -> list[str]:
    return [words[start : start + size] for start in range(0, len(words), size)]


# From parts to blocks


def blocks_from(parts: list[Part], sign: Callable[[str], str | None]) -> list[Json]:
    """Return the blocks. Adjacent thoughts become one block, with the signature that ``sign`` returns for
    their text."""
    blocks: list[Json] = []
    for is_thought, group in itertools.groupby(parts, key=lambda part: bool(part.get("thought"))):
        same = list(group)
        blocks += [_thought(same, sign)] if is_thought else _spoken(same)
    return blocks


def _thought(parts: list[Part], sign: Callable[[str], str | None]) -> Json:
    words = "".join(part["text"] for part in parts)
    signature = sign(words)
    block: Json = {"type": "thinking", "thinking": words}
    return block if signature is None else {**block, "signature": signature}


def _spoken(parts: list[Part]) -> Iterator[Json]:
    for part in parts:
        if "functionCall" in part:
            call = part["functionCall"]
            id_ = call.get("id") or f"toolu_01{secrets.token_hex(11)}"
            yield {"type": "tool_use", "id": id_, "name": call["name"], "input": call["args"]}
        elif part.get("text"):
            yield {"type": "text", "text": part["text"]}


def as_named_events(events: list[Json], behaviour: Behaviour) -> list[bytes]:
    """Encode ``event: TYPE`` and ``data: {json}``, with the faults that are about bytes."""
    end = behaviour.line_end
    encoded = [
        b"event: " + event.get("type", "error").encode() + end + b"data: " + orjson.dumps(event) + end * 2
        for event in events
    ]
    if encoded and not behaviour.final_newline:
        encoded[-1] = encoded[-1].rstrip(b"\r\n")
    return truncated(encoded, behaviour)
