"""One request on its way: what is sent, what was tried, and what the client hears when nothing is left."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.values.sanitize import truncate
from gateway.errors import GatewayError, OperatorMustAct, Overloaded, RateLimited
from gateway.relay.error_messages import Attempt, next_try, sentence
from gateway.relay.error_policy import ACCOUNTS_PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from accounts.pool.pool import PooledAccount, Unavailable, Waiter
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.request.request import TranslatedRequest

logger = logging.getLogger(__name__)

RETRY_BY_ITSELF_SECONDS = 60.0
"""Claude Code waits this long for a `retry-after` and gives up at once when it is longer."""
BUSY_RETRY_SECONDS = 5.0
SHORT_BACKOFF_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """What is sent for one upstream model, whichever account sends it."""

    request: MessagesRequest
    model: UpstreamModel
    translated: TranslatedRequest
    session_id: str
    """Google's name for the conversation."""


@dataclass(slots=True)
class Learned:
    """What one request has learned about one model and the accounts that have it.

    Accounts at a limit are not kept here: the pool knows when they are back.
    """

    refused: set[int] = field(default_factory=set)
    """Ids of accounts that will not answer this request."""
    without_capacity: set[int] = field(default_factory=set)
    failed: list[int] = field(default_factory=list)
    """In passing: asked again when there is nobody else, the last one last."""
    last_error: GatewayError | None = None
    last_is_passing: bool = False
    has_no_capacity: bool = False
    """An account has told this request that the model has none."""
    has_waited_for_capacity: bool = False
    capacity_hint_seconds: float | None = None
    """How long Google last said that the model will be without capacity."""

    @property
    def for_good(self) -> set[int]:
        return self.refused | self.without_capacity

    def preferences(self) -> list[set[int]]:
        """Whom to exclude, in the order to try it."""
        if not self.failed:
            return [self.for_good]
        return [self.for_good.union(self.failed), self.for_good | {self.failed[-1]}, self.for_good]


@dataclass(slots=True)
class RequestContext:
    """`attempts` is what became of each try, in order; the one under way is the last."""

    session_id: str
    """Google's name for the conversation."""
    conversation: str
    """Ours, which keeps it with one account."""
    started_at: float = field(default_factory=time.time)
    attempts: list[Attempt] = field(default_factory=list)
    opened_at: float = field(default_factory=time.time)
    """When the answer was asked for; a structured answer may be asked for twice."""
    patience_seconds: float = math.inf
    """To the first content, where the settings allow more."""
    is_subagents: bool = False
    """What stands in the person's place in its messages was written by the assistant."""
    may_fall_back: bool = True
    """Another model may step in, if the setting FALLBACK allows it."""
    deadline: float = math.inf
    """When the first content must be there, in seconds since the epoch."""
    passing_failures: int = 0
    """Calls that failed for no lasting reason, on whichever account and address."""
    rounds: int = 0
    """So often was paused after such a failure."""
    kind: str = ""
    """Of the account that was asked last."""
    failed_bases: list[str] = field(default_factory=list)
    """Base URLs of those calls, in order."""
    waited_seconds: float = 0.0
    """In the queue, for limits and pauses, all together."""
    fallback: bool = False
    """The answer comes from another model than the one asked for."""
    unknown_models: set[str] = field(default_factory=set)
    """Names that no account's list and no route of the operator's has."""
    learned: dict[str, Learned] = field(default_factory=dict)
    """By model id."""
    waiter: Waiter | None = None
    """While it waits for an account."""
    on_failed_attempt: Callable[[Attempt], None] | None = None
    _waited_before: float = 0.0
    """How much of `waited_seconds` lies before the last attempt began."""

    @property
    def seconds(self) -> float:
        """Since the answer was asked for."""
        return time.time() - self.opened_at

    def open_again(self, longest_wait_seconds: float) -> None:
        """An answer is asked for; each gets its own time and rounds, and its model may be another one."""
        self.opened_at = time.time()
        self.deadline = self.opened_at + longest_wait_seconds
        self.rounds = 0
        self.fallback = False

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

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
        self.kind = account.kind
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

    def end_attempt(
        self, reason: str, decision: str, *, detail: str = "", back_at: float | None = None
    ) -> None:
        """The one under way has failed. `decision` is what is done next."""
        attempt = self.attempt
        attempt.reason, attempt.detail = truncate(reason, 200), detail
        attempt.decision, attempt.back_at = decision, back_at
        attempt.took_seconds = max(0.0, time.time() - attempt.started_at)
        logger.warning("%s", attempt.for_operator(settings.LOCAL_TIME_ZONE))
        if self.on_failed_attempt is not None:
            self.on_failed_attempt(attempt)

    def given_up(
        self, prepared: PreparedRequest, learned: Learned, why: Unavailable, *, busy: int, waiting: int
    ) -> GatewayError:
        """What is over soonest comes first: a backoff of the model, busy accounts, an upstream that failed
        for no lasting reason, limits. `busy`: so many accounts could answer, and all of them are busy."""
        now = why.now
        if why.backoff is not None:
            return _without_capacity(prepared.model.listed_id, why.backoff.until, now)
        if busy:
            return RateLimited(_all_busy(busy, waiting), retry_after_seconds=BUSY_RETRY_SECONDS)
        last_of_each = {one.email: one for one in self.attempts if one.model_id == prepared.model.listed_id}
        attempts = [*last_of_each.values(), *_not_asked(prepared.model.listed_id, why, last_of_each)]
        if learned.last_error is not None and learned.last_is_passing and why.ready:
            return self._with_all_attempts(learned.last_error, prepared, attempts, now)
        returns = [attempt.back_at for attempt in attempts if attempt.back_at is not None]
        if returns:
            said = sentence(prepared.model.listed_id, attempts, now, settings.LOCAL_TIME_ZONE)
            return _limited(said, min(returns) - now)
        if learned.last_error is None:
            return OperatorMustAct(
                f"No account can be used now. The operator finds what each of them needs at {ACCOUNTS_PAGE}."
            )
        return self._with_all_attempts(learned.last_error, prepared, attempts, now)

    def _with_all_attempts(
        self, error: GatewayError, prepared: PreparedRequest, attempts: list[Attempt], now: float
    ) -> GatewayError:
        if len(attempts) < 2:
            return error
        said = sentence(prepared.model.listed_id, attempts, now, settings.LOCAL_TIME_ZONE)
        if isinstance(error, OperatorMustAct):
            said += f" The operator finds what each of them needs at {ACCOUNTS_PAGE}."
        return type(error)(said)


def session_id_for(seed: str) -> str:
    """Google's name for a conversation: a minus sign and 63 bits, always the same for one seed."""
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    return f"-{int.from_bytes(digest[:8], 'big') >> 1}"


def _without_capacity(model_id: str, until: float, now: float) -> Overloaded:
    """Without `retry-after` unless it is short: a client that has another model is to switch, not to wait."""
    said = f"{model_id} has no capacity at the moment, whichever account asks."
    wait = until - now
    retry_after = wait if wait <= SHORT_BACKOFF_SECONDS else None
    return Overloaded(
        f"{said} {next_try(until, now, settings.LOCAL_TIME_ZONE)}", retry_after_seconds=retry_after
    )


def _not_asked(model_id: str, why: Unavailable, asked: Container[str]) -> list[Attempt]:
    """The accounts that were not asked because they are at their limit."""
    return [
        Attempt(account.label, account.email, model_id, cooldown.reason, cooldown.until)
        for account, cooldown in why.limited
        if account.email not in asked
    ]


def _limited(text: str, wait_seconds: float) -> RateLimited:
    by_itself = None if wait_seconds <= RETRY_BY_ITSELF_SECONDS else False
    return RateLimited(text, retry_after_seconds=wait_seconds, should_retry=by_itself)


def _all_busy(count: int, waiting: int) -> str:
    accounts = "The account is" if count == 1 else f"All {count} accounts are"
    return f"{accounts} busy with as many requests as allowed, and {waiting} more wait."
