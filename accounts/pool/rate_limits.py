"""Limits per minute that providers have named, and their use in the last minute. Pure: the clock is an
argument.

Providers of keys do not tell their limits when asked. The limits are learned from errors, and forgotten when
the server stops. Requests are counted as they are sent, and input tokens when the answer has reported them.
So a limit is rarely exceeded: a request waits or goes to another account instead of being refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accounts.failures import FailureKind
from accounts.pool.cooldowns import ActiveCooldown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from accounts.failures import QuotaLimit

    Key = tuple[int | str, str]
    """The owner of the limit, which is an account's id or the name of a quota group, and a model key."""

WINDOW_SECONDS = 60.0
COUNTED = ("requests", "input_tokens")
NAMES = {"requests": "requests", "input_tokens": "input tokens"}
FORGET_AFTER_SECONDS = 24 * 3600.0
"""A limit that was not named again for this long is forgotten, because it may have been raised."""


@dataclass(slots=True)
class _Use:
    """The limit of one subject, and the amounts of the last minute with their times, oldest first."""

    limit: int
    learned_at: float
    amounts: deque[tuple[float, int]] = field(default_factory=deque)
    sum: int = 0

    def add(self, now: float, amount: int) -> None:
        self.forget_before(now - WINDOW_SECONDS)
        self.amounts.append((now, amount))
        self.sum += amount

    def forget_before(self, moment: float) -> None:
        while self.amounts and self.amounts[0][0] <= moment:
            self.sum -= self.amounts.popleft()[1]

    def full_until(self, now: float) -> float | None:
        """Return when there is room again; None when there is room now."""
        self.forget_before(now - WINDOW_SECONDS)
        left = self.sum
        for at, amount in self.amounts if left >= self.limit else ():
            left -= amount
            if left < self.limit:
                return at + WINDOW_SECONDS
        return None


class RateLimits:
    """Counts the use of what has a limit, and of nothing else."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.uses: dict[Key, dict[str, _Use]] = {}
        """The use by key and subject. Empty until a limit is known, so that callers can skip the rest."""

    def learn(self, key: Key, limits: Iterable[QuotaLimit]) -> None:
        """Note those of the limits that are per minute; of several for one subject the smallest."""
        named: dict[str, int] = {}
        for one in limits:
            if one.period == "minute" and one.subject in COUNTED and one.value:
                named[one.subject] = min(one.value, named.get(one.subject, one.value))
        for subject, limit in named.items():
            use = self.uses.setdefault(key, {}).setdefault(subject, _Use(limit, self._now()))
            use.limit, use.learned_at = limit, self._now()

    def count(self, key: Key, **amounts: int) -> None:
        """Add the amounts that were used now, by subject."""
        for subject, use in self.uses.get(key, {}).items():
            if amount := amounts.get(subject):
                use.add(self._now(), amount)

    def cooldown(self, key: Key) -> ActiveCooldown | None:
        """Return the cooldown until there is room below each limit; None when there is room now."""
        uses = self.uses.get(key)
        if uses is None:
            return None
        now = self._now()
        self._forget_old(key, uses, now)
        full = [
            (until, subject) for subject, use in uses.items() if (until := use.full_until(now)) is not None
        ]
        if not full:
            return None
        until, subject = max(full)
        reason = f"learned limit of {uses[subject].limit:,} {NAMES[subject]} a minute"
        return ActiveCooldown(until, FailureKind.RATE_LIMIT, reason, now)

    def learned(self, key: Key) -> dict[str, int]:
        """Return the known limits per minute, by subject."""
        return {subject: use.limit for subject, use in self.uses.get(key, {}).items()}

    def learned_by_model(self, sharer: int | str) -> dict[str, dict[str, int]]:
        """Return the limits of an account or quota group, by model key and subject."""
        return {key[1]: self.learned(key) for key in self.uses if key[0] == sharer}

    def _forget_old(self, key: Key, uses: dict[str, _Use], now: float) -> None:
        for subject in [one for one, use in uses.items() if now - use.learned_at > FORGET_AFTER_SECONDS]:
            del uses[subject]
        if not uses:
            del self.uses[key]
