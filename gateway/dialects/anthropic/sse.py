"""A stream event as bytes on the wire: ``event: NAME``, ``data: JSON``, an empty line."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from gateway.dialects.anthropic.stream_events import DELTAS, RAW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.dialects.anthropic.stream_events import StreamEvent

AT_ONCE = 50
"""The most texts to encode before joining them. orjson allocates a kilobyte for each: with hundreds, the
C library asks the kernel for memory and returns it, which takes twenty times as long."""
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
        if name == DELTAS:
            texts = event["texts"]
            before, between, after = _around_texts(event["index"], event["field"])
            written = map(orjson.dumps, texts) if len(texts) <= AT_ONCE else _in_groups(texts, between)
            pieces += before, between.join(written), after
        elif name == RAW:
            pieces.append(event["data"])
        else:
            pieces += _HEADS[name], orjson.dumps(event), b"\n\n"
    return b"".join(pieces)


def encode_event(event: StreamEvent) -> bytes:
    return encode_events([event])


def _in_groups(texts: list[str], between: bytes) -> Iterator[bytes]:
    for at in range(0, len(texts), AT_ONCE):
        yield between.join(map(orjson.dumps, texts[at : at + AT_ONCE]))


@lru_cache(64)
def _around_texts(index: int, field: str) -> tuple[bytes, bytes, bytes]:
    """Return the bytes before, between and after the JSON strings of a run of content_block_delta events."""
    head = _HEADS["content_block_delta"].decode()
    before = (
        f'{head}{{"type":"content_block_delta","index":{index},"delta":{{"type":"{field}_delta","{field}":'
    )
    after = "}}\n\n"
    return before.encode(), f"{after}{before}".encode(), after.encode()
