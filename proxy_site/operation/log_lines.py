"""The lines of one request in a log, in either format (`gateway/telemetry/log_format.py`)."""

from __future__ import annotations

import re
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_LINES = 500
"""The most lines of each log."""
LONGEST_LINE = 4_000
"""The most characters of a line that are shown."""
LONGEST_READ = 256 * 1024
"""The most characters of a line that are read: a JSON object has to be complete."""
LEVELS = ("info", "warning", "error", "critical")
"""The levels that are shown. Debug lines have the structure of requests, with names of tools."""
TEXT_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+) +(?:\x1b\[[\d;]*m)?(?P<level>[A-Z]+) *(?:\x1b\[0m)?"
    r" +(?P<id>[\w-]{1,64}): (?P<message>.*)"
)
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")
FRAME = re.compile(r'  File "|    |  \[Previous line repeated ')
ERROR = re.compile(r"(?:[^\W\d]\w*|<locals>)(?:\.(?:[^\W\d]\w*|<locals>))*(?:: .*| \(message left out.*)?")
"""Matches the last line of a traceback: the error's name, with its message if that may be logged."""
CAUSE = "caused by "
DIGIT = re.compile(r"\d")
TRACEBACK = "traceback"


class Line(NamedTuple):
    """A line of the log. A line of a traceback has the time of its record, and the level TRACEBACK."""

    time: str
    level: str
    message: str


def lines_of(request_id: str, *logs: Iterable[str]) -> list[Line]:
    """Return the first MOST_LINES of the request in each log, merged by time. What journalctl puts before
    each line is ignored."""
    found = (list(islice(_lines_of(request_id, log), MOST_LINES)) for log in logs)
    return list(merge(*found, key=attrgetter("time")))


def _lines_of(request_id: str, log: Iterable[str]) -> Iterator[Line]:
    traceback: _Traceback | None = None
    for raw in log:
        text = raw.rstrip("\n")[:LONGEST_READ]
        if traceback is not None and (line := traceback.line(text)) is not None:
            yield line
            continue
        found, traceback = _parsed(request_id, text) if request_id in text else ((), None)
        yield from found


class _Traceback:
    """The lines that may follow a line in text format: frames, the error, its cause. `prefix` is what
    precedes the line's own time, as in journalctl's output; digits in it may differ in the lines that
    follow."""

    def __init__(self, time: str, prefix: str) -> None:
        self._time = time
        self._prefix = DIGIT.sub("0", prefix)
        self._has_frames = self._has_error = False

    def line(self, text: str) -> Line | None:
        """Return the next line of the traceback; None for one that is not part of it."""
        offset = len(self._prefix)
        if STAMP.search(text) or DIGIT.sub("0", text[:offset]) != self._prefix:
            return None
        rest = text[offset:]
        return Line(self._time, TRACEBACK, rest[:LONGEST_LINE]) if self._is_part(rest) else None

    def _is_part(self, text: str) -> bool:
        if self._has_error:
            return text.startswith(CAUSE)
        if FRAME.match(text):
            self._has_frames = True
            return True
        self._has_error = self._has_frames and ERROR.fullmatch(text) is not None
        return self._has_error


def _parsed(request_id: str, text: str) -> tuple[Sequence[Line], _Traceback | None]:
    """Return the record's lines, and its traceback if that may follow on lines of its own."""
    if (start := text.find('{"time":')) >= 0:
        return _from_json(request_id, text[start:]), None
    found = TEXT_LINE.search(text)
    if found is None or found["id"] != request_id or found["level"].lower() not in LEVELS:
        return (), None
    line = Line(found["time"], found["level"].lower(), found["message"][:LONGEST_LINE])
    return (line,), _Traceback(line.time, text[: found.start()])


def _from_json(request_id: str, text: str) -> Sequence[Line]:
    try:
        record = orjson.loads(text)
    except ValueError:
        return ()
    if record.get("request_id") != request_id or record.get("level") not in LEVELS:
        return ()
    time = str(record.get("time", ""))
    traceback = str(record.get("traceback") or "").splitlines()
    return (
        Line(time, record["level"], str(record.get("message", ""))[:LONGEST_LINE]),
        *(Line(time, TRACEBACK, line[:LONGEST_LINE]) for line in traceback),
    )
