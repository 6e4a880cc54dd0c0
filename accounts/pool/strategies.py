"""Selection strategies: which of several accounts sends the next request. Pure functions over plain values.

All three strategies share the first steps and differ only in the last:

1. Accounts above their quota threshold, whose quota is not about to be empty, come before the others.
2. Of these, the lowest number in the operator's `priority` comes first.
3. Of these, accounts that cost nothing come before paid ones.
4. The account that sent the conversation's last turn is kept: the provider's prompt cache belongs to it.
5. The strategy decides: sticky, round-robin or hybrid.

The selection never fails: a single candidate is taken, whatever its health.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEALTH_AT_START = 70.0
HEALTH_MAX = 100.0
HEALTH_RECOVERY_PER_HOUR = 10.0
BUCKET_SIZE = 50.0
BUCKET_REFILL_PER_MINUTE = 6.0
FRESH_SECONDS = 300.0
RESERVE_SECONDS = 120.0
"""An account whose quota will be empty sooner than this is kept in reserve while another has more."""

WEIGHT_HEALTH = 2.0
WEIGHT_TOKENS = 5.0
WEIGHT_QUOTA = 3.0
WEIGHT_IDLE = 0.1
MAX_IDLE_SECONDS = 3600.0
UNKNOWN_QUOTA_SCORE = 50.0
STALE_QUOTA_FACTOR = 0.9


@dataclass(slots=True)
class Candidate:
    """An account that can be leased now. Times are seconds since the epoch, fractions 0 to 1."""

    id: int
    priority: int = 0
    cost_rank: int = 0
    """The order within a priority: 0 for accounts that cost nothing, or when costs do not matter; 1 for paid
    ones."""
    last_used_at: float = 0.0
    health: float = HEALTH_AT_START
    """The health, which like `tokens` is used only by the strategy hybrid."""
    tokens: float = BUCKET_SIZE
    """Tokens left in the account's bucket: one is taken per lease, BUCKET_REFILL_PER_MINUTE come back."""
    remaining: float | None = None
    """The remaining fraction of the quota that Google reported; None when it reported none."""
    remaining_seen_at: float = 0.0
    threshold: float = 0.0
    empty_at: float | None = None
    """When the quota will be empty by its forecast; None when it outlasts its reset, or is unknown."""

    @property
    def rank(self) -> tuple[int, int]:
        return self.priority, self.cost_rank


def choose(
    strategy: str, candidates: Sequence[Candidate], affinity: int | None, previous: int | None, now: float
) -> Candidate:
    """Choose an account. `affinity` is the id of the account that sent the conversation's last turn,
    `previous` that of the account that sent the last request of all."""
    ready = [candidate for candidate in candidates if has_reserve(candidate, now)] or candidates
    ranks = [(candidate.priority, candidate.cost_rank) for candidate in ready]
    best = min(ranks)
    first = [candidate for candidate, rank in zip(ready, ranks, strict=True) if rank == best]
    for candidate in first:
        if candidate.id == affinity:
            return candidate
    return STRATEGIES[strategy](first, previous, now)


def has_reserve(candidate: Candidate, now: float) -> bool:
    """Return False at or below the threshold, if measured less than FRESH_SECONDS ago, or when the quota will
    be empty within RESERVE_SECONDS."""
    if candidate.empty_at is not None and candidate.empty_at - now < RESERVE_SECONDS:
        return False
    if candidate.remaining is None or candidate.remaining > candidate.threshold:
        return True
    return not _is_fresh(candidate, now)


def sticky(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """Choose the account that was used last, else the first."""
    return next((candidate for candidate in candidates if candidate.id == previous), candidates[0])


def round_robin(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """Choose the account after the previous one, in order of ids."""
    ordered = sorted(candidates, key=lambda candidate: candidate.id)
    return next((one for one in ordered if previous is not None and one.id > previous), ordered[0])


def hybrid(candidates: Sequence[Candidate], previous: int | None, now: float) -> Candidate:
    """Choose the account with the highest score, the first one of equals."""
    return max(candidates, key=partial(score, now=now))


def score(candidate: Candidate, now: float) -> float:
    """Return the weighted sum of health, tokens, quota and idle time; at most 200 + 500 + 300 + 360."""
    idle_seconds = now - candidate.last_used_at
    if not 0.0 <= idle_seconds <= MAX_IDLE_SECONDS:
        idle_seconds = 0.0 if idle_seconds < 0.0 else MAX_IDLE_SECONDS
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


# How health and tokens change


class AccountScore(Struct, frozen=True):
    """Health (0 to 100) and bucket tokens of an account at the time `at`, in seconds since the epoch."""

    health: float = HEALTH_AT_START
    tokens: float = BUCKET_SIZE
    at: float = 0.0

    def advanced(self, now: float) -> AccountScore:
        """Return the score at `now`, with what has recovered since `at`; nothing has when the clock was set
        back."""
        return self.changed(now)

    def changed(self, now: float, *, health: float = 0.0, tokens: float = 0.0) -> AccountScore:
        """Return the score at `now`, changed by these amounts. It runs twice for each request, so it does not
        call min and max."""
        seconds = now - self.at if now > self.at else 0.0
        in_health, in_tokens = self.health, self.tokens + seconds / 60 * BUCKET_REFILL_PER_MINUTE
        if in_health < HEALTH_MAX and self.at:
            in_health += seconds / 3600 * HEALTH_RECOVERY_PER_HOUR
        in_health = (HEALTH_MAX if in_health > HEALTH_MAX else in_health) + health  # noqa: FURB136
        in_tokens = (BUCKET_SIZE if in_tokens > BUCKET_SIZE else in_tokens) + tokens  # noqa: FURB136
        if not 0.0 <= in_health <= HEALTH_MAX:
            in_health = 0.0 if in_health < 0.0 else HEALTH_MAX
        if not 0.0 <= in_tokens <= BUCKET_SIZE:
            in_tokens = 0.0 if in_tokens < 0.0 else BUCKET_SIZE
        return AccountScore(in_health, in_tokens, now)
