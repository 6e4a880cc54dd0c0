"""Which of several accounts sends the next request. Pure functions over plain values.

All three strategies agree on what comes first, and differ only in the last step:

1. Accounts above their quota threshold, and not about to run dry, come before those that are not.
2. Of these, the lowest number in the operator's `priority` comes first.
3. The account that sent the conversation's last turn stays with it: Google's prompt cache is its own.
4. The strategy decides: sticky, round-robin or hybrid.

Nothing here refuses: with one candidate left, it is taken, whatever its health.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEALTH_AT_START = 70.0
HEALTH_MAX = 100.0
HEALTH_RECOVERY_PER_HOUR = 10.0
BUCKET_SIZE = 50.0
BUCKET_REFILL_PER_MINUTE = 6.0
FRESH_SECONDS = 300.0
RUNS_DRY_SECONDS = 120.0
"""An account that its forecast gives less than this is kept in reserve while another has more."""

WEIGHT_HEALTH = 2.0
WEIGHT_TOKENS = 5.0
WEIGHT_QUOTA = 3.0
WEIGHT_IDLE = 0.1
MAX_IDLE_SECONDS = 3600.0
UNKNOWN_QUOTA_SCORE = 50.0
STALE_QUOTA_FACTOR = 0.9


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that could send now. Times are seconds since the epoch, fractions 0 to 1."""

    id: int
    priority: int = 0
    last_used_at: float = 0.0
    health: float = HEALTH_AT_START
    tokens: float = BUCKET_SIZE
    """What is left in its bucket: a measure of how much it was used lately."""
    remaining: float | None = None
    """What Google said is left of the quota; None when it does not say."""
    remaining_seen_at: float = 0.0
    threshold: float = 0.0
    runs_dry_at: float | None = None


def choose(
    strategy: str, candidates: Sequence[Candidate], affinity: int | None, previous: int | None, now: float
) -> Candidate:
    """`affinity`: who sent the conversation's last turn; `previous`: who sent the last request of any."""
    ready = [candidate for candidate in candidates if has_reserve(candidate, now)] or candidates
    best_priority = min(candidate.priority for candidate in ready)
    first = [candidate for candidate in ready if candidate.priority == best_priority]
    for candidate in first:
        if candidate.id == affinity:
            return candidate
    return STRATEGIES[strategy](first, previous, now)


def has_reserve(candidate: Candidate, now: float) -> bool:
    """False at or below the threshold by a fresh reading, or when the forecast gives it only moments."""
    if candidate.runs_dry_at is not None and candidate.runs_dry_at - now < RUNS_DRY_SECONDS:
        return False
    if candidate.remaining is None or not _is_fresh(candidate, now):
        return True
    return candidate.remaining > candidate.threshold


def sticky(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """Stay with the account that was used last, else take the first."""
    return next((candidate for candidate in candidates if candidate.id == previous), candidates[0])


def round_robin(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """The one after the last, in order of their ids."""
    ordered = sorted(candidates, key=lambda candidate: candidate.id)
    return next((one for one in ordered if previous is not None and one.id > previous), ordered[0])


def hybrid(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """The highest score; of equals the first."""
    return max(candidates, key=lambda candidate: score(candidate, now))


def score(candidate: Candidate, now: float) -> float:
    """Health, spare capacity, quota and idleness in one number; at most 200 + 500 + 300 + 360."""
    idle_seconds = min(max(now - candidate.last_used_at, 0.0), MAX_IDLE_SECONDS)
    return (
        candidate.health * WEIGHT_HEALTH
        + candidate.tokens / BUCKET_SIZE * 100 * WEIGHT_TOKENS
        + _quota_score(candidate, now) * WEIGHT_QUOTA
        + idle_seconds * WEIGHT_IDLE
    )


def _quota_score(candidate: Candidate, now: float) -> float:
    if candidate.remaining is None:
        return UNKNOWN_QUOTA_SCORE
    percent = candidate.remaining * 100
    return percent if _is_fresh(candidate, now) else percent * STALE_QUOTA_FACTOR


def _is_fresh(candidate: Candidate, now: float) -> bool:
    return now - candidate.remaining_seen_at < FRESH_SECONDS


STRATEGIES: dict[str, Callable[[Sequence[Candidate], int | None, float], Candidate]] = {
    "sticky": sticky,
    "round-robin": round_robin,
    "hybrid": hybrid,
}


# How health and bucket change


@dataclass(frozen=True, slots=True)
class AccountScore:
    """How an account has fared lately. `at` is when these numbers were true, seconds since the epoch."""

    health: float = HEALTH_AT_START
    tokens: float = BUCKET_SIZE
    at: float = 0.0

    def advanced(self, now: float) -> AccountScore:
        """With what time alone has mended; a clock that jumps back mends nothing."""
        seconds = max(now - self.at, 0.0)
        health = self.health
        if health < HEALTH_MAX and self.at:
            health = min(health + seconds / 3600 * HEALTH_RECOVERY_PER_HOUR, HEALTH_MAX)
        tokens = min(self.tokens + seconds / 60 * BUCKET_REFILL_PER_MINUTE, BUCKET_SIZE)
        return AccountScore(health, tokens, now)

    def changed(self, now: float, *, health: float = 0.0, tokens: float = 0.0) -> AccountScore:
        current = self.advanced(now)
        return AccountScore(
            min(max(current.health + health, 0.0), HEALTH_MAX),
            min(max(current.tokens + tokens, 0.0), BUCKET_SIZE),
            now,
        )
