"""Chunks that only continue a block are read together and translated without a look at anything else.

Whatever comes among them, and however it is cut, the client gets the bytes that it would get otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from accounts.failures import UpstreamError
from benchmarks.canned_answers import text_answer, tool_use_answer
from gateway.dialects.anthropic.sse import encode_events
from gateway.google_api.sse import ChunkReader, MalformedStream
from gateway.google_api.text_chunks import NOT_ONLY_TEXT, TextChunk, WrappedTextChunk
from gateway.translation.response.stream import BrokenAnswer, EmptyAnswer, MessageStream
from gateway.translation.signature_families import SignatureCache
from tests.builders import CLAUDE_THINKING, GEMINI_3, GPT, SIGNATURE, a_chunk, a_stream, a_tool, translated
from tests.gateway.translation.response.chunk_examples import (
    RULES,
    TEXTS,
    USAGES,
    an_error,
    chunks,
    odd_chunks,
)
from tests.gateway.translation.test_function_calls import function_calls

if TYPE_CHECKING:
    from gateway.google_api.content import Chunk
    from gateway.google_api.sse import AnyChunk
    from gateway.translation.request.request import TranslatedRequest

ERRORS = (UpstreamError, EmptyAnswer, BrokenAnswer, MalformedStream)


class LineReader(ChunkReader):
    """Reads every event line by line."""

    def _receive_one_event(self, data: bytes) -> list[AnyChunk]:
        return []

    def _receive_whole_events(self, data: bytes, chunks: list[AnyChunk]) -> bytes:
        return data


class PartByPart(MessageStream):
    """Looks at each part of each chunk."""

    __slots__ = ()

    def receive(self, *chunks: AnyChunk) -> list[dict[str, Any]]:
        return [event for chunk in chunks for event in self._receive_any(chunk)]


def with_something_else(draw: st.DrawFn, plain: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """One in eight is no longer plain."""
    if draw(st.integers(0, 7)) == 0:
        plain |= draw(st.sampled_from(others))


@st.composite
def plain_chunks(draw: st.DrawFn, of_block: dict[str, Any]) -> Chunk:
    """A chunk with the fields of its block, text or thinking, in its only part; now and then others, too."""
    part = {"text": draw(TEXTS if draw(st.integers(0, 9)) == 0 else WHOLE_TEXTS), **of_block}
    with_something_else(
        draw, part, [{"thought": False}, {"thought": 1}, {"thoughtSignature": ""}, {"new": 1}]
    )
    counts = {"promptTokenCount": 9, "candidatesTokenCount": draw(st.integers(0, 9))}
    chunk = a_chunk(part, usage=draw(st.one_of(st.just(counts), st.just(counts), USAGES)))
    (candidate,) = chunk["response"]["candidates"]
    with_something_else(draw, candidate, [{"index": 0}, {"index": 1}, {"index": None}, {"finishReason": ""}])
    with_something_else(draw, chunk["response"], [{"usageMetadata": 5}, {"candidates": []}])
    with_something_else(draw, chunk, [{"traceId": "t"}, {"error": None}, {"response": 1}])
    return draw(st.sampled_from([chunk, chunk["response"]]))


WHOLE_TEXTS = st.sampled_from(["Hello", " ", "\n", "wörld ✓", "a" * 50])
OTHERS = st.one_of(chunks(), chunks(), odd_chunks(), an_error())
BETWEEN = st.sampled_from([b":\n\n", b"\n", b"event: x\n", b"\r\n", b"data: 5\n\n", b"{}\n\n", b"x", b"\r"])
LINE_ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r\n", b"\r\n", b"\r"])
TARGETS = st.sampled_from([CLAUDE_THINKING, GEMINI_3, GPT])


def with_insertions(draw: st.DrawFn, plain: list[Any], others: st.SearchStrategy[Any]) -> list[Any]:
    for other in draw(st.lists(others, max_size=2)):
        plain.insert(draw(st.integers(0, len(plain))), other)
    return plain


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """An answer as bytes, in pieces."""
    blocks = draw(st.lists(st.sampled_from([{}, {"thought": True}]), min_size=1, max_size=3))
    answer = [chunk for block in blocks for chunk in draw(st.lists(plain_chunks(block), max_size=5))]
    end = draw(LINE_ENDS) * 2
    written = [
        b"data: %b%b" % (json.dumps(chunk).encode(), end) for chunk in with_insertions(draw, answer, OTHERS)
    ]
    if draw(st.integers(0, 4)) == 0:
        with_insertions(draw, written, BETWEEN)
    if draw(st.booleans()):
        return written  # each event came alone
    data = b"".join(written)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[start:end] for start, end in itertools.pairwise([0, *cuts, len(data)])]


@st.composite
def requests(draw: st.DrawFn) -> TranslatedRequest:
    asked = draw(RULES)
    if draw(st.integers(0, 4)):
        asked |= {"stop_sequences": None}
    request = translated(model=draw(TARGETS), tools=[a_tool()], **asked)
    rules = replace(
        request.answer_rules,
        with_sources=draw(st.integers(0, 9)) == 0,
        without_content=draw(st.integers(0, 9)) == 0,
        answer_tool=draw(st.sampled_from([None, None, None, "get_weather"])),
    )
    return replace(request, answer_rules=rules)


def outcome(
    pieces: list[bytes], reader: ChunkReader, stream: MessageStream, store: SignatureCache
) -> list[Any]:
    """The bytes after each read, how it ended, and what is known of the answer."""
    sent: list[Any] = []
    try:
        for piece in pieces:
            events = stream.receive(*reader.receive(piece))
            sent.append(encode_events(events))
        sent.append(encode_events(stream.receive(*reader.close())))
        sent.append(encode_events(stream.close()))
    except ERRORS as error:
        sent.append((type(error), str(error)))
    signatures = dict(store._signatures)
    return [*sent, stream.usage.as_anthropic(), stream.usage.prompt_tokens, stream.stop_reason, signatures]


def both_ways(pieces: list[bytes], request: TranslatedRequest) -> tuple[list[Any], list[Any]]:
    quick_store, store = SignatureCache(), SignatureCache()
    quick = a_stream(request, signatures=quick_store)
    general = a_stream(request, signatures=store)
    general.__class__ = PartByPart
    return outcome(pieces, ChunkReader(), quick, quick_store), outcome(pieces, LineReader(), general, store)


@given(streams(), requests())
@settings(max_examples=300)
def test_the_client_gets_the_same_bytes(pieces: list[bytes], request: TranslatedRequest) -> None:
    quick, general = both_ways(pieces, request)

    assert quick == general


ODD_PARTS: list[dict[str, Any]] = [
    {"thought": False},
    {"thought": 1},
    {"thought": None},
    {"thoughtSignature": ""},
    {"thoughtSignature": SIGNATURE},
    {"new": 1},
    {"text": ""},
    {"text": None},
    {"text": "\ud83d"},
    {"functionCall": {"name": "get_weather"}},
]
ODD_CANDIDATES: list[dict[str, Any]] = [
    {"index": 0},
    {"index": 1},
    {"index": None},
    {"index": []},
    {"finishReason": None},
    {"finishReason": "STOP"},
    {"finishReason": "SAFETY"},
    {"content": None},
    {"content": {"parts": []}},
    {"content": {"parts": {"text": 1}}},
]
ODD_RESPONSES: list[dict[str, Any]] = [
    {"usageMetadata": 5},
    {"usageMetadata": {}},
    {"candidates": []},
    {"candidates": {"content": 1}},
    {"error": "x"},
]
ODD_CHUNKS: list[dict[str, Any]] = [{"error": None}, {"response": 1}, {"response": None}, {"traceId": "t"}]


@pytest.mark.parametrize("model", [CLAUDE_THINKING, GEMINI_3])
@pytest.mark.parametrize("of_block", [{}, {"thought": True}])
def test_a_field_that_matters_is_never_overlooked(of_block: dict[str, Any], model: str) -> None:
    request = translated(model=model, tools=[a_tool()], thinking={"type": "adaptive"})
    plain = a_chunk({"text": "so ", **of_block}, usage={"candidatesTokenCount": 1})
    for level, odd_fields in enumerate((ODD_PARTS, ODD_CANDIDATES, ODD_RESPONSES, ODD_CHUNKS)):
        for fields in odd_fields:
            odd = a_chunk({"text": "on ", **of_block}, usage={"candidatesTokenCount": 2})
            (candidate,) = odd["response"]["candidates"]
            (candidate["content"]["parts"][0], candidate, odd["response"], odd)[level].update(fields)
            pieces = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in (plain, plain, odd, plain)]
            quick, general = both_ways(pieces, request)

            assert quick == general, fields


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"a":\n1}\n\n',
        b'data: {"a":\r1}\n\n',
        b'data: {"a":\r\n1}\r\n\r\n',
        b'data: {"a":\ndata: 1}\n\n',
        b'{"a":1}\n\n',
        b"data: {}\n\n\ndata: {}\n\n",
        b"data: {}\r\n\n",
        b"event: x\ndata: {}\n\n",
        b"data: [{},{}]\n\n",
        b"data: {}\n\n:\n\ndata: {}\n\n",
        b"data: {},{}\n\n",
        b"data\n\n",
        b"data:\n\n",
        b"datas: {}\n\n",
    ],
)
def test_events_in_another_form_are_read_line_by_line(data: bytes) -> None:
    begun = b"data: {}\n\n"
    for before, after in itertools.product((b"", begun), (b"", begun)):
        whole = before + data + after
        for cut in range(len(whole)):
            quick, general = (
                [chunks_or_error(reader, piece) for piece in (begun, whole[:cut], whole[cut:])]
                for reader in (ChunkReader(), LineReader())
            )
            assert quick == general


@given(streams(), st.integers(100, 400))
@settings(max_examples=300)
def test_a_bound_of_memory_holds_either_way(pieces: list[bytes], most: int) -> None:
    readers = ChunkReader(max_event_bytes=most), LineReader(max_event_bytes=most)

    quick, general = ([chunks_or_error(reader, piece) for piece in pieces] for reader in readers)

    assert quick == general


def chunks_or_error(reader: ChunkReader, piece: bytes) -> list[Chunk] | str:
    try:
        return [without_unread(chunk) for chunk in reader.receive(piece)]
    except MalformedStream as error:
        return str(error)


def without_unread(chunk: AnyChunk) -> Chunk:
    """A chunk with nothing but text has no more than a TextChunk has."""
    chunk = as_chunk(chunk)
    with contextlib.suppress(*NOT_ONLY_TEXT):
        if "response" in chunk:
            return msgspec.convert(chunk, WrappedTextChunk).response.as_chunk()
        return msgspec.convert(chunk, TextChunk).as_chunk()
    return chunk


def as_chunk(chunk: AnyChunk) -> Chunk:
    return chunk.as_chunk() if isinstance(chunk, TextChunk) else chunk


def test_a_deep_event_among_others_is_refused_either_way() -> None:
    deep = b'data: {"a":%b1%b}\r\n\r\n' % (b"[" * 200, b"]" * 200)
    for data in (text_answer(3) + deep, deep + text_answer(3)):
        assert chunks_or_error(ChunkReader(), data) == chunks_or_error(LineReader(), data)


def test_an_event_of_an_answer_takes_few_calls() -> None:
    """Reading, translation and encoding, also of the first read. Three of them are `append`, which costs no
    call without a profiler."""
    few, many = (calls_for(text_answer(count)) for count in (20, 220))

    assert (many - few) / 200 < 8.5
    assert few < 265


def test_thinking_takes_few_calls_too() -> None:
    assert calls_for(tool_use_answer()) < 360


def calls_for(answer: bytes) -> int:
    stream = a_stream()

    def translate() -> None:
        events = [event for chunk in ChunkReader().receive(answer) for event in stream.receive(chunk)]
        encode_events(events + stream.close())

    return function_calls(translate)


def test_most_of_an_answer_takes_the_quick_way() -> None:
    taken: list[Chunk] = []

    class Watched(MessageStream):
        __slots__ = ()  # as many fields, since an instance becomes one

        def _receive_any(self, chunk: AnyChunk) -> list[dict[str, Any]]:
            taken.append(as_chunk(chunk))
            return super()._receive_any(chunk)

    stream = a_stream()
    stream.__class__ = Watched
    for chunk in ChunkReader().receive(tool_use_answer()):
        stream.receive(chunk)

    # The first thought, the signature, the first text and the call.
    assert len(taken) == 4
    assert orjson.dumps(taken).count(b"thoughtSignature") == 1
