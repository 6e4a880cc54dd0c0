"""One request on its way: what is sent, what was tried, and what the client hears when nothing is left."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, Overloaded, RateLimited, UpstreamFailed, UpstreamTimedOut
from gateway.explanations import Attempt, clock, in_words, sentence
from gateway.plain_text import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accounts.pool import Pool, PooledAccount, Waiter, Wanted
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.translation.request import TranslatedRequest
    from gateway.translation.upstream_model import UpstreamModel

logger = logging.getLogger(__name__)

# What is done after an attempt that failed
NEXT_ACCOUNT = "next account"
NEXT_ADDRESS = "next address"
SAME_ACCOUNT = "same account again"
TOLD_THE_CLIENT = "told the client"
SAME_QUESTION = "asked once more"

RETRY_BY_ITSELF_SECONDS = 60.0
"""Claude Code waits this long for a `retry-after` and gives up at once when it is longer."""
BUSY_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent for one upstream model, whichever account sends it."""

    request: MessagesRequest
    model: UpstreamModel
    translated: TranslatedRequest
    session_id: str
    """Google's name for the conversation."""


@dataclass(slots=True)
class Journey:
    """`attempts` is what became of each try, in order; the one under way is the last."""

    session_id: str
    """Google's name for the conversation."""
    conversation: str
    """Ours, which keeps it with one account."""
    started_at: float = field(default_factory=time.time)
    attempts: list[Attempt] = field(default_factory=list)
    accounts_given_up: int = 0
    """So often was another account looked for."""
    waited_seconds: float = 0.0
    """In the queue, for limits and pauses, all together."""
    stepped_in: bool = False
    """The answer comes from another model than the one asked for."""
    last_error: GatewayError | None = None
    capacity_hint_seconds: float | None = None
    """How long Google last said that the model will be without capacity."""
    waiter: Waiter | None = None
    """Its place in the queue, while it waits for an account."""
    on_failed_attempt: Callable[[Attempt], None] | None = None
    _waited_before: float = 0.0
    """How much of `waited_seconds` lies before the last attempt began."""

    @property
    def seconds(self) -> float:
        return time.time() - self.started_at

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around whatever makes the client wait for nothing but time."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.waited_seconds += time.monotonic() - started

    @property
    def attempt(self) -> Attempt:
        """The one under way."""
        return self.attempts[-1]

    def begin_attempt(self, account: PooledAccount, model_id: str) -> None:
        self.attempts.append(
            Attempt(
                account=account.label,
                email=account.email,
                model_id=model_id,
                started_at=time.time(),
                waited_seconds=self.waited_seconds - self._waited_before,
            )
        )
        self._waited_before = self.waited_seconds

    def end_attempt(self, reason: str, decision: str, *, back_at: float | None = None) -> None:
        """The one under way has failed. `decision` is what is done next."""
        attempt = self.attempt
        attempt.reason, attempt.decision, attempt.back_at = fitting(reason, 200), decision, back_at
        attempt.took_seconds = max(0.0, time.time() - attempt.started_at)
        self.accounts_given_up += decision == NEXT_ACCOUNT
        logger.warning("%s", attempt.for_operator())
        if self.on_failed_attempt is not None:
            self.on_failed_attempt(attempt)

    def given_up(self, plan: Plan, pool: Pool, wanted: Wanted) -> GatewayError:
        """What is over soonest speaks first: a pause of the model, busy accounts, an upstream that failed for
        no lasting reason, limits."""
        now = time.time()
        pause = pool.capacity_pause(wanted.model_key)
        if pause is not None:
            return Overloaded(
                f"{plan.model.listed_id} has no capacity at the moment, whichever account asks. "
                f"Next try in {in_words(pause.until - now)} ({clock(pause.until, now)}).",
                retry_after_seconds=pause.until - now,
            )
        attempts = [one for one in self.attempts if one.model_id == plan.model.listed_id]
        attempts += self._resting(pool, wanted, attempts)
        if busy := pool.busy(wanted):
            return RateLimited(_all_busy(busy, pool.waiting), retry_after_seconds=BUSY_RETRY_SECONDS)
        if isinstance(self.last_error, UpstreamFailed | UpstreamTimedOut) and pool.ready(wanted):
            return self._with_all_attempts(self.last_error, plan, attempts, now)
        returns = [attempt.back_at for attempt in attempts if attempt.back_at is not None]
        if returns:
            return self._limited(sentence(plan.model.listed_id, attempts, now), min(returns) - now)
        if self.last_error is None:
            return GatewayError("No account could be asked.")
        return self._with_all_attempts(self.last_error, plan, attempts, now)

    def _resting(self, pool: Pool, wanted: Wanted, attempts: list[Attempt]) -> list[Attempt]:
        """The accounts that were not asked because they are resting."""
        asked = {attempt.email for attempt in attempts}
        return [
            Attempt(account.label, account.email, wanted.model_id, resting.reason, resting.until)
            for account in pool.accounts
            if account.email not in asked
            and (resting := pool.cooldown(account, wanted.model_key)) is not None
            and resting.is_limit
        ]

    def _limited(self, text: str, wait_seconds: float) -> RateLimited:
        by_itself = None if wait_seconds <= RETRY_BY_ITSELF_SECONDS else False
        return RateLimited(text, retry_after_seconds=wait_seconds, should_retry=by_itself)

    def _with_all_attempts(
        self, error: GatewayError, plan: Plan, attempts: list[Attempt], now: float
    ) -> GatewayError:
        if len({attempt.account for attempt in attempts}) < 2:
            return error
        return type(error)(sentence(plan.model.listed_id, attempts, now))


def _all_busy(busy: list[PooledAccount], waiting: int) -> str:
    count = len(busy)
    accounts = "The account is" if count == 1 else f"All {count} accounts are"
    return f"{accounts} busy with as many requests as allowed, and {waiting} more wait."
