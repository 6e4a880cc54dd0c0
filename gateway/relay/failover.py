"""Which account is asked next, and when: until one answers, or nobody is left who could.

An error about a limit or the account moves on to the next account, until each was asked once. A passing
failure (connection, 5xx, silence, an empty answer) costs one of UPSTREAM_CALL_LIMIT calls: the first few
follow at once, each on another account or address where there is one; those after them wait for pauses that
grow, at most MAX_RETRIES of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.failures import ACCOUNT_POLICIES, FailureKind
from accounts.live_settings import live
from accounts.models import Account
from accounts.pool.pool import AccountRequest, Patience, QueueFull, RetrySelection
from gateway.errors import Overloaded
from gateway.relay.context import Learned
from gateway.relay.error_messages import ANOTHER_TRY, NEXT_ACCOUNT, TOLD_THE_CLIENT
from gateway.relay.error_policy import FAILURES, Failure, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.pool.pool import Lease, PooledAccount, Unavailable
    from accounts.service import AccountsService
    from gateway.errors import GatewayError
    from gateway.relay.answer import Answer
    from gateway.relay.context import PreparedRequest, RequestContext
    from gateway.relay.model_call import ModelCaller

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
CAPACITY_REPORTS = 2
"""So many accounts must say that a model has no capacity before it is left alone for a while."""
CAPACITY_WAIT_SECONDS = 5.0
"""So long after its start does the request that finds a model without capacity wait for the end of that."""


class Failover:
    """`model_unknown` makes the error for the name of a model that no account knows."""

    def __init__(
        self, accounts: AccountsService, caller: ModelCaller, model_unknown: Callable[[str], GatewayError]
    ) -> None:
        self._accounts = accounts
        self._pool = accounts.pool
        self._caller = caller
        self._model_unknown = model_unknown

    async def answer(
        self, prepared: PreparedRequest, context: RequestContext, *, may_wait: bool, may_pause: bool = True
    ) -> Answer:
        """Raises GatewayError. Without `may_wait` neither a limit nor missing capacity is waited for, without
        `may_pause` there is no round after a pause."""
        request = AccountRequest(
            model_key=prepared.model.quota_key,
            conversation=context.conversation,
            listed_id=prepared.model.listed_id,
        )
        learned = context.learned.setdefault(prepared.model.listed_id, Learned())
        while True:
            self._note_capacity(request, learned, context)
            lease = self._lease(request, learned)
            if lease is None:
                lease = await self._wait_for_account(prepared, request, learned, context, may_wait=may_wait)
            if lease is None:
                continue
            answer, failure = await self._try_account(lease, prepared, learned, context)
            if answer is not None:
                return answer
            if failure is not None and failure.policy.is_passing:
                await self._before_next_call(prepared, request, learned, context, may_pause=may_pause)

    def _lease(self, request: AccountRequest, learned: Learned) -> Lease | None:
        for ids in learned.preferences():
            if (lease := self._pool.lease(request, ids)) is not None:
                return lease
        return None

    async def _try_account(
        self, lease: Lease, prepared: PreparedRequest, learned: Learned, context: RequestContext
    ) -> tuple[Answer | None, Failure | None]:
        """One of the two. The lease goes with the answer, or back."""
        answer = failure = None
        try:
            answer = await self._caller.send(lease, prepared, context)
        except FAILURES as error:
            failure = failure_of(error)
            await self._learn_from(failure, lease, prepared, learned, context)
        finally:
            if answer is None:
                lease.release()
        if answer is not None:
            self._pool.succeeded(lease)
            answer.lease = lease
            answer.on_failure = partial(self._learn_after_content, lease)
        return answer, failure

    # What a failure teaches

    async def _learn_from(
        self,
        failure: Failure,
        lease: Lease,
        prepared: PreparedRequest,
        learned: Learned,
        context: RequestContext,
    ) -> None:
        """Raises the client's error when no other account would do better."""
        account, policy = lease.account, failure.policy
        back_at = self._cool_down(failure, lease, prepared, learned, context)
        error = failure.as_error(account)
        is_unknown = failure.kind is FailureKind.NOT_FOUND and not self._pool.is_listed(lease.request)
        if is_unknown:
            context.unknown_models.add(prepared.model.listed_id)
            error = self._model_unknown(prepared.request.model)
        if policy.ends_request or is_unknown:
            context.end_attempt(failure.reason, TOLD_THE_CLIENT, detail=failure.detail, back_at=back_at)
            raise error
        learned.last_error, learned.last_is_passing = error, policy.is_passing
        decision = ANOTHER_TRY if policy.is_passing else NEXT_ACCOUNT
        context.end_attempt(failure.reason, decision, detail=failure.detail, back_at=back_at)
        if policy.is_passing:
            learned.failed.append(account.id)
        elif failure.kind is FailureKind.CAPACITY:
            learned.without_capacity.add(account.id)
        elif back_at is None:  # a limit ends by itself, and the pool knows when
            learned.refused.add(account.id)
        await self._take_out_of_use(account, failure)

    async def _take_out_of_use(self, account: PooledAccount, failure: Failure) -> None:
        """When it needs the operator."""
        if state := ACCOUNT_POLICIES[failure.kind].state:
            error = failure.error
            reason, link = (error.message, error.link) if error is not None else (failure.detail, "")
            await self._accounts.take_out_of_use(account, Account.State(state), reason, link)

    async def _learn_after_content(self, lease: Lease, failure: Failure) -> None:
        """After an error in the middle of an answer nothing is tried again, but the account may be at its
        limit, or have to leave the pool."""
        if not failure.policy.is_passing:
            self._pool.failed(lease, failure.kind, failure.wait_seconds)
        await self._take_out_of_use(lease.account, failure)

    def _cool_down(
        self,
        failure: Failure,
        lease: Lease,
        prepared: PreparedRequest,
        learned: Learned,
        context: RequestContext,
    ) -> float | None:
        """When the account is back from its limit. A passing failure is the account's only when no address
        is left that could be to blame."""
        if failure.policy.is_passing and context.attempt.endpoint:
            context.failed_bases.append(context.attempt.endpoint)
            if self._has_untried_base(prepared, context):
                return None
        if not failure.is_of_call:
            return None
        if failure.kind is FailureKind.CAPACITY:
            learned.has_no_capacity, learned.capacity_hint_seconds = True, failure.wait_seconds
        cooldown = self._pool.failed(lease, failure.kind, failure.wait_seconds)
        return cooldown.until if cooldown is not None and cooldown.is_limit else None

    def _has_untried_base(self, prepared: PreparedRequest, context: RequestContext) -> bool:
        return any(base not in context.failed_bases for base in self._caller.bases(prepared, context))

    def _note_capacity(self, request: AccountRequest, learned: Learned, context: RequestContext) -> None:
        """Back the model off once two accounts, or all that could be asked now, report no capacity."""
        reports = len(learned.without_capacity)
        if not reports:
            return
        others = self._pool.unavailable(request).ready_without(learned.for_good)
        if reports >= CAPACITY_REPORTS or self._pool.is_busy(others):
            self._pool.back_off(request.model_key, learned.capacity_hint_seconds)
            learned.without_capacity.clear()

    # Passing failures

    async def _before_next_call(
        self,
        prepared: PreparedRequest,
        request: AccountRequest,
        learned: Learned,
        context: RequestContext,
        *,
        may_pause: bool,
    ) -> None:
        """Return at once, or after a pause, when there may be another call. Raises GatewayError."""
        context.passing_failures += 1
        why = self._pool.unavailable(request)
        ready = why.ready_without(learned.for_good)
        if not ready:
            return  # somebody's limit is waited for now, if it is worth it
        if context.passing_failures >= settings.UPSTREAM_CALL_LIMIT:
            raise self._given_up(prepared, why, learned, context)
        others = [account for account in ready if account.id not in learned.failed]
        has_another = bool(others) and not self._pool.is_busy(others)
        has_another |= bool(context.attempt.endpoint) and self._has_untried_base(prepared, context)
        if has_another and context.passing_failures < _calls_without_pause() and not context.rounds:
            return
        pause = min(FIRST_PAUSE_SECONDS * 2.0**context.rounds, LONGEST_PAUSE_SECONDS)
        if not may_pause or context.rounds >= live("MAX_RETRIES") or pause >= context.seconds_left:
            raise self._given_up(prepared, why, learned, context)
        context.rounds += 1
        with context.waiting():
            await asyncio.sleep(pause)

    # Waiting

    async def _wait_for_account(
        self,
        prepared: PreparedRequest,
        request: AccountRequest,
        learned: Learned,
        context: RequestContext,
        *,
        may_wait: bool,
    ) -> Lease | None:
        """None when something has changed and all must be looked at again. Raises GatewayError when waiting
        is pointless, or longer than the operator allows."""
        why = self._pool.unavailable(request)
        ready = why.ready_without(learned.for_good)
        patience = _patience(learned, context, may_wait=may_wait)
        if why.backoff is not None:
            is_worth_it = why.backoff.until <= patience.backoff_until
            learned.has_waited_for_capacity |= is_worth_it
        elif ready and not self._pool.is_busy(ready):
            await asyncio.sleep(0)  # one has become free since it was asked for
            return None
        elif ready:
            is_worth_it = context.seconds_left > 0
        else:
            back_at = why.first_return(learned.for_good)
            is_worth_it = back_at is not None and back_at <= patience.limit_until
        if not is_worth_it:
            raise self._given_up(prepared, why, learned, context)
        return await self._queue(request, learned.for_good, patience, context)

    async def _queue(
        self, request: AccountRequest, excluded: set[int], patience: Patience, context: RequestContext
    ) -> Lease | None:
        try:
            waiter = self._pool.queue(request, excluded, patience)
        except QueueFull as error:
            raise Overloaded("Too many requests wait already.", retry_after_seconds=10) from error
        logger.info("waits for an account, place %d", waiter.place)
        context.waiter = waiter
        lease = None
        with suppress(RetrySelection), context.waiting():
            lease = await waiter
        context.waiter = None
        return lease

    def _given_up(
        self, prepared: PreparedRequest, why: Unavailable, learned: Learned, context: RequestContext
    ) -> GatewayError:
        """From what the decision was made of: a second look might find that a limit is over by now."""
        ready = why.ready_without(learned.for_good)
        busy = ready if self._pool.is_busy(ready) else []
        return context.given_up(prepared, learned, why, busy=len(busy), waiting=self._pool.waiting)


def _calls_without_pause() -> int:
    """So many that one is left for each round after a pause."""
    rounds: int = live("MAX_RETRIES")
    limit: int = settings.UPSTREAM_CALL_LIMIT
    return max(1, limit - rounds)


def _patience(learned: Learned, context: RequestContext, *, may_wait: bool) -> Patience:
    if not may_wait:
        return Patience(-math.inf, -math.inf)
    if math.isinf(context.deadline):
        return Patience()
    if not learned.has_no_capacity or learned.has_waited_for_capacity:
        return Patience(context.deadline, -math.inf)
    return Patience(context.deadline, min(context.opened_at + CAPACITY_WAIT_SECONDS, context.deadline))


def longest_wait() -> float:
    """Seconds to the first content: the client's own patience in INFINITE_RETRY_MODE; 0: no wait at all."""
    return math.inf if live("INFINITE_RETRY_MODE") else live("MAX_WAIT_BEFORE_ERROR_MS") / 1000
