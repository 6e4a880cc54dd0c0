"""The state of the pool that changes with each request, in the memory of one process.

The pool reads it, decides, and applies the decision with one call (`claim`), which checks again what another
process may have changed. A store shared by several processes needs the same attributes and methods, each of
them atomic. Accounts, model lists and measured quotas are not part of it: each process reads them from the
database.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from accounts.pool.cooldowns import Cooldowns
from accounts.pool.rate_limits import RateLimits
from accounts.pool.strategies import AccountScore

if TYPE_CHECKING:
    from collections.abc import Callable

CONVERSATIONS_REMEMBERED = 10_000


class MemoryState:
    """Requests in flight, last use and score by account id, the account of each conversation, cooldowns,
    backoffs, and the use of learned limits. `now` returns seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.cooldowns = Cooldowns(now)
        self.rate_limits = RateLimits(now)
        self.in_flight: dict[int, int] = {}
        """The number of requests in flight by account id; accounts without one are missing."""
        self.last_used: dict[int, float] = {}
        self.previous: int | None = None
        """The account that was leased last."""
        self._newly_used: dict[int, float] = {}
        self._conversations: OrderedDict[str, int] = OrderedDict()
        self._scores: dict[int, AccountScore] = {}

    def score(self, account_id: int, now: float) -> AccountScore:
        """Return health and bucket tokens at `now`, as the hybrid strategy uses them."""
        return self._scores.get(account_id, _NEW).changed(now)

    def change_score(self, account_id: int, now: float, *, health: float = 0.0, tokens: float = 0.0) -> None:
        score = self._scores.get(account_id, _NEW)
        self._scores[account_id] = score.changed(now, health=health, tokens=tokens)

    def account_of(self, conversation: str) -> int | None:
        """Return the id of the account that was leased last for the conversation; None when there is none."""
        return self._conversations.get(conversation)

    def claim(self, account_id: int, conversation: str, limit: int, now: float) -> bool:
        """Count one more request in flight. Returns False when the account already has `limit` of them."""
        in_flight = self.in_flight.get(account_id, 0)
        if in_flight >= limit:
            return False
        self.in_flight[account_id] = in_flight + 1
        self.last_used[account_id] = now
        self._newly_used[account_id] = now
        self.previous = account_id
        self.change_score(account_id, now, tokens=-1)
        if conversation:
            known = conversation in self._conversations
            self._conversations[conversation] = account_id
            if known:
                self._conversations.move_to_end(conversation)
            elif len(self._conversations) > CONVERSATIONS_REMEMBERED:
                self._conversations.popitem(last=False)
        return True

    def release(self, account_id: int) -> None:
        left = self.in_flight.pop(account_id, 0) - 1
        if left > 0:
            self.in_flight[account_id] = left

    def take_last_used(self) -> dict[int, float]:
        """Return the times of last use of the accounts claimed since the previous call, by account id."""
        taken, self._newly_used = self._newly_used, {}
        return taken


_NEW = AccountScore()
