"""Lines of one request in a log, in either format (`gateway/telemetry/log_format.py`)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_LINES = 500
LONGEST_LINE = 4_000
LEVELS = ("info", "warning", "error", "critical")
"""Not debug: it has the structure of requests, with names of tools."""
TEXT_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+) +(?:\x1b\[[\d;]*m)?(?P<level>[A-Z]+) *(?:\x1b\[0m)?"
    r" +(?P<id>[\w-]{1,64}): (?P<message>.*)"
)
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")
FRAME = re.compile(r'  File "|    |[\w.]+(?:Error|Exception|Warning|Timeout)\b|caused by ')
"""A line of a traceback."""


class Line(NamedTuple):
    time: str
    level: str
    message: str


def lines_of(request_id: str, log: Iterable[str]) -> list[Line]:
    """The first MOST_LINES of the request. What journalctl puts before each line is ignored."""
    return list(islice(_lines_of(request_id, log), MOST_LINES))


def _lines_of(request_id: str, log: Iterable[str]) -> Iterator[Line]:
    is_ours = False
    for raw in log:
        text = raw.rstrip("\n")[:LONGEST_LINE]
        if is_ours and not STAMP.search(text) and FRAME.match(text):
            yield Line("", "traceback", text)
            continue
        line = _parsed(request_id, text) if request_id in text else None
        is_ours = line is not None
        if line is not None:
            yield line


def _parsed(request_id: str, text: str) -> Line | None:
    if (start := text.find('{"time":')) >= 0:
        return _from_json(request_id, text[start:])
    found = TEXT_LINE.search(text)
    if found is None or found["id"] != request_id or found["level"].lower() not in LEVELS:
        return None
    return Line(found["time"], found["level"].lower(), found["message"])


def _from_json(request_id: str, text: str) -> Line | None:
    try:
        line = orjson.loads(text)
    except ValueError:
        return None
    if line.get("request_id") != request_id or line.get("level") not in LEVELS:
        return None
    message = "\n".join(str(line[name]) for name in ("message", "traceback") if line.get(name))
    return Line(str(line.get("time", "")), line["level"], message)
