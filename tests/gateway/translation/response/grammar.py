"""Is this sequence of events a message as Anthropic streams it?

stream   := message_start block* (message_delta message_stop | error)
block(i) := content_block_start(i) content_block_delta(i)* content_block_stop(i)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anthropic.lib.streaming._messages import accumulate_event

from gateway.dialects.anthropic.stream_events import one_by_one

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent

DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "web_search_tool_result": set(),
}
STOP_REASONS = {"end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence"}


def assert_grammar(events: list[StreamEvent]) -> None:
    names = [event["type"] for event in events]
    assert names.count("message_start") == 1
    assert names[0] == "message_start"
    rest = _assert_blocks(events[1:])
    if rest[0]["type"] == "error":
        assert len(rest) == 1
        return
    assert [event["type"] for event in rest] == ["message_delta", "message_stop"]
    assert rest[0]["delta"]["stop_reason"] in STOP_REASONS
    assert all(isinstance(count, int) and count >= 0 for count in _counts(rest[0]["usage"]))


def _counts(usage: dict[str, Any]) -> list[Any]:
    return [count for name, count in usage.items() if name.endswith("tokens")]


def _assert_blocks(events: list[StreamEvent]) -> list[StreamEvent]:
    """Returns what follows the last block."""
    index = 0
    while events[0]["type"] == "content_block_start":
        size = _assert_block(events, index)
        events = events[size:]
        index += 1
    return events


def _assert_block(events: list[StreamEvent], index: int) -> int:
    kind = events[0]["content_block"]["type"]
    deltas: list[str] = []
    for event in events[1:]:
        assert event["index"] == index
        if event["type"] == "content_block_stop":
            break
        deltas.append(event["delta"]["type"])
    assert set(deltas) <= DELTAS[kind]
    assert "signature_delta" not in deltas[:-1], "a signature is the last delta of its block"
    return len(deltas) + 2


def as_the_sdk_reads(events: list[StreamEvent]) -> dict[str, Any]:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in one_by_one(events):
        if event["type"] != "error":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)  # type: ignore[arg-type]
    message: dict[str, Any] = snapshot.to_dict()
    return message
