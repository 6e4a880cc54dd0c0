"""The error that a client gets when no account will answer its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from accounts.failures import FailureKind
from accounts.pool.view import without
from gateway.errors import GatewayError, OperatorMustAct, Overloaded, RateLimited
from gateway.relay.error_messages import Attempt, next_try, sentence
from gateway.relay.error_policy import ACCOUNTS_PAGE

if TYPE_CHECKING:
    from collections.abc import Container

    from accounts.pool.view import NoAccount, PoolView
    from gateway.relay.context import ModelProgress, RequestContext

RETRY_BY_ITSELF_SECONDS = 60.0
"""The longest `retry-after` for which Claude Code waits; it gives up at once on a longer one."""
BUSY_RETRY_SECONDS = 5.0
SHORT_BACKOFF_SECONDS = 3.0


def final_error(context: RequestContext, progress: ModelProgress, why: NoAccount) -> GatewayError:
    """Build the error of a request that no account will answer. It is the first that applies of: a backoff of
    the model, busy accounts, transient failures of the upstream, limits."""
    if why.is_queue_full:
        return Overloaded("Too many requests wait already.", retry_after_seconds=10)
    view, excluded = why.view, progress.request.excluded
    now, model_id = view.now, progress.request.model_id
    if (backoff := view.backoff(excluded)) is not None:
        return _without_capacity(model_id, backoff.until, now)
    busy = without(view.busy, excluded)
    if busy and not without(view.free, excluded):
        return RateLimited(_all_busy(len(busy), why.waiting), retry_after_seconds=BUSY_RETRY_SECONDS)
    names = {target.listed_id for target in progress.request.targets.values()}
    last_of_each = {one.account_name: one for one in context.attempts if one.model_id in names}
    attempts = [*last_of_each.values(), *_not_asked(model_id, view, last_of_each)]
    if progress.last_error is not None and progress.last_is_passing and view.not_limited:
        return _with_all_attempts(progress.last_error, model_id, attempts, now)
    returns = [attempt.back_at for attempt in attempts if attempt.back_at is not None]
    if returns:
        said = sentence(model_id, attempts, now, settings.LOCAL_TIME_ZONE)
        return _limited(said, min(returns) - now)
    if progress.last_error is None:
        return OperatorMustAct(
            f"No account can be used now. The operator finds what each of them needs at {ACCOUNTS_PAGE}."
        )
    return _with_all_attempts(progress.last_error, model_id, attempts, now)


def _with_all_attempts(
    error: GatewayError, model_id: str, attempts: list[Attempt], now: float
) -> GatewayError:
    if len(attempts) < 2:
        return error
    said = sentence(model_id, attempts, now, settings.LOCAL_TIME_ZONE)
    if isinstance(error, OperatorMustAct):
        said += f" The operator finds what each of them needs at {ACCOUNTS_PAGE}."
    return type(error)(said)


def _without_capacity(model_id: str, until: float, now: float) -> Overloaded:
    """Return the error for a model without capacity. It has `retry-after` only if that is short, since a
    client that has another model should switch instead of waiting."""
    said = f"{model_id} has no capacity at the moment, whichever account asks."
    wait = until - now
    retry_after = wait if wait <= SHORT_BACKOFF_SECONDS else None
    return Overloaded(
        f"{said} {next_try(until, now, settings.LOCAL_TIME_ZONE)}", retry_after_seconds=retry_after
    )


def _not_asked(model_id: str, view: PoolView, asked: Container[str]) -> list[Attempt]:
    """Return the accounts that were not asked, because they are at their limit or the model is backed off."""
    limits = [(account, cooldown.reason, cooldown.until) for account, cooldown in view.limited]
    limits += [
        (account, FailureKind.CAPACITY.value, view.backoffs[account.kind].until)
        for account in view.backed_off
    ]
    return [
        Attempt(account.label, account.name, model_id, reason, until)
        for account, reason, until in limits
        if account.name not in asked
    ]


def _limited(text: str, wait_seconds: float) -> RateLimited:
    by_itself = None if wait_seconds <= RETRY_BY_ITSELF_SECONDS else False
    return RateLimited(text, retry_after_seconds=wait_seconds, should_retry=by_itself)


def _all_busy(count: int, waiting: int) -> str:
    accounts = "The account is" if count == 1 else f"All {count} accounts are"
    return f"{accounts} busy with as many requests as allowed, and {waiting} more wait."
