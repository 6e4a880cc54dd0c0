"""Any sequence of chunks gives legal events, from which the official SDK builds the message we collect."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.failures import UpstreamError
from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.dialects.anthropic.sse import encode_event
from gateway.google_api.sse import ChunkReader
from gateway.translation.response.message import MessageCollector
from gateway.translation.response.stream import BrokenAnswer, EmptyAnswer
from tests.builders import (
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    a_body,
    a_chunk,
    a_stream,
    a_tool,
    translated,
    user,
)
from tests.gateway.translation.response.chunk_examples import RULES, answers
from tests.gateway.translation.response.grammar import as_the_sdk_reads, assert_grammar
from tests.gateway.translation.tokens.shares import Shares

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.google_api.content import Chunk

TARGETS = st.sampled_from([CLAUDE_THINKING, GEMINI_3, GPT])


@pytest.mark.hypothesis
def test_any_chunks_give_legal_events_and_one_message() -> None:
    shares = Shares()

    @given(answers(), TARGETS, RULES)
    def check(chunks: list[Chunk], model: str, rules: dict[str, Any]) -> None:
        events, is_whole = events_of_any(chunks, model, rules)
        kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        shares.count(
            tools="tool_use" in kinds,
            thinking="thinking" in kinds,
            several_blocks=len(kinds) > 1,
            text="text" in kinds,
            whole=is_whole,
        )
        b"".join(map(encode_event, events)).decode()
        if not is_whole:
            return

        assert_grammar(events)
        collector = MessageCollector()
        for event in events:
            collector.add(event)
        message = collector.message()
        assert without_nulls(as_the_sdk_reads(events)) == without_nulls(message)
        assert_it_keeps_the_rules(message, rules)
        assert_it_can_be_sent_back(events, message)

    check()
    shares.check()


def events_of_any(chunks: list[Chunk], model: str, rules: dict[str, Any]) -> tuple[list[StreamEvent], bool]:
    """All events, and whether the stream came to an end that a client can use."""
    stream = a_stream(translated(model=model, tools=[a_tool()], **rules))
    events: list[StreamEvent] = []
    try:
        for chunk in chunks:
            events += stream.receive(chunk)
            assert stream.started is bool(events)
        events += stream.close()
    except EmptyAnswer:
        assert not stream.started
        assert not events
        return [], False
    except UpstreamError:
        assert stream.started is bool(events)
        return events, False
    except BrokenAnswer:
        assert stream.started
        return events, False
    assert stream.close() == []
    return events, True


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def assert_it_keeps_the_rules(message: dict[str, Any], rules: dict[str, Any]) -> None:
    thinking = rules["thinking"] or {"type": "disabled"}
    blocks = message["content"]
    if thinking["type"] == "disabled":
        assert not any(block["type"] == "thinking" for block in blocks)
    if thinking.get("display") == "omitted":
        assert all(block["signature"] and not block["thinking"] for block in blocks if "thinking" in block)
    if rules["tool_choice"]:
        assert sum(block["type"] == "tool_use" for block in blocks) <= 1
    for sequence in rules["stop_sequences"] or ():
        assert not any(sequence in block.get("text", "") for block in blocks)
    assert (message["stop_reason"] == "stop_sequence") is (message["stop_sequence"] is not None)


def assert_it_can_be_sent_back(events: list[StreamEvent], message: dict[str, Any]) -> None:
    if message["content"] and events[-1]["type"] == "message_stop":
        parse_messages_request(
            a_body(user("hi"), {"role": "assistant", "content": message["content"]}, user("go on"))
        )


# --- texts, whatever the cuts ---

CHARACTERS = st.one_of(
    st.sampled_from(["a", " ", "\n", "END", "✓", "😀", "👩\u200d💻", "\ud83d", "\ude00"]),
    st.characters(exclude_categories=()),
)
SAID = st.lists(CHARACTERS, max_size=12).map("".join)
CUTS = st.lists(st.integers(0, 40), max_size=6)


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    """Cut between UTF-16 code units, as a model's tokens may be."""
    units = text.encode("utf-16-le", "surrogatepass")
    places = [0, *sorted(2 * cut for cut in cuts), len(units)]
    pieces = [units[start:end] for start, end in pairwise(places)]
    return [piece.decode("utf-16-le", "surrogatepass") for piece in pieces]


def as_valid_characters(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def answer_in_bytes(pieces: list[str], *, is_thought: bool) -> bytes:
    parts = [{"text": piece, "thought": True} if is_thought else {"text": piece} for piece in pieces]
    chunks = [*map(a_chunk, parts), a_chunk(finish_reason="STOP")]
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


@given(SAID, CUTS, st.integers(1, 60), st.booleans())
def test_every_text_comes_out_verbatim_and_halves_are_joined(
    text: str, cuts: list[int], size: int, is_thought: bool
) -> None:
    data = answer_in_bytes(["<", *in_pieces(text, cuts)], is_thought=is_thought)
    reader, stream = ChunkReader(), a_stream(model=CLAUDE_THINKING)

    events: list[StreamEvent] = []
    for start in range(0, len(data), size):
        for chunk in reader.receive(data[start : start + size]):
            events += stream.receive(chunk)
    events += stream.close()

    (block,) = as_the_sdk_reads(events)["content"]
    assert block["thinking" if is_thought else "text"] == as_valid_characters("<" + text)


@given(SAID, CUTS, st.lists(st.sampled_from(["END", "a", "aEN", "ND\n", "😀", " a ", "aa"]), min_size=1))
def test_the_turn_ends_before_the_stop_sequence_that_comes_first(
    text: str, cuts: list[int], sequences: list[str]
) -> None:
    text = as_valid_characters(text)
    stream = a_stream(translated(stop_sequences=sequences))

    events = stream.receive(a_chunk({"text": "<"}))
    for piece in in_pieces(text, cuts):
        events += stream.receive(a_chunk({"text": piece}))
    events += stream.receive(a_chunk(finish_reason="STOP")) + stream.close()

    found = [(text.find(one) + len(one), -len(one), one) for one in sequences if one in text]
    end, minus_length, sequence = min(found, default=(len(text), 0, None))
    message = as_the_sdk_reads(events)
    assert message["content"][0]["text"] == "<" + text[: end + minus_length]
    assert message.get("stop_sequence") == sequence
    assert message["stop_reason"] == ("stop_sequence" if found else "end_turn")
