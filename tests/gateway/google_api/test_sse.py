"""Bytes in, chunks out: whatever the cuts, whatever the bytes."""

from __future__ import annotations

import itertools
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.google_api.content import unwrap
from gateway.google_api.sse import ChunkReader, MalformedStream
from gateway.google_api.text_chunks import TextChunk

CHUNK = {"response": {"text": "ü✓"}}
ENCODED = '{"response":{"text":"ü✓"}}'.encode()


def read(*pieces: bytes, **options: Any) -> list[dict[str, Any]]:
    reader = ChunkReader(**options)
    chunks = [*itertools.chain.from_iterable(map(reader.receive, pieces)), *reader.close()]
    return [chunk.as_chunk() if isinstance(chunk, TextChunk) else chunk for chunk in chunks]


STREAMS = [
    ("LF", b"data: %b\n\ndata: %b\n\n", 2),
    ("CRLF", b"data: %b\r\n\r\ndata: %b\r\n\r\n", 2),
    ("CR", b"data: %b\r\rdata: %b\r\r", 2),
    ("no space", b"data:%b\n\ndata:%b\n\n", 2),
    ("the last line without end", b"data: %b\n\ndata: %b", 2),
    ("the last event without end", b"data: %b\n\ndata: %b\n", 2),
    ("comments and other fields", b": hi\nevent: x\nid: 1\nretry: 5\ndata: %b\n\n:\n\ndata: %b\n\n", 2),
    ("several data lines", b'data: {"response":\ndata: {"text":\ndata: "\xc3\xbc\xe2\x9c\x93"}}\n\n', 1),
    ("a byte order mark", b"\xef\xbb\xbfdata: %b\n\n", 1),
    ("blank lines first", b"\r\n\r\n\ndata: %b\n\n", 1),
    ("empty data", b"data\ndata:\n\ndata: \n\ndata: %b\n\n", 1),
    ("plain JSON", b"%b", 1),
    ("a JSON array", b" [%b,\n%b]\n", 2),
    ("an array in an event", b"data: [%b]\n\n", 1),
    ("nothing", b"", 0),
]


@pytest.mark.parametrize(("template", "count"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_every_cut_gives_the_same_chunks(template: bytes, count: int) -> None:
    data = template.replace(b"%b", ENCODED)

    for cut in range(len(data) + 1):
        assert read(data[:cut], data[cut:]) == [CHUNK] * count
    assert read(*(data[i : i + 1] for i in range(len(data)))) == [CHUNK] * count


def test_a_chunk_is_handed_on_as_soon_as_it_is_complete() -> None:
    reader = ChunkReader()

    assert reader.receive(b"data: %b\n\n" % ENCODED) == [CHUNK]


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Bad gateway</body></html>",
        b"<html>\n</html>\n",
        b"data: {half\n\n",
        b"data: [DONE]\n\n",
        b"data: 5\n\n",
        b'{"error": ',
        b"[1]",
        b"\xef\xbb",
        b"\xff\xfe",
        b"data: \xff\n\n",
    ],
)
def test_what_is_no_stream_of_chunks_is_called_malformed(data: bytes) -> None:
    with pytest.raises(MalformedStream):
        read(data)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (rb"\ud83d\ude00", "😀"),
        (rb"a\ud83d", "a\ud83d"),
        (rb"\uDE00a", "\ude00a"),
        (rb"a\ud83db", "a\ud83db"),
    ],
)
def test_a_surrogate_of_the_answer_is_kept_for_joining(written: bytes, read_as: str) -> None:
    chunk = b'{"response":{"candidates":[{"content":{"parts":[{"text":"%b"}]}}]}}' % written

    (read_chunk,) = read(b"data: %b\n\n" % chunk)

    assert unwrap(read_chunk)["candidates"][0]["content"]["parts"] == [{"text": read_as}]


def test_half_a_character_elsewhere_is_replaced() -> None:
    arguments = rb'{"text":"\ud83d","k\ude00":[1,"\ud83d\ude00",123456789012345678901]}'
    call = b'{"functionCall":{"name":"f","args":%b}}' % arguments
    chunk = b'{"candidates":[{"content":{"parts":[%b,{"text":"x"}]}}]}' % call

    (read_chunk,) = read(b"data: [%b]\n\n" % chunk)

    part, text = read_chunk["candidates"][0]["content"]["parts"]
    assert part["functionCall"]["args"] == {"text": "\ufffd", "k\ufffd": [1, "😀", 1.2345678901234568e20]}
    assert text == {"text": "x"}


@pytest.mark.parametrize(
    "data", [rb'data: {"a":"\ud83d"', rb'data: {"a":"\ud83d","b":NaN}', b'data: {"\\ud83d":' + b"[" * 100_000]
)
def test_half_a_character_excuses_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedStream):
        read(data + b"\n\n")


def nested(levels: int, inside: str = "1") -> bytes:
    """An object with a list of so many levels in it."""
    return f'data: {{"a":{"[" * levels}{inside}{"]" * levels}}}\n\n'.encode()


@pytest.mark.parametrize("inside", ["1", r'"\ud83d"'])
@pytest.mark.parametrize("levels", [200, 254, 900, 1100, 100_000])
def test_an_event_nested_deeper_than_any_is_no_event(levels: int, inside: str) -> None:
    with pytest.raises(MalformedStream):
        read(nested(levels, inside))


@pytest.mark.parametrize("inside", ["1", r'"\ud83d"'])
def test_an_event_nested_as_deep_as_allowed_can_be_written_again(inside: str) -> None:
    (chunk,) = read(nested(199, inside))

    assert orjson.loads(orjson.dumps([[chunk]])) == [[chunk]]


def test_an_event_of_five_megabytes_is_read() -> None:
    text = b"x" * 5_000_000
    data = b'data: {"text":"%b"}\n\n' % text

    pieces = [data[i : i + 65_536] for i in range(0, len(data), 65_536)]
    assert len(read(*pieces)[0]["text"]) == 5_000_000


@pytest.mark.parametrize(
    "data", [b"data: " + b"x" * 200, b"{" + b"x" * 200, b"data: xxxx\n" * 20, b"x" * 200]
)
def test_memory_is_bounded(data: bytes) -> None:
    with pytest.raises(MalformedStream):
        read(*(data[i : i + 7] for i in range(0, len(data), 7)), max_event_bytes=100)


MIB = 1024 * 1024
EXPENSIVE = {
    "two million values": b'data: {"a":[' + b"[]," * (2 * MIB) + b"1]}\n\n",
    "many keys": b"data: {" + b'"key":0,' * (2 * MIB) + b'"key":0}\n\n',
    "lines of two characters": b"data:xy\n" * (4 * MIB),
}
CHEAP = {
    "empty lines": b"\n" * MIB,
    "comments": b":\n" * (MIB // 2),
    "an image": b'data: {"a":"%b"}\n\n' % (b"QUJD" * MIB),
}


def seconds_for(data: bytes) -> float:
    reader = ChunkReader()
    reader.receive(b"data: {}\n\n")
    longest = 0.0
    for start in range(0, len(data), 512 * 1024):
        before = time.thread_time()
        try:
            reader.receive(data[start : start + 512 * 1024])
        finally:
            longest = max(longest, time.thread_time() - before)
    return longest


@pytest.mark.parametrize("name", EXPENSIVE)
def test_an_event_that_is_expensive_to_read_is_refused(name: str) -> None:
    with pytest.raises(MalformedStream):
        seconds_for(EXPENSIVE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_no_read_takes_long(name: str) -> None:
    """Longer than it takes to look at each line, and nobody else is served meanwhile."""
    assert seconds_for(CHEAP[name]) < 0.3


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"data: ", b"\n", b"\r\n", b"\n\n", b"{}", b"[", b"]", b"\xef\xbb\xbf", b":", ENCODED]),
)


@given(st.lists(PIECES, max_size=20))
def test_any_bytes_give_chunks_or_our_own_exception(pieces: list[bytes]) -> None:
    reader = ChunkReader(max_event_bytes=200)
    try:
        for piece in pieces:
            chunks = reader.receive(piece)
            assert all(isinstance(chunk, dict) for chunk in chunks)
            assert len(reader._line) + reader._data_size <= 200
        reader.close()
    except MalformedStream:
        pass
