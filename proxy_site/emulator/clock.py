"""The emulator's clock, by which tokens expire and quotas reset."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The time in seconds since the epoch. ``frozen_at`` stops it; ``advance`` moves it forward or back."""

    def __init__(self, frozen_at: float | None = None) -> None:
        self._frozen_at = frozen_at
        self._ahead_seconds = 0.0

    def now(self) -> float:
        base = time.time() if self._frozen_at is None else self._frozen_at
        return base + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        self._ahead_seconds += seconds


def as_timestamp(seconds: float) -> str:
    """Format a time in RFC 3339, in UTC with whole seconds, as in quotaInfo.resetTime:
    2026-03-01T17:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_go_duration(seconds: float) -> str:
    """Format a duration as in quotaResetDelay: 2h3m4.179915352s, and 754.431528ms below one second."""
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{left:.9f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{minutes:.0f}m{text}"
    return f"{hours:.0f}h{text}" if hours else text
