"""Google's event stream into chunks: give bytes to ``receive``, call ``close`` at the end.

Google sends ``data: JSON`` and an empty line per event, with LF or CRLF, sometimes spread over several
``data:`` lines, and may leave the last event without its end. Instead of events it may send one plain JSON
body, or a JSON array of objects, when it reports an error.
"""

from __future__ import annotations

import json
import re
from operator import methodcaller
from typing import Any, NoReturn

import orjson

from accounts.values.outside import MOST_LEVELS, NotJson, is_too_deep, parse_json
from gateway.google_api.content import Chunk, first_candidate, parts_of, unwrap
from gateway.google_api.surrogates import without_lone_surrogates
from gateway.google_api.text_chunks import (
    NOT_ONLY_TEXT,
    WRAPPER,
    TextChunk,
    read_text_chunk,
    read_wrapped_text_chunk,
)

MAX_EVENT_BYTES = 32 * 1024 * 1024
LARGE_EVENT_BYTES = 1024 * 1024
MOST_STRUCTURE = 300_000
"""The most commas and opening brackets, including those in texts, in an event of more than LARGE_EVENT_BYTES,
since they make parsing expensive. An image has nearly none, and the longest possible text, of 64,000 tokens,
is below a megabyte."""
LINE_BYTES = 64
"""The memory for a line of an event in bytes, besides its text."""

AnyChunk = Chunk | TextChunk
_CHUNKS = {dict, TextChunk}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data", b":", b"event", b"id", b"retry")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_LARGEST_INTEGER_DIGITS = 18
_BRACES, _BRACKETS = methodcaller("count", b"{"), methodcaller("count", b"[")


class MalformedStream(Exception):
    """Raised for data that is not a stream of JSON objects, or an event with too many bytes, levels or
    values."""


class ChunkReader:
    """Splits a stream into chunks. Buffers one event and raises MalformedStream when it exceeds
    ``max_event_bytes``. A chunk with nothing but text may be a TextChunk."""

    __slots__ = (
        "_data",
        "_data_size",
        "_ends_with_cr",
        "_is_at_start",
        "_is_plain_json",
        "_line",
        "_max_event_bytes",
        "_quick_bytes",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._quick_bytes = min(LARGE_EVENT_BYTES, max_event_bytes - LINE_BYTES)
        self._is_at_start = True
        self._is_plain_json = False
        self._ends_with_cr = False  # a CRLF may be split between two pieces
        self._line: bytes | bytearray = b""  # the incomplete line; a bytearray is made for a part of one only
        self._data: list[bytes] = []  # lines of the incomplete event
        self._data_size = 0

    def receive(self, data: bytes) -> list[AnyChunk]:
        """Return the chunks completed by these bytes."""
        if self._is_at_start:
            data = self._look_at_the_start(data)
        if self._is_plain_json:
            self._keep(data)
            return []
        if chunks := self._receive_one_event(data):
            return chunks
        if not self._data and not self._ends_with_cr:
            data = self._receive_whole_events(data, chunks)
        return chunks + self._receive_lines(data) if data else chunks

    def close(self) -> list[AnyChunk]:
        """Return the last chunk, if the upstream never sent its end."""
        if not self._line and not self._data:
            return []
        rest = self._take_line()
        if self._is_plain_json:
            return [*_objects_in(rest)]
        chunks: list[AnyChunk] = []
        self._receive_line(rest, chunks)
        self._end_event(chunks)
        return chunks

    def _look_at_the_start(self, data: bytes) -> bytes:
        """Tell events from plain JSON. Returns the bytes to parse; none while there are too few to decide."""
        start = self._take_line() + data
        if _BYTE_ORDER_MARK.startswith(start[:3]) and len(start) < len(_BYTE_ORDER_MARK):
            self._keep(start)
            return b""
        start = start.removeprefix(_BYTE_ORDER_MARK).lstrip()
        if start:
            self._is_at_start = False
            self._is_plain_json = start.startswith((b"{", b"["))
        return start

    def _receive_one_event(self, data: bytes) -> list[AnyChunk]:
        """Return the chunk of an event of one line that came whole and alone, as most do while a model
        writes. Returns an empty list, and has read nothing, for anything else."""
        if self._line or self._data_size or self._ends_with_cr or len(data) > self._quick_bytes:
            return []
        line, _, end = data.partition(b"\n")
        # `in` is slow for bytes: it raises and catches an error before it searches.
        carriage_return = line.find(b"\r")
        if end == b"\n":
            is_whole = carriage_return < 0
        else:
            is_whole = end == b"\r\n" and carriage_return == len(line) - 1
        if not is_whole or not line.startswith(b"data:"):
            return []
        if len(line) > 2 * MOST_LEVELS and _may_be_deep([line]):
            return []
        text = line[5:]
        is_wrapped = text.find(WRAPPER) >= 0
        try:
            return [read_wrapped_text_chunk(text).response if is_wrapped else read_text_chunk(text)]
        except NOT_ONLY_TEXT:
            pass
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return []
        return [value] if type(value) is dict else []

    def _receive_whole_events(self, data: bytes, chunks: list[AnyChunk]) -> bytes:
        """Read events of one line each, as nearly all are, in a few passes over all of them. Returns the
        bytes that `_receive_lines` has to read: an incomplete event, or all bytes when some event has another
        form."""
        end = b"\n\n" if data.find(b"\r") < 0 else b"\r\n\r\n"
        if data.find(end) < 0 or len(self._line) + len(data) > self._quick_bytes:
            return data
        data = self._take_line() + data
        events, _, rest = data.rpartition(end)
        texts = events.removeprefix(b"data:").split(end + b"data:")
        between = b"".join(texts)
        if not events.startswith(b"data:") or between.find(b"\n") >= 0 or between.find(b"\r") >= 0:
            return data
        try:
            values = _values_of(texts)
        except orjson.JSONDecodeError:
            return data
        if not _CHUNKS.issuperset(map(type, values)) or _may_be_deep(texts):
            return data
        chunks += values
        return rest

    def _receive_lines(self, data: bytes) -> list[AnyChunk]:
        if self._ends_with_cr:
            data = data.removeprefix(b"\n")
        self._ends_with_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        chunks: list[AnyChunk] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line:
                line = self._take_line() + line
            elif not line and not self._data:
                continue  # a comment that keeps the connection alive
            self._receive_line(line, chunks)
        self._keep(rest)
        return chunks

    def _keep(self, piece: bytes) -> None:
        if self._line:
            self._line += piece
        elif piece:
            self._line = bytearray(piece)
        self._check_size()

    def _take_line(self) -> bytes:
        line, self._line = bytes(self._line), b""
        return line

    def _check_size(self) -> None:
        if len(self._line) + self._data_size > self._max_event_bytes:
            raise MalformedStream(f"an event of the upstream stream exceeds {self._max_event_bytes} bytes")

    def _receive_line(self, line: bytes, chunks: list[AnyChunk]) -> None:
        if not line:
            self._end_event(chunks)
        elif line.startswith(b"data:"):
            self._data.append(line[5:])
            self._data_size += len(line) + LINE_BYTES
            self._check_size()
        elif not line.startswith(_FIELDS):
            raise MalformedStream("the upstream answered with something that is no event stream")

    def _end_event(self, chunks: list[AnyChunk]) -> None:
        # JSON ignores the space after the colon and the line ends between several data lines.
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        if data.strip():
            chunks += _objects_in(data)


def _values_of(texts: list[bytes]) -> list[AnyChunk]:
    """Return what the events contain, as a TextChunk where that is possible. Raises JSONDecodeError."""
    is_wrapped = texts[0].find(WRAPPER) >= 0
    values: list[AnyChunk] = []
    for text in texts:
        try:
            values.append(read_wrapped_text_chunk(text).response if is_wrapped else read_text_chunk(text))
        except NOT_ONLY_TEXT:
            values.append(orjson.loads(text))
    return values


def _may_be_deep(texts: list[bytes]) -> bool:
    """Return False when no text can have more than MOST_LEVELS levels, by a count of brackets over all
    texts."""
    if max(map(len, texts)) <= 2 * MOST_LEVELS:
        return False
    most: int = max(map(_BRACES, texts)) + max(map(_BRACKETS, texts))
    return most > MOST_LEVELS


def _objects_in(data: bytes) -> list[Chunk]:
    if len(data) > LARGE_EVENT_BYTES and sum(map(data.count, (b",", b"[", b"{"))) > MOST_STRUCTURE:
        raise MalformedStream("an event of the upstream stream has too many values")
    try:
        value = parse_json(data)
    except NotJson as problem:
        value = _with_lone_surrogates(data)
        if value is None:
            raise MalformedStream(f"the upstream sent no valid JSON: {problem}") from None
    if isinstance(value, dict):
        return [value]
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in values):
        raise MalformedStream("the upstream sent JSON that is no object")
    return values


# --- lone surrogates ---


def _with_lone_surrogates(data: bytes) -> Any:
    """Return the value of JSON that orjson refuses for a lone surrogate such as ``\\ud83d``; None for other
    errors.

    Texts of the answer keep a surrogate, because its pair may come with the next chunk; elsewhere it becomes
    U+FFFD.
    """
    if not _SURROGATE_ESCAPE.search(data):
        return None
    try:
        value = json.loads(data, parse_int=_integer, parse_constant=_refuse)
        return [_cleaned(item) for item in value] if isinstance(value, list) else _cleaned(value)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    """Return an integer as orjson does: more than 64 bits become a float."""
    return int(digits) if len(digits) <= _LARGEST_INTEGER_DIGITS else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _cleaned(chunk: Any) -> Any:
    cleaned = without_lone_surrogates(chunk)
    if is_too_deep(cleaned):
        raise ValueError(f"more than {MOST_LEVELS} levels deep")
    for part, original in zip(_answer_parts(cleaned), _answer_parts(chunk), strict=True):
        if isinstance(part, dict) and isinstance(original.get("text"), str):
            part["text"] = original["text"]
    return cleaned


def _answer_parts(chunk: Any) -> list[Any]:
    candidate = first_candidate(unwrap(chunk)) if isinstance(chunk, dict) else None
    return parts_of(candidate) if candidate is not None else []
