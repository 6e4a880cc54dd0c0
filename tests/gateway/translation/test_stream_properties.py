"""Any sequence of chunks gives legal events, from which the official SDK builds the message we collect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.anthropic_api.messages import parse_messages_request
from gateway.translation.response import MessageCollector
from gateway.translation.stream import EmptyAnswer, UpstreamErrorInStream
from tests.builders import CLAUDE_THINKING, GEMINI_3, GPT, a_body, a_stream, a_tool, translated, user
from tests.gateway.translation.chunk_examples import answers
from tests.gateway.translation.grammar import as_the_sdk_reads, assert_grammar
from tests.gateway.translation.shares import Shares

if TYPE_CHECKING:
    from gateway.anthropic_api.stream_events import StreamEvent
    from gateway.google_api.content import Chunk

TARGETS = st.sampled_from([CLAUDE_THINKING, GEMINI_3, GPT])


def test_any_chunks_give_legal_events_and_one_message() -> None:
    shares = Shares()

    @given(answers(), TARGETS)
    def check(chunks: list[Chunk], model: str) -> None:
        events = events_of_any(chunks, model)
        kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        shares.count(
            tools="tool_use" in kinds,
            thinking="thinking" in kinds,
            several_blocks=len(kinds) > 1,
            text="text" in kinds,
        )
        if not events:
            return

        assert_grammar(events)
        collector = MessageCollector()
        for event in events:
            collector.add(event)
        assert without_nulls(as_the_sdk_reads(events)) == without_nulls(collector.message())
        assert_it_can_be_sent_back(events, collector.message())

    check()
    shares.check()


def events_of_any(chunks: list[Chunk], model: str) -> list[StreamEvent]:
    stream = a_stream(translated(model=model, tools=[a_tool()]))
    events: list[StreamEvent] = []
    try:
        for chunk in chunks:
            events += stream.receive(chunk)
            assert stream.started is bool(events)
        events += stream.close()
    except (EmptyAnswer, UpstreamErrorInStream):
        assert not stream.started
        assert not events
    else:
        assert stream.close() == []
    return events


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def assert_it_can_be_sent_back(events: list[StreamEvent], message: dict[str, Any]) -> None:
    if message["content"] and events[-1]["type"] == "message_stop":
        parse_messages_request(
            a_body(user("hi"), {"role": "assistant", "content": message["content"]}, user("go on"))
        )
