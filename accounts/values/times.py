"""Formatting of times for people: in the reader's zone, which is always named.

Commands and the log use the setting TZ or the machine's zone, pages the browser's. `minute` and `second` use
the zone that is active (`django.utils.timezone.override`).
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from django.utils import timezone


def minute(moment: datetime) -> str:
    """Return a time as text: 2026-11-24 15:59 CET."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"


def second(moment: datetime) -> str:
    """Return a time as text: 2026-11-24 15:59:47 CET."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


def clock(moment: float, now: float, zone: tzinfo = UTC) -> str:
    """Return the time of day, with the date when it is more than 20 hours away."""
    at = datetime.fromtimestamp(moment, zone)
    return at.strftime("%H:%M %Z" if moment - now < 20 * 3600 else "%d %b %H:%M %Z")


def clocks(moment: float, now: float, zone: tzinfo) -> str:
    """Return the time of day in `zone` and in UTC, or a single time when both are the same."""
    in_utc = clock(moment, now)
    is_utc = not datetime.fromtimestamp(moment, zone).utcoffset()
    return in_utc if is_utc else f"{clock(moment, now, zone)}, {in_utc}"


def in_words(seconds: float) -> str:
    """Return a duration in at most two units: 45 s, 3 min, 2 h 3 min, 4 d 2 h."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
