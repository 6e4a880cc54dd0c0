"""The newest log lines in memory, for pages that are opened after something has happened.

ring.lines()     # oldest first, at most MOST_LINES
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from gateway.telemetry.log_format import Line, RequestIdFilter, safe_message, safe_traceback
from gateway.telemetry.noise import NoiseFilter

if TYPE_CHECKING:
    from gateway.telemetry.activity import Activity

MOST_LINES = 1_000
LONGEST_LINE = 4_000
"""The most characters of a line, including its traceback; the log itself has all of it."""


class LogLine(NamedTuple):
    """A line as it is in the log: redacted, without control characters. A traceback follows after a line
    break."""

    number: int
    """The number of the line in this process, from 1."""
    at: float
    """The time in seconds since the epoch."""
    level: str
    """The level: debug, info, warning, error or critical."""
    request_id: str
    text: str


class LogRing(logging.Handler):
    """Handler of the root logger: keeps the newest lines, and publishes each while a page listens."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity
        self._lines: deque[tuple[int, float, str, str, str]] = deque(maxlen=MOST_LINES)
        """The values of a LogLine for each line."""
        self._count = 0
        self.addFilter(RequestIdFilter())
        self.addFilter(NoiseFilter())

    def start(self) -> None:
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        logging.getLogger().removeHandler(self)

    def lines(self) -> list[LogLine]:
        self.acquire()
        try:
            return [LogLine(*line) for line in self._lines]
        finally:
            self.release()

    def take(self, line: Line) -> None:
        """Keep the line of a request, which is safe already."""
        with self.lock or nullcontext():
            self._count += 1
            kept = self._count, line.at, "info", line.request_id, line.text[:LONGEST_LINE]
            self._lines.append(kept)
            if self._activity.listeners_until:
                self._tell(LogLine(*kept), line.logger)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line_of(record)
        except Exception:
            self.handleError(record)
            return
        self._lines.append(line)
        self._tell(line, record.name)

    def _tell(self, line: LogLine, logger: str) -> None:
        if self._activity.has_listeners:
            self._activity.publish(
                "log",
                {
                    "at": line.at,
                    "number": line.number,
                    "level": line.level,
                    "logger": logger,
                    "request_id": line.request_id,
                    "message": line.text,
                },
            )

    def _line_of(self, record: logging.LogRecord) -> LogLine:
        self._count += 1
        text, traceback = safe_message(record), safe_traceback(record)
        text = f"{text}\n{traceback}" if traceback else text
        request_id = str(getattr(record, "request_id", ""))
        return LogLine(self._count, record.created, record.levelname.lower(), request_id, text[:LONGEST_LINE])
