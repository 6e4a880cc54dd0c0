"""Points in time as people write them: 7d, 36h, 90m, 2026-11-24, 2026-11-24T13:45. UTC if they say none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"(\d{1,6})([smhdw])")


class NotATime(ValueError):
    """The text is a sentence that says what would be."""


def moment(text: str, now: datetime) -> datetime:
    """Raises NotATime."""
    text = text.strip()
    if text == "today":
        return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if ago := AGO.fullmatch(text):
        try:
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise NotATime(
            f"{text[:50]!r} is no point in time: write 30m, 24h, 7d, today, 2026-11-24 or 2026-11-24T13:45."
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
