"""Parsing of points in time (7d, 36h, 90m, 2026-11-24, 2026-11-24T13:45) and of lengths (10s, 1.5m)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"([0-9]{1,6})([smhdw])")
LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smh]?)")
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)


class NotATime(ValueError):
    """Raised for a text that is neither a time nor a length of time; the message lists the accepted forms."""


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time in UTC; a text without a zone is in that of `now`. Raises NotATime."""
    text = text.strip()
    if text == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    if ago := AGO.fullmatch(text):
        try:
            return max(EARLIEST, now - timedelta(**{UNITS[ago[2]]: int(ago[1])}))
        except OverflowError:
            return EARLIEST
    try:
        at = datetime.fromisoformat(text)
        at = (at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)).astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or not EARLIEST <= at < LATEST:
        raise NotATime(
            f"{text[:50]!r} is no point in time: write 30m, 24h, 7d, today, 2026-11-24 or 2026-11-24T13:45."
        )
    return at


def parse_seconds(text: str) -> float:
    """Return the length of time in seconds; a number without a unit is one of seconds. Raises NotATime."""
    length = LENGTH.fullmatch(text.strip())
    if length is None:
        raise NotATime(f"{text[:50]!r} is no length of time: write 10, 10s, 1.5m or 1h.")
    return timedelta(**{UNITS[length[2] or "s"]: float(length[1])}).total_seconds()
