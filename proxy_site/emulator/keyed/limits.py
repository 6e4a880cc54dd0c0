"""The limits of a key or a group of keys per minute and per day. Each model is counted separately."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

LimitName = Literal["requests_per_minute", "input_tokens_per_minute", "requests_per_day"]
LIMITS: tuple[LimitName, ...] = ("requests_per_minute", "input_tokens_per_minute", "requests_per_day")

PACIFIC = ZoneInfo("America/Los_Angeles")
"""The zone in which Google's days end at midnight (ai.google.dev/gemini-api/docs/rate-limits)."""


@dataclass(frozen=True)
class Exceeded:
    """A limit that a request would exceed. ``resets_at`` is in seconds since the epoch."""

    name: LimitName
    limit: int
    resets_at: float


@dataclass
class Limits:
    """The limits and their use. A limit of None is no limit, and 0 offers nothing. Windows are whole minutes
    and days of the clock."""

    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    used: dict[tuple[LimitName, str, float], int] = field(default_factory=dict)
    """The use by limit, model and end of the window."""

    def exceeded(self, model: str, tokens: int, now: float) -> list[Exceeded]:
        """Return the limits that a request with this many tokens would exceed, the longest one last."""
        found = []
        for name in LIMITS:
            limit = getattr(self, name)
            if limit is not None and self._used(name, model, now) + _cost(name, tokens) > limit:
                found.append(Exceeded(name, limit, window_end(name, now)))
        return found

    def count(self, model: str, tokens: int, now: float) -> None:
        self.used = {window: count for window, count in self.used.items() if window[2] > now}
        for name in LIMITS:
            window = (name, model, window_end(name, now))
            self.used[window] = self.used.get(window, 0) + _cost(name, tokens)

    def remaining(self, name: LimitName, model: str, now: float) -> int | None:
        limit: int | None = getattr(self, name)
        return None if limit is None else max(0, limit - self._used(name, model, now))

    def _used(self, name: LimitName, model: str, now: float) -> int:
        return self.used.get((name, model, window_end(name, now)), 0)


def _cost(name: LimitName, tokens: int) -> int:
    return tokens if name == "input_tokens_per_minute" else 1


def window_end(name: LimitName, now: float) -> float:
    """Return the end of the minute, or the next midnight in California."""
    if name != "requests_per_day":
        return (now // 60 + 1) * 60
    tomorrow = datetime.fromtimestamp(now, PACIFIC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), PACIFIC).timestamp()
