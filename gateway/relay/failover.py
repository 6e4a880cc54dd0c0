"""Failover: the next account for one model, until one answers or none is left that could.

An error about a limit or the account moves on to the next account, until each was asked once. A transient
failure (connection, 5xx, silence, an empty answer) costs one of UPSTREAM_CALL_LIMIT calls: the first few
follow at once, each on another account or address where there is one; later ones follow after growing pauses,
at most MAX_RETRIES of them. The pool decides which account and when (`Pool.acquire`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from django.conf import settings
from msgspec import Struct

from accounts.failures import ACCOUNT_POLICIES, FailureKind
from accounts.live_settings import live
from accounts.models import Account
from accounts.pool.request import NoCapacity
from accounts.pool.view import NoAccount, without
from gateway.relay.error_messages import ANOTHER_TRY, NEXT_ACCOUNT, TOLD_THE_CLIENT
from gateway.relay.error_policy import FAILURES, Failure, failure_of
from gateway.relay.final_error import final_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from accounts.pool.pool import Lease, PooledAccount
    from accounts.service import AccountsService
    from gateway.errors import GatewayError
    from gateway.relay.answer import Answer
    from gateway.relay.context import ModelProgress, PreparedRequest, RequestContext
    from gateway.relay.model_call import ModelCaller

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
CAPACITY_WAIT_SECONDS = 5.0
"""The longest wait for a backoff that the request's own report began, from the start of the request."""


class Failover(Struct):
    """The attempts of one client request with one model."""

    accounts: AccountsService
    caller: ModelCaller
    model_unknown: Callable[[str], GatewayError]
    """Builds the error for the name of a model that no account knows."""
    learn_after_content: Callable[[Lease, Failure], Awaitable[None]]
    """The function of that name, which each answer has."""
    prepared: PreparedRequest
    context: RequestContext
    progress: ModelProgress

    async def answer(self, *, may_wait: bool, may_pause: bool = True) -> Answer:
        """Return the answer of the first account that gives one. Raises GatewayError.

        Without `may_wait` the request waits neither for a limit nor for missing capacity; without `may_pause`
        there is no round after a pause.
        """
        context = self.context
        while True:
            lease = await self.accounts.pool.acquire(
                self.progress.request, context.deadline, may_wait=may_wait, while_waiting=context.in_queue
            )
            if isinstance(lease, NoAccount):
                raise final_error(context, self.progress, lease)
            answer = await self._try_account(lease)
            if not isinstance(answer, Failure):
                return answer
            if answer.policy.is_passing:
                await self._before_next_call(may_pause=may_pause)

    async def _try_account(self, lease: Lease) -> Answer | Failure:
        """Try one account. The lease is passed to the answer, or released. Raises GatewayError when no other
        account could do better."""
        answer = None
        try:
            answer = await self.caller.send(lease, self.prepared, self.context)
        except FAILURES as error:
            failure = failure_of(error)
            await self._learn_from(failure, lease)
            return failure
        finally:
            if answer is None:
                lease.release()
        self.accounts.pool.succeeded(lease)
        answer.lease = lease
        answer.on_failure = self.learn_after_content
        return answer

    # Consequences of a failure

    async def _learn_from(self, failure: Failure, lease: Lease) -> None:
        """Record the failure. Raises the client's error when no other account could do better."""
        account, policy, request = lease.account, failure.policy, self.progress.request
        back_at = self._cool_down(failure, lease)
        error = failure.as_error(account)
        is_listed = self.accounts.pool.is_listed(request.targets)
        is_unknown = failure.kind is FailureKind.NOT_FOUND and not is_listed
        if is_unknown:
            self.context.unknown_models |= {lease.target.listed_id}
            error = self.model_unknown(self.prepared.request.model)
        concerned = [account, *self.accounts.pool.others_concerned(account, failure.scope)]
        is_last = policy.ends_request or is_unknown
        decision = TOLD_THE_CLIENT if is_last else ANOTHER_TRY if policy.is_passing else NEXT_ACCOUNT
        self.context.end_attempt(failure.reason, decision, detail=failure.detail, back_at=back_at)
        if is_last:
            raise error
        self.progress.last_error, self.progress.last_is_passing = error, policy.is_passing
        if policy.is_passing:
            request.failed.append(account.id)
        elif failure.kind is FailureKind.CAPACITY:
            deadline = self.context.opened_at + CAPACITY_WAIT_SECONDS
            report = NoCapacity(lease.target.model_key, failure.wait_seconds)
            request.report_no_capacity(account.id, report, deadline)
        elif back_at is None:  # the pool knows when a limit ends
            request.refused.update(one.id for one in concerned)
        await _take_out_of_use(self.accounts, concerned, failure)

    def _cool_down(self, failure: Failure, lease: Lease) -> float | None:
        """Start the account's cooldown, and return the end of a limit; None without a limit. A transient
        failure counts against the account only when no untried address is left."""
        endpoint = self.context.attempt.endpoint
        if failure.policy.is_passing and endpoint:
            self.context.failed_bases.append(endpoint)
            if self._has_untried_base():
                return None
        if not failure.is_of_call:
            return None
        cooldown = self.accounts.pool.failed(
            lease, failure.kind, failure.wait_seconds, failure.scope, failure.reason
        )
        return cooldown.until if cooldown is not None and cooldown.is_limit else None

    def _has_untried_base(self) -> bool:
        return any(base not in self.context.failed_bases for base in self.context.addresses)

    # Transient failures

    async def _before_next_call(self, *, may_pause: bool) -> None:
        """Decide about another call after a transient failure, and return at once or after a pause. Raises
        GatewayError."""
        context, request, pool = self.context, self.progress.request, self.accounts.pool
        context.passing_failures += 1
        why = NoAccount(pool.view(request.targets), pool.waiting)
        if not without(why.view.not_limited, request.excluded):
            return  # the pool then decides whether to wait for a limit
        if context.passing_failures >= settings.UPSTREAM_CALL_LIMIT:
            raise final_error(context, self.progress, why)
        has_another = bool(without(why.view.free, request.excluded.union(request.failed)))
        has_another |= bool(context.attempt.endpoint) and self._has_untried_base()
        if has_another and context.passing_failures < _calls_without_pause() and not context.rounds:
            return
        pause = min(FIRST_PAUSE_SECONDS * 2.0**context.rounds, LONGEST_PAUSE_SECONDS)
        if not may_pause or context.rounds >= live("MAX_RETRIES") or pause >= context.seconds_left:
            raise final_error(context, self.progress, why)
        context.rounds += 1
        with context.waiting():
            await asyncio.sleep(pause)


async def learn_after_content(accounts: AccountsService, lease: Lease, failure: Failure) -> None:
    """Record an error after the first content of an answer. Nothing is retried, but the account may be at its
    limit, or have to leave the pool."""
    if not failure.policy.is_passing:
        accounts.pool.failed(lease, failure.kind, failure.wait_seconds, failure.scope, failure.reason)
    if failure.error is not None:
        await accounts.learn(lease, failure.error.learned)
    concerned = [lease.account, *accounts.pool.others_concerned(lease.account, failure.scope)]
    await _take_out_of_use(accounts, concerned, failure)


async def _take_out_of_use(
    accounts: AccountsService, concerned: list[PooledAccount], failure: Failure
) -> None:
    """Take the accounts out of use if the failure requires the operator."""
    if state := ACCOUNT_POLICIES[failure.kind].state:
        error = failure.error
        reason, link = (error.message, error.link) if error is not None else (failure.detail, "")
        for account in concerned:
            await accounts.take_out_of_use(account, Account.State(state), reason, link)


def _calls_without_pause() -> int:
    """Return the number of calls before the first pause, which leaves one call for each round after a
    pause."""
    rounds: int = live("MAX_RETRIES")
    limit: int = settings.UPSTREAM_CALL_LIMIT
    return max(1, limit - rounds)
