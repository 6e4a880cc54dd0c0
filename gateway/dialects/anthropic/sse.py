"""A stream event as bytes on the wire: ``event: NAME``, ``data: JSON``, an empty line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from gateway.dialects.anthropic.stream_events import RAW

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

_HEADS = {
    name: f"event: {name}\ndata: ".encode()
    for name in (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    )
}


def encode_events(events: list[StreamEvent]) -> bytes:
    pieces: list[bytes] = []
    for event in events:
        name = event["type"]
        pieces += (event["data"],) if name == RAW else (_HEADS[name], orjson.dumps(event), b"\n\n")
    return b"".join(pieces)


def encode_event(event: StreamEvent) -> bytes:
    return encode_events([event])
