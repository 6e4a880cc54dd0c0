"""The events of a streamed message, and their order.

    stream   := message_start block* message_delta message_stop     (a ping anywhere, an error may end it)
    block(i) := content_block_start(i) content_block_delta(i)* content_block_stop(i)     i = 0, 1, 2, ...

The official SDKs rebuild the message from these events alone (``accumulate_event`` in anthropic-sdk-python).
An event is a plain dict, ready to be encoded; deltas that arrived together are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

StreamEvent = dict[str, Any]
RAW = "raw"
"""The type of an event that holds the bytes of one or more events, as an upstream sent them."""
DELTAS = "deltas"
"""The type of an event that stands for one or more content_block_delta events of the same content block. Used
only inside the gateway; the encoder writes the separate events."""
WHOLE = "message"
"""The type of the only event of an answer that is not streamed."""
Usage = dict[str, Any]


def raw_event(data: bytes) -> StreamEvent:
    return {"type": RAW, "data": data}


def whole_message(message: dict[str, Any], data: bytes) -> StreamEvent:
    """Build the event of an answer that is not streamed. `data` is the message as the upstream sent it."""
    return {"type": WHOLE, "message": message, "data": data}


def message_start(message_id: str, model: str, usage: Usage) -> StreamEvent:
    return {
        "type": "message_start",
        "message": {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        },
    }


def whole_block(index: int, block: dict[str, Any]) -> list[StreamEvent]:
    """Return all events of a complete block. Clients read texts and inputs from deltas only."""
    if block["type"] == "text":
        return [text_start(index), text_delta(index, block["text"]), content_block_stop(index)]
    if "input" in block:
        delta = input_json_delta(index, orjson.dumps(block["input"]).decode())
        return [_block_start(index, {**block, "input": {}}), delta, content_block_stop(index)]
    return [_block_start(index, block), content_block_stop(index)]


def text_start(index: int) -> StreamEvent:
    return _block_start(index, {"type": "text", "text": ""})


def thinking_start(index: int) -> StreamEvent:
    return _block_start(index, {"type": "thinking", "thinking": "", "signature": ""})


def tool_use_start(index: int, tool_use_id: str, name: str) -> StreamEvent:
    return _block_start(index, {"type": "tool_use", "id": tool_use_id, "name": name, "input": {}})


def _block_start(index: int, content_block: dict[str, Any]) -> StreamEvent:
    return {"type": "content_block_start", "index": index, "content_block": content_block}


def text_delta(index: int, text: str) -> StreamEvent:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


def thinking_delta(index: int, thinking: str) -> StreamEvent:
    delta = {"type": "thinking_delta", "thinking": thinking}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def deltas(index: int, field: str, texts: list[str]) -> StreamEvent:
    """Build the event for deltas that arrived together. `field` is "text" or "thinking"."""
    return {"type": DELTAS, "index": index, "field": field, "texts": texts}


def one_by_one(events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
    """Split each event of type DELTAS into content_block_delta events, one for each text; yield others as
    they are."""
    for event in events:
        if event["type"] != DELTAS:
            yield event
            continue
        delta = text_delta if event["field"] == "text" else thinking_delta
        for text in event["texts"]:
            yield delta(event["index"], text)


def signature_delta(index: int, signature: str) -> StreamEvent:
    delta = {"type": "signature_delta", "signature": signature}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def input_json_delta(index: int, partial_json: str) -> StreamEvent:
    delta = {"type": "input_json_delta", "partial_json": partial_json}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def text_in(events: Iterable[StreamEvent]) -> str:
    """Join the text deltas of these events."""
    return "".join(event["delta"]["text"] for event in events if "text" in event.get("delta", ()))


def content_block_stop(index: int) -> StreamEvent:
    return {"type": "content_block_stop", "index": index}


def message_delta(stop_reason: str, usage: Usage, stop_sequence: str | None = None) -> StreamEvent:
    """Build the event. ``usage`` is cumulative: clients overwrite their counts with those in it."""
    delta = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
    return {"type": "message_delta", "delta": delta, "usage": usage}


def message_stop() -> StreamEvent:
    return {"type": "message_stop"}
