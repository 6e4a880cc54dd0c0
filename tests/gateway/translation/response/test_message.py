from __future__ import annotations

from typing import Any

from gateway.translation.response.message import MessageCollector
from tests.builders import SIGNATURE, a_chunk, a_stream, events_of


def test_the_same_events_make_an_unstreamed_message() -> None:
    collector = MessageCollector()
    parts: list[dict[str, Any]] = [
        {"text": "Let me ", "thought": True},
        {"text": "see.", "thought": True, "thoughtSignature": SIGNATURE},
        {"text": "Hel"},
        {"text": "lo"},
        {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}, "id": "toolu_1"}},
    ]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2}

    for event in events_of(a_stream(), *map(a_chunk, parts), a_chunk(finish_reason="STOP", usage=usage)):
        collector.add(event)

    assert collector.message() == {
        "id": "msg_made_here",
        "type": "message",
        "role": "assistant",
        "model": "the-name-the-client-used",
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": f"claude#{SIGNATURE}"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
        },
    }
