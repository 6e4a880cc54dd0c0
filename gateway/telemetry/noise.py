"""Rate limit for log lines that unauthenticated callers cause, so that they cannot fill the disk: one a
minute for each network and MOST_LINES for all. The next line gives the number of those left out."""

from __future__ import annotations

import logging
import time
from traceback import walk_tb
from typing import TYPE_CHECKING

from accounts.values.caller_networks import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

LINE_EVERY_SECONDS = 60.0
MOST_LINES = 10
"""The most lines for all unauthenticated callers together, within LINE_EVERY_SECONDS."""
OURS = ("accounts", "gateway", "dashboard", "proxy_site")


class Budget:
    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._logged_at: dict[Hashable, float] = {}
        self._left_out = 0

    def spend(self, key: Hashable) -> str | None:
        """Return a suffix for the line, mostly empty; None when the line must be left out."""
        now = self._now()
        since = now - LINE_EVERY_SECONDS
        self._logged_at = {known: at for known, at in self._logged_at.items() if at > since}
        if key in self._logged_at or len(self._logged_at) >= MOST_LINES:
            self._left_out += 1
            return None
        self._logged_at[key] = now
        left_out, self._left_out = self._left_out, 0
        return f" ({left_out} more since the last line like this)" if left_out else ""

    def forget(self) -> None:
        self._logged_at, self._left_out = {}, 0


unauthenticated = Budget()
libraries = Budget()


def log_unauthenticated(
    logger: logging.Logger, level: int, address: str, message: str, *arguments: object
) -> None:
    """Log a line caused by the unauthenticated caller at `address`, within the budget."""
    if logger.isEnabledFor(level) and (more := unauthenticated.spend(network_of(address))) is not None:
        logger.log(level, f"{message}%s", *arguments, more)


class NoiseFilter(logging.Filter):
    """Handler filter for records of libraries. Our own lines are few, or go through `log_unauthenticated`.

    Each record is judged once, and has the same result at every handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        passes = getattr(record, "passes_noise_filter", None)
        if passes is None:
            passes = record.passes_noise_filter = self._passes(record)
        return bool(passes)

    def _passes(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in OURS:
            return True
        request = getattr(record, "request", None)
        if request is not None and record.levelno < logging.ERROR:
            more = unauthenticated.spend(network_of(str(request.META.get("REMOTE_ADDR", ""))))
        else:
            more = libraries.spend(_place(record))
        if more:
            record.msg, record.args = f"{record.getMessage()}{more}", ()
        return more is not None


def _place(record: logging.LogRecord) -> tuple[str, int]:
    """Return where the error was raised, or the line was logged: records of one place count as one kind."""
    places = [(record.pathname, record.lineno)]
    if record.exc_info:
        places += [(frame.f_code.co_filename, line) for frame, line in walk_tb(record.exc_info[2])]
    return places[-1]
