"""Bytes from the wire into chunks: feed pieces to ``receive``, call ``close`` at the end.

Google sends ``data: JSON`` and an empty line per event, with LF or CRLF, sometimes spread over several
``data:`` lines, and may leave the last event without its end. Instead of events it may send one plain
JSON body, or a JSON array of objects, when it reports an error.
"""

from __future__ import annotations

from typing import Any

import orjson

MAX_EVENT_BYTES = 32 * 1024 * 1024


class MalformedStream(Exception):
    """What came is no stream of JSON objects, or one event is larger than the limit."""


class ChunkReader:
    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._at_start = True  # of the stream, where a byte order mark and plain JSON are looked for
        self._is_plain_json = False
        self._pieces: list[bytes] = []  # of the line that is not complete yet
        self._pieces_size = 0
        self._ends_with_cr = False  # a CRLF may be cut in two
        self._data: list[bytes] = []  # lines of the event that is not complete yet
        self._data_size = 0

    def receive(self, data: bytes) -> list[dict[str, Any]]:
        """The chunks completed by these bytes."""
        if not data:
            return []
        if self._at_start and not (data := self._look_at_the_start(data)):
            return []
        if self._is_plain_json:
            self._keep(data)
            return []
        return self._receive_lines(data)

    def close(self) -> list[dict[str, Any]]:
        """The chunk whose end was never sent, if any."""
        rest = b"".join(self._pieces)
        self._pieces, self._pieces_size = [], 0
        if self._is_plain_json or (self._at_start and rest):
            return _objects(_parse(rest))
        chunks: list[dict[str, Any]] = []
        if rest:
            self._receive_line(rest, chunks)
        self._end_event(chunks)
        return chunks

    def _look_at_the_start(self, data: bytes) -> bytes:
        """Returns what to read, b"" while there is not enough to tell what kind of stream this is."""
        self._keep(data)
        start = b"".join(self._pieces)
        if b"\xef\xbb\xbf".startswith(start[:3]) and len(start) < 3:
            return b""
        start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
        self._pieces, self._pieces_size = [], 0
        if not start:
            return b""
        self._at_start = False
        self._is_plain_json = start[:1] in b"{["
        return start

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._pieces_size += len(piece)
        self._check_size()

    def _check_size(self) -> None:
        if self._pieces_size + self._data_size > self._max_event_bytes:
            raise MalformedStream(f"an event of the upstream stream exceeds {self._max_event_bytes} bytes")

    def _receive_lines(self, data: bytes) -> list[dict[str, Any]]:
        if self._ends_with_cr and data[:1] == b"\n":
            data = data[1:]
            self._ends_with_cr = False
            if not data:
                return []
        self._ends_with_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        chunks: list[dict[str, Any]] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._pieces:
                line = self._complete_line(line)
            self._receive_line(line, chunks)
        if rest:
            self._keep(rest)
        return chunks

    def _complete_line(self, end: bytes) -> bytes:
        line = b"".join((*self._pieces, end))
        self._pieces, self._pieces_size = [], 0
        return line

    def _receive_line(self, line: bytes, chunks: list[dict[str, Any]]) -> None:
        if not line:
            self._end_event(chunks)
        elif line.startswith(b"data:"):
            self._data.append(line[5:])
            self._data_size += len(line)
            self._check_size()
        elif not line.startswith((b":", b"event:", b"id:", b"retry:", b"data")):
            raise MalformedStream("the upstream answered with something that is no event stream")

    def _end_event(self, chunks: list[dict[str, Any]]) -> None:
        if not self._data:
            return
        # JSON does not mind the space after the colon, nor the line ends between several data lines.
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data, self._data_size = [], 0
        chunks += _objects(_parse(data))


def _parse(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        raise MalformedStream(f"the upstream sent no valid JSON: {problem}") from None


def _objects(value: Any) -> list[dict[str, Any]]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in values):
        raise MalformedStream("the upstream sent JSON that is no object")
    return values
