"""The log line of an ended request, the only line that each request causes.

The logging module would make a record of it, run filters, search the whole line for secrets and flush, in a
hundred function calls. Here the line is made safe beforehand (`safe`), each handler takes it unchanged, and
lines that come within WRITE_SECONDS are written to standard output together. The handlers below write waiting
lines before any other, so that the order is kept. If the root logger has a handler that cannot take such
lines, the logging module gets the line.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from django.core.signals import setting_changed
from django.dispatch import receiver

from accounts.values.sanitize import escape_controls
from gateway.telemetry.log_format import Line, SafeFormatter, redacted
from gateway.telemetry.request_ids import current_request_id

if TYPE_CHECKING:
    from collections.abc import Callable


KEPT_TEXTS = 256
WRITE_SECONDS = 0.02


@functools.lru_cache(maxsize=KEPT_TEXTS)
def safe(text: str) -> str:
    """Redact a text and escape its control characters. Results are kept, for texts that recur, such as names
    of models."""
    return escape_controls(redacted(text))


@receiver(setting_changed)
def forget_safe_texts(**_: object) -> None:
    safe.cache_clear()


def log_request(logger: logging.Logger, text: str, facts: Callable[[], dict[str, Any]]) -> None:
    """Log a line at level info, whose text is safe already. `facts` returns the request as JSON values."""
    takers = _takers(*logging.root.handlers)
    if not takers:
        logger.info(text, extra={"request": facts()})
        return
    line = Line(time.time(), "INFO", logger.name, current_request_id.get(), text, facts)
    for handler in takers:
        handler.take(line)


@functools.lru_cache(maxsize=1)
def _takers(*handlers: logging.Handler) -> list[TakesRequestLines]:
    """Return the handlers that show such lines, if all of them take those; else an empty list."""
    showing = [handler for handler in handlers if not isinstance(handler, StandardError)]
    takers: list[TakesRequestLines] = [
        handler for handler in showing if isinstance(handler, TakesRequestLines)
    ]
    return takers if len(takers) == len(showing) else []


@runtime_checkable
class TakesRequestLines(Protocol):
    """A handler that takes lines without a record."""

    def take(self, line: Line) -> None: ...


class StandardOutput(logging.StreamHandler[Any]):
    """Writes to standard output. Lines of requests are buffered for at most WRITE_SECONDS."""

    formatter: SafeFormatter

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self._waiting: list[str] = []

    def take(self, line: Line) -> None:
        is_first = not self._waiting
        self._waiting.append(self.formatter.text_of(line))
        if is_first:
            try:
                asyncio.get_running_loop().call_later(WRITE_SECONDS, self.flush)
            except RuntimeError:  # no loop is running
                self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        self._write_waiting()
        super().emit(record)

    def flush(self) -> None:
        """Write the waiting lines. The logging module also calls this at the end of the process."""
        with self.lock or nullcontext():
            self._write_waiting()
            self.stream.flush()

    def _write_waiting(self) -> None:
        lines, self._waiting = self._waiting, []
        for line in lines:
            try:
                self.stream.write(line + self.terminator)
            except Exception:  # as for any other line, the request goes on without it
                self.handleError(logging.makeLogRecord({"msg": line}))


class StandardError(logging.StreamHandler[Any]):
    """Writes warnings and errors to standard error, but no lines of requests."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        for handler in logging.root.handlers:
            if isinstance(handler, StandardOutput):
                handler.flush()
        super().emit(record)
