"""Log formats: text, coloured on a terminal, or one JSON object a line.

All log records pass through these formatters, which remove secrets, prompts and control characters.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
import traceback
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.core.signals import setting_changed
from django.db import DatabaseError
from django.dispatch import receiver
from msgspec import Struct

from accounts.values.sanitize import escape_controls
from gateway.telemetry.request_ids import current_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
HIDDEN = "[hidden]"
# Google's tokens, codes, keys and client secrets; clients' keys; encrypted credentials; set-up links.
SECRETS = re.compile(
    r"ya29\.[\w.-]+|1//[\w-]{8,}|4/[\w-]{16,}|GOCSPX-[\w-]+|AIza[\w-]{20,}|sk-[\w-]{16,}|gAAAA[\w=-]{20,}"
    r"|(?<=/set-up/)[^/\s]+"
    r"|(?ai:(?<=bearer )|(?<=basic ))[\w.~+/=-]{4,}"
    r"|(?ai:(?<=refresh_token=)|(?<=access_token=)|(?<=client_secret=)|(?<=password=)|(?<=code=))[^\s&\"']+"
)
SIGNS_OF_SECRETS = (
    "ya29.", "1//", "4/", "gocspx-", "aiza", "sk-", "gaaaa", "/set-up/", "bearer ", "basic ",
    "_token=", "_secret=", "password=", "code=",
)  # fmt: skip
"""Parts, in lower case, of every text that SECRETS matches. Looking for them is much faster."""
SETTINGS_WITH_SECRETS = ("AUTH_TOKEN", "WEBUI_PASSWORD", "OAUTH_CLIENT_SECRET", "SECRET_KEY")
SHORTEST_SECRET = 8
"""A shorter value of a setting is not hidden, since it may be a common word."""
QUOTABLE_ERRORS = (OSError, DatabaseError, ImportError, MemoryError, RecursionError)
"""Errors whose messages describe the machine. Messages of other errors may quote the value that caused
them."""


def formatter(log_format: str, stream: str) -> logging.Formatter:
    """Return the formatter for LOG_FORMAT; `stream` is "stdout" or "stderr"."""
    if log_format == "json":
        return JsonFormatter()
    # https://no-color.org
    return TextFormatter(is_coloured=getattr(sys, stream).isatty() and not os.environ.get("NO_COLOR"))


def redacted(text: str) -> str:
    lower = text.lower()
    for sign in SIGNS_OF_SECRETS:
        if sign in lower:
            text = SECRETS.sub(HIDDEN, text)
            break
    for secret in _own_secrets():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


@functools.cache
def _own_secrets() -> list[str]:
    secrets = (getattr(settings, name, "") for name in SETTINGS_WITH_SECRETS)
    return [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]


@receiver(setting_changed)
def forget_settings(**_: object) -> None:
    """Read the settings again, because one has been set since the start."""
    _own_secrets.cache_clear()
    _local_time.cache_clear()


class RequestIdFilter(logging.Filter):
    """Sets the request id on each record, which may be formatted in another context later."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = current_request_id.get()
        return True


class BelowWarning(logging.Filter):
    """Passes records for standard output; the others go to standard error."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.WARNING


class Line(Struct):
    """A line that is safe to show: redacted, without control characters."""

    at: float
    """The time in seconds since the epoch."""
    level: str
    """The level by logging's name, such as "INFO"."""
    logger: str
    request_id: str
    text: str
    facts: Callable[[], dict[str, Any]] | None = None
    """Returns the facts of an ended request; None for other lines."""
    traceback: str = ""


class SafeFormatter(ABC, logging.Formatter):
    """Base of the formatters, which only write what may be shown."""

    @abstractmethod
    def text_of(self, line: Line) -> str:
        """Return the line as it is written, without its end."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "request", None)
        return self.text_of(
            Line(
                record.created,
                record.levelname,
                record.name,
                _request_id(record),
                safe_message(record),
                (lambda: facts) if isinstance(facts, dict) else None,
                safe_traceback(record),
            )
        )


def safe_message(record: logging.LogRecord) -> str:
    """Return the message in a form that is safe to show. It is made once and kept on the record, since
    several handlers show it."""
    safe = getattr(record, "safe_message", None)
    if safe is None:
        safe = record.safe_message = escape_controls(redacted(record.getMessage()))
    return str(safe)


def safe_traceback(record: logging.LogRecord) -> str:
    """Return the traceback, with the error's message only where it cannot contain a part of a prompt."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    error = record.exc_info[1]
    lines = traceback.format_tb(error.__traceback__)
    lines.append(_last_line(error, is_in_request=bool(_request_id(record))))
    if error.__cause__ is not None:
        lines.append(f"caused by {_last_line(error.__cause__, is_in_request=bool(_request_id(record)))}")
    return "\n".join(escape_controls(redacted(line)) for text in lines for line in text.rstrip().split("\n"))


class TextFormatter(SafeFormatter):
    """Writes lines such as: 2026-11-24 13:45:01.123 CET INFO    req_1f… what happened"""

    def __init__(self, *, is_coloured: bool) -> None:
        super().__init__()
        self._is_coloured = is_coloured

    def text_of(self, line: Line) -> str:
        milliseconds = round(line.at * 1_000_000) // 1000
        date, zone = _local_time(milliseconds // 1000)
        level = line.level.ljust(7)
        if self._is_coloured and line.level in COLOURS:
            level = f"\x1b[{COLOURS[line.level]}m{level}\x1b[0m"
        request = f"{line.request_id}: " if line.request_id else ""
        text = f"{date}.{str(milliseconds)[-3:]} {zone} {level} {request}{line.text}"
        return f"{text}\n{line.traceback}" if line.traceback else text


class JsonFormatter(SafeFormatter):
    """Writes one JSON object for each line, with time, level, logger and message, and, where they exist,
    request_id, request (the facts of an ended request) and traceback."""

    def text_of(self, line: Line) -> str:
        shown: dict[str, Any] = {
            "time": datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds"),
            "level": line.level.lower(),
            "logger": line.logger,
            "message": line.text,
        }
        if line.request_id:
            shown["request_id"] = line.request_id
        if line.facts is not None:
            shown["request"] = {
                name: redacted(value) if isinstance(value, str) else value
                for name, value in line.facts().items()
            }
        if line.traceback:
            shown["traceback"] = line.traceback
        return orjson.dumps(shown, default=str).decode()


@functools.lru_cache(maxsize=16)
def _local_time(seconds: int) -> tuple[str, str]:
    """Return date and time, and the zone's name. They are cached, since they are the same for all lines of a
    second."""
    at = datetime.fromtimestamp(seconds, settings.LOCAL_TIME_ZONE)
    return f"{at:%Y-%m-%d %H:%M:%S}", f"{at:%Z}"


def _request_id(record: logging.LogRecord) -> str:
    return str(getattr(record, "request_id", ""))


def _last_line(error: BaseException, *, is_in_request: bool) -> str:
    if is_in_request and not isinstance(error, QUOTABLE_ERRORS):
        return f"{type(error).__qualname__} (message left out: it may quote the request)"
    return "".join(traceback.format_exception_only(error)).rstrip()
