"""The account pool: the usable accounts, and the decision which of them sends a request, and when.

    answer = await pool.acquire(request, deadline, may_wait=True)
    if isinstance(answer, NoAccount):
        the view it was decided on: cooldowns and busy accounts, for the error message
    ...
    answer.release()

Accounts are read from the database when the server starts and again when Revision has changed. What changes
with each request is in `memory.py`; cooldowns are stored in the database as they change, so that a restart
keeps them. All code here runs in the event loop and never waits for the database.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import sys
import time
from bisect import bisect_right
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from msgspec import Struct

from accounts import live_settings
from accounts.failures import ACCOUNT_POLICIES, LIMITS, FailureKind, Scope
from accounts.models import Account
from accounts.pool import strategies
from accounts.pool.budget import keep_to_budget
from accounts.pool.cooldowns import ALL_MODELS
from accounts.pool.labels import short_labels
from accounts.pool.memory import MemoryState
from accounts.pool.queue import Waiter, WaitingQueue
from accounts.pool.request import AccountRequest, Target, WaitLimits
from accounts.pool.strategies import Candidate
from accounts.pool.unpaid_keys import standing_by
from accounts.pool.view import Eligible, FirstRanked, NoAccount, PooledAccount, PoolView, without
from accounts.quota.forecast import empty_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from accounts.failures import QuotaLimit
    from accounts.pool.budget import UsedUp
    from accounts.pool.cooldowns import ActiveCooldown, ModelBackoff
    from accounts.pool.queue import Group
    from accounts.pool.request import Targets

    ListsModel = Callable[[int, str, str], bool | None]
    """Whether the list of an account (by its id) names a model (listed id, model key); None while that is
    unknown."""

__all__ = ["AccountRequest", "Lease", "NoAccount", "Pool", "PoolView", "PooledAccount", "Target"]

logger = logging.getLogger(__name__)

ENDLESS = WaitLimits()
MAX_WAITING = 1_000
MODELS_REMEMBERED = 256
ACCOUNTS_TRIED = 3
"""How many accounts the strategy round-robin tries one by one before all are compared."""
CAPACITY_REPORTS = 2
"""How many accounts of a kind must report that a model has no capacity before it is backed off."""
LONGEST_SLEEP_SECONDS = 1.0
"""Cooldowns end by the wall clock, which may jump, so the wake-up timer never sleeps longer than this."""
SHORTEST_SLEEP_SECONDS = 0.01


class Lease(Struct, eq=False):
    """An account that one request is using. Release it however the request ends; a second release has no
    effect."""

    account: PooledAccount
    target: Target
    """The request's target for this account's kind."""
    taken_at: float
    _pool: Pool | None

    @property
    def counts_tokens(self) -> bool:
        """True when the tokens of the prompt have to be counted, because a limit of the account may be
        known."""
        return self._pool is not None and bool(self._pool.rate_limits.uses)

    def count_tokens(self, input_tokens: int) -> None:
        """Count the tokens of the prompt, once they are known, against the limits of the account."""
        if self._pool is not None:
            self._pool.count(self, input_tokens=input_tokens)

    def release(self) -> None:
        if self._pool is not None:
            self._pool._release(self)
            self._pool = None


class Pool:
    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.state = MemoryState(now)
        self.cooldowns = self.state.cooldowns
        self.rate_limits = self.state.rate_limits
        self._now = now
        self.accounts: list[PooledAccount] = []
        """The usable accounts, in the order of their priority."""
        self.by_id: Mapping[int, PooledAccount] = {}
        self._remaining: dict[int, dict[str, float]] = {}
        self._remaining_seen_at: dict[int, float] = {}
        self._empty_at: dict[tuple[int, str], float] = {}
        self.on_quota_exhausted: Callable[[int], None] = lambda account_id: None
        """Called with the id of an account after Google refused a request because its quota is used up."""
        self.lists_model: ListsModel = lambda account_id, listed_id, model_key: None
        self._eligible: dict[tuple[Any, ...], Eligible] = {}
        """The eligible accounts by targets. It is emptied when accounts, their model lists, quotas or
        settings change."""
        self._eligible_by: Mapping[str, Any] = {}
        """The live settings with which `_eligible` was computed."""
        self._queue = WaitingQueue()
        self._wake_up: asyncio.TimerHandle | None = None

    # The accounts

    def replace(self, accounts: list[PooledAccount]) -> None:
        self.accounts = _labelled(accounts)
        self.by_id = {account.id: account for account in self.accounts}
        self.cooldowns.forget_past()
        self.recheck()

    def set_remaining(self, account_id: int, fractions: dict[str, float]) -> None:
        """Set the remaining fraction of each quota, by model key. A missing quota is unknown, not empty."""
        self._remaining[account_id] = fractions
        self._remaining_seen_at[account_id] = self._now()
        self._eligible.clear()

    def remaining(self, account_id: int) -> Mapping[str, float]:
        """Return the remaining fractions by model key, as last set."""
        return self._remaining.get(account_id, {})

    def set_empty_at(self, times: dict[tuple[int, str], float]) -> None:
        """Replace the forecast times at which quotas will be empty, by account id and model key, in seconds
        since the epoch."""
        self._empty_at = times
        self._eligible.clear()

    def in_flight(self, account_id: int) -> int:
        return self.state.in_flight.get(account_id, 0)

    @property
    def waiting(self) -> int:
        return self._queue.count

    # The decision

    async def acquire(
        self,
        request: AccountRequest,
        deadline: float = math.inf,
        *,
        may_wait: bool = True,
        while_waiting: Callable[[int], AbstractContextManager[None]] = lambda place: nullcontext(),
    ) -> Lease | NoAccount:
        """Lease an account now, or as soon as one can be leased. Returns NoAccount when that is never, or too
        late.

        `deadline` is the latest end of a limit to wait for, in seconds since the epoch; infinite for any end.
        Without `may_wait` the request waits only for a busy account. At the deadline the caller must cancel
        the wait. `while_waiting` is entered with the place in the queue.
        """
        if request.without_capacity:
            self._count_capacity_reports(request)
        lease = self.lease(request) if self._queue.count else self._lease(request)
        if lease is not None:
            return lease
        waiter = self.queue(request, request.wait_limits(deadline, may_wait=may_wait), deadline)
        if waiter.answer.done():
            return waiter.answer.result()
        with while_waiting(waiter.place):
            return await self.wait(waiter)

    def lease(self, request: AccountRequest) -> Lease | None:
        """Lease an account for this request, after serving the waiting requests for the same model. Returns
        None when no account is free then."""
        if self._queue.count:
            self._serve(self._queue.groups_of(*(target.model_key for target in request.targets.values())))
        return self._lease(request)

    def queue(
        self, request: AccountRequest, wait_limits: WaitLimits = ENDLESS, deadline: float = math.inf
    ) -> Waiter:
        """Queue the request. It is answered at once when it need not or must not wait."""
        waiter = self._queue.add(request, wait_limits)
        self._recheck([waiter.group])
        if not waiter.answer.done():
            request.has_waited_for_backoff |= self._is_backed_off(request)
            if self.waiting > MAX_WAITING or deadline <= self._now():
                self._refuse_place(waiter)
        return waiter

    def _is_backed_off(self, request: AccountRequest) -> bool:
        return self.view(request.targets).backoff(request.excluded) is not None

    def _refuse_place(self, waiter: Waiter) -> None:
        """Answer NoAccount when the queue is full, or when the request must not wait at all."""
        is_full, view = self.waiting > MAX_WAITING, self.view(waiter.request.targets)
        if is_full or not without(view.free, waiter.request.excluded):
            self._queue.remove(waiter)
            waiter.answer.set_result(NoAccount(view, self.waiting, is_full))

    async def wait(self, waiter: Waiter) -> Lease | NoAccount:
        """Wait until the pool answers. Cancelling the wait gives the place and the lease back."""
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            has_answer = waiter.answer.done() and not waiter.answer.cancelled()
            if has_answer and isinstance(lease := waiter.answer.result(), Lease):
                lease.release()
            raise
        finally:
            self._queue.remove(waiter)

    def _count_capacity_reports(self, request: AccountRequest) -> None:
        """Back off a kind's model once two of its accounts, or all that could be asked now, have reported no
        capacity."""
        left = without(self.view(request.targets).free, request.excluded)
        left_keys = {request.targets[account.kind].model_key for account in left}
        reports = list(request.without_capacity.values())
        for model_key, count in Counter(report.model_key for report in reports).items():
            if count >= CAPACITY_REPORTS or model_key not in left_keys:
                hints = [report.hint_seconds for report in reports if report.model_key == model_key]
                self.back_off(model_key, hints[-1])
                request.forget_reports(model_key)

    def _lease(self, request: AccountRequest) -> Lease | None:
        now = self._now()
        account = self._sure_choice(request, now) or self._choice(request)
        if account is None:
            return None
        if not self.state.claim(account.id, request.conversation, _most(account), now):
            return None
        lease = Lease(account, request.targets[account.kind], now, self)
        if self.rate_limits.uses:
            self.count(lease, requests=1)
        return lease

    def _sure_choice(self, request: AccountRequest, now: float) -> PooledAccount | None:
        """Return the account that `_choice` would choose, if that is certain without a look at all accounts:
        no other ranks before it, and it is the first of its rank that can serve. Else None."""
        eligible = self._eligible_for(request.targets)
        for account_id in self._in_order_of_choice(request, eligible):
            if account_id in eligible.first_ranked:
                ranked = eligible.first_ranked[account_id]
                if self._is_ready(ranked, request) and strategies.has_reserve(ranked.candidate, now):
                    return ranked.account
        return None

    def _in_order_of_choice(self, request: AccountRequest, eligible: Eligible) -> list[int]:
        """Return the account of the conversation's last turn, then the first ones in the strategy's order.
        Hybrid has no order, since it compares all accounts."""
        strategy, previous = live_settings.current["ACCOUNT_STRATEGY"], self.state.previous
        affinity = self.state.account_of(request.conversation)
        order = [] if affinity is None else [affinity]
        if strategy == "sticky" and previous is not None:
            return [*order, previous]
        if strategy == "round-robin":
            start = bisect_right(eligible.ids, previous) if previous is not None else 0
            return order + (eligible.ids[start:] + eligible.ids[:start])[:ACCOUNTS_TRIED]
        return order

    def _is_ready(self, ranked: FirstRanked, request: AccountRequest) -> bool:
        """Return True for an account in the first set that `_choice` looks at."""
        account, model_key = ranked.account, ranked.target.model_key
        if account.id in request.refused or account.id in request.failed:
            return False
        if account.id in request.without_capacity or self.in_flight(account.id) >= _most(account):
            return False
        if self.cooldowns.is_clear((account.id, model_key)) and not self.rate_limits.uses:
            return True
        return not (self.cooldowns.backoff(model_key) or self._cooldown(account, model_key))

    def _choice(self, request: AccountRequest) -> PooledAccount | None:
        view = self.view(request.targets)
        choices = (self._choose(view, request, excluded) for excluded in request.preferences())
        return next(filter(None, choices), None)

    def _choose(
        self, view: PoolView, request: AccountRequest, excluded: Collection[int]
    ) -> PooledAccount | None:
        # Accounts in a cooldown that is no limit are used only when there is no other.
        ready = without(view.healthy, excluded) or without(view.free, excluded)
        if not ready:
            return self._probe(without(view.probes, excluded), request)
        # An account with an unknown project would make this request wait for its discovery.
        ready = [one for one in ready if not one.lacks_project] or ready
        if len(ready) == 1:
            return ready[0]
        now, strategy, targets = view.now, live_settings.current["ACCOUNT_STRATEGY"], request.targets
        chosen = strategies.choose(
            strategy,
            self._candidates(ready, targets, strategy, now),
            self.state.account_of(request.conversation),
            self.state.previous,
            now,
        )
        return next(account for account in ready if account.id == chosen.id)

    def _probe(self, accounts: list[PooledAccount], request: AccountRequest) -> PooledAccount | None:
        """Return the first account that one request may use in spite of its limit; None when there is none.
        Its quota group shares the limit, so none of that group is probed for a while."""
        for account in accounts:
            key = request.targets[account.kind].model_key
            if self.cooldowns.may_probe((account.id, key)):
                for other in self.others_concerned(account, Scope.QUOTA_GROUP):
                    self.cooldowns.may_probe((other.id, key))
                return account
        return None

    def view(self, targets: Targets, accounts: list[PooledAccount] | None = None) -> PoolView:
        """Return the state of the accounts that have the model; with `accounts`, only of those."""
        by_id = self._eligible_for(targets).by_id
        eligible = list(by_id.values() if accounts is None else (one for one in accounts if one.id in by_id))
        taken = PoolView(self._now(), backoffs=self._backoffs(targets))
        if taken.backoffs or self._may_be_in_cooldown(eligible, targets):
            self._divide(eligible, targets, taken)
        else:
            taken.busy = self._busy(eligible)
            busy = {account.id for account in taken.busy}
            taken.free = taken.healthy = without(eligible, busy)
        return taken

    def _may_be_in_cooldown(self, accounts: list[PooledAccount], targets: Targets) -> bool:
        """Return False when none of the accounts can be in a cooldown for the model."""
        if self.rate_limits.uses:
            return True
        keys = self.cooldowns.keys
        in_cooldown = [
            account
            for account in accounts
            if (account.id, targets[account.kind].model_key) in keys or (account.id, ALL_MODELS) in keys
        ]
        return bool(in_cooldown)

    def _divide(self, accounts: list[PooledAccount], targets: Targets, taken: PoolView) -> None:
        """Put each account into its list of the view."""
        busy = {account.id for account in self._busy(accounts)}
        for account in accounts:
            is_busy, is_backed_off = account.id in busy, account.kind in taken.backoffs
            cooldown = self._cooldown(account, targets[account.kind].model_key)
            if cooldown is not None and cooldown.is_limit:
                taken.limited.append((account, cooldown))
                if cooldown.is_probe_due(taken.now) and not is_busy and not is_backed_off:
                    taken.probes.append(account)
            elif is_backed_off:
                taken.backed_off.append(account)
            elif is_busy:
                taken.busy.append(account)
            else:
                taken.free.append(account)
                if cooldown is None:
                    taken.healthy.append(account)
        taken.limited.sort(key=lambda one: one[1].until)

    def _cooldown(self, account: PooledAccount, model_key: str) -> ActiveCooldown | None:
        """Return the cooldown that decides: one that a failure began, or that of a learned limit that is used
        up."""
        failed = self.cooldowns.weightiest((account.id, model_key))
        full = self.rate_limits.cooldown(_sharer(account, model_key)) if self.rate_limits.uses else None
        if full is None or (failed is not None and failed.is_limit and failed.until > full.until):
            return failed
        return full

    def _backoffs(self, targets: Targets) -> dict[str, ModelBackoff]:
        found = ((kind, self.cooldowns.backoff(target.model_key)) for kind, target in targets.items())
        return {kind: backoff for kind, backoff in found if backoff is not None}

    def _eligible_for(self, targets: Targets) -> Eligible:
        if self._eligible_by is not live_settings.current:
            self._eligible_by = live_settings.current
            self._eligible.clear()
        key = tuple(targets.items())
        known = self._eligible.get(key)
        if known is None:
            if len(self._eligible) >= MODELS_REMEMBERED:
                self._eligible.clear()
            known = self._eligible[key] = self._find_eligible(targets)
        return known

    def _find_eligible(self, targets: Targets) -> Eligible:
        """Return the accounts whose list names the model or is not known yet; all accounts when no list names
        it. Accounts of a kind without a target are left out."""
        accounts = [account for account in self.accounts if account.kind in targets]
        eligible = [account for account in accounts if self._lists(account, targets) is not False]
        if len(eligible) < len(accounts) and not self.is_listed(targets):
            eligible = accounts
        by_id = {account.id: account for account in eligible}
        candidates = {one.id: self._candidate(one, targets[one.kind]) for one in eligible}
        best_rank = min((one.rank for one in candidates.values()), default=(0, 0))
        first_ranked = {
            account.id: FirstRanked(account, targets[account.kind], candidate)
            for account, candidate in zip(eligible, candidates.values(), strict=True)
            if candidate.rank == best_rank and not account.lacks_project
        }
        return Eligible(by_id, sorted(by_id), candidates, first_ranked)

    def is_listed(self, targets: Targets) -> bool:
        """Return True when the list of any account names the model."""
        return any(self._lists(account, targets) for account in self.accounts if account.kind in targets)

    def _lists(self, account: PooledAccount, targets: Targets) -> bool | None:
        target = targets[account.kind]
        return not target.listed_id or self.lists_model(account.id, target.listed_id, target.model_key)

    def _busy(self, accounts: Iterable[PooledAccount]) -> list[PooledAccount]:
        """Return the accounts with as many requests in flight as MAX_CONCURRENT_REQUESTS or their switches
        allow."""
        in_flight = self.state.in_flight
        return [one for one in accounts if one.id in in_flight and in_flight[one.id] >= _most(one)]

    def _candidates(
        self, accounts: list[PooledAccount], targets: Targets, strategy: str, now: float
    ) -> list[Candidate]:
        """Return the accounts as the strategies see them."""
        known = self._eligible_for(targets).candidates
        candidates = [known[account.id] for account in accounts]
        if strategy == "hybrid":  # the others do not look at what each request changes
            for one in candidates:
                score = self.state.score(one.id, now)
                one.health, one.tokens = score.health, score.tokens
                one.last_used_at = self.state.last_used.get(one.id, 0.0)
        return candidates

    def _candidate(self, account: PooledAccount, target: Target) -> Candidate:
        """Return the account as the strategies see it, without the values that each request changes."""
        threshold = account.threshold_for(target)
        return Candidate(
            id=account.id,
            priority=account.priority,
            cost_rank=_cost_rank(account),
            remaining=self._remaining.get(account.id, {}).get(target.model_key),
            remaining_seen_at=self._remaining_seen_at.get(account.id, 0.0),
            threshold=live_settings.current["GLOBAL_QUOTA_THRESHOLD"] if threshold is None else threshold,
            empty_at=self._empty_at.get((account.id, target.model_key)),
        )

    def _release(self, lease: Lease) -> None:
        self.state.release(lease.account.id)
        if self._queue.count:  # only this account has become free
            self._serve(self._queue.groups(), lease.account)

    # The queue

    def recheck(self) -> None:
        """Evaluate all waiting requests again, after a change of accounts, of their models or of the time."""
        self._eligible.clear()
        self._recheck(self._queue.groups())

    def _recheck(self, groups: list[Group]) -> None:
        self._serve(groups)
        self._turn_away(groups)

    def _serve(self, groups: list[Group], freed: PooledAccount | None = None) -> None:
        """Give leases to waiting requests in order of arrival. A group that cannot be served does not delay
        the others. `freed` is the only account that may have become free; None when all may have."""
        accounts = self.accounts if freed is None else [freed]
        if not groups or len(self._busy(accounts)) == len(accounts):
            return
        views = self._with_views(groups, accounts)
        servable = [group for group, one in views if without(one.leasable, group.need.excluded)]
        heapq.heapify(servable)
        while servable and (freed is None or not self._busy([freed])):
            group = heapq.heappop(servable)
            waiter = group.first
            if not waiter.answer.done():
                lease = self._lease(waiter.request)
                if lease is None:
                    continue
                waiter.answer.set_result(lease)
            self._queue.remove(waiter)
            if group:
                heapq.heappush(servable, group)

    def _with_views(
        self, groups: Iterable[Group], accounts: list[PooledAccount] | None = None
    ) -> Iterator[tuple[Group, PoolView]]:
        """Yield each group with the view for its model. Each account is evaluated once for each model."""
        views: dict[frozenset[tuple[str, Target]], PoolView] = {}
        for group in groups:
            model = group.need.targets
            if model not in views:
                views[model] = self.view(group.targets, accounts)
            yield group, views[model]

    def _turn_away(self, groups: Iterable[Group]) -> None:
        """Answer the waiters for which no account will return by the latest end they accept."""
        for group, view in self._with_views(groups):
            for waiter in _leaving(group, view):
                self._queue.remove(waiter)
                if not waiter.answer.done():
                    waiter.answer.set_result(NoAccount(view, self.waiting))
        self._plan_wake_up()

    def _plan_wake_up(self) -> None:
        """Set the timer to the first end of a cooldown or backoff, at most LONGEST_SLEEP_SECONDS from now. A
        timer that ends earlier is kept."""
        if not self._queue.count:
            return
        loop, now = asyncio.get_running_loop(), self._now()
        returns = [group.return_at for group in self._queue.groups() if group.return_at is not None]
        sleep = min(returns, default=math.inf) - now
        sleep = min(max(sleep, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)
        wake_up_at = loop.time() + sleep
        if self._wake_up is None or wake_up_at < self._wake_up.when():
            if self._wake_up is not None:
                self._wake_up.cancel()
            self._wake_up = loop.call_at(wake_up_at, self._on_wake_up)

    def _on_wake_up(self) -> None:
        self._wake_up = None
        self._recheck(self._queue.groups())

    # Learned limits

    def learn(self, lease: Lease, limits: Iterable[QuotaLimit]) -> None:
        """Note the limits that the provider has named in its answer to this request."""
        self.rate_limits.learn(_sharer(lease.account, lease.target.model_key), limits)

    def learned_limits(self, account_id: int) -> dict[str, dict[str, int]]:
        """Return an account's learned limits per minute, by model key and subject."""
        account = next((one for one in self.accounts if one.id == account_id), None)
        return {} if account is None else self.rate_limits.learned_by_model(_sharer(account, "")[0])

    def count(self, lease: Lease, **amounts: int) -> None:
        """Count `requests` or `input_tokens` against the learned limits."""
        if self.rate_limits.uses:
            self.rate_limits.count(_sharer(lease.account, lease.target.model_key), **amounts)

    # Budgets

    def keep_to_budgets(self, used_up: Mapping[int, UsedUp]) -> None:
        """Begin a cooldown for the accounts whose budget is used up, by id, and end the budget cooldowns of
        all others."""
        now, has_changed = self._now(), False
        for account in self.accounts:
            key = (account.id, ALL_MODELS)
            if keep_to_budget(self.cooldowns, key, used_up.get(account.id), now):
                has_changed = True
                if account.id in used_up:
                    logger.warning(
                        "%s cools down for %s: %s", account.name, ALL_MODELS, used_up[account.id].reason
                    )
        if has_changed:
            self._recheck(self._queue.groups())

    # Results of requests

    def succeeded(self, lease: Lease) -> None:
        """Record that an answer has begun: raise the account's health, and end its cooldown for this quota
        and that of its quota group."""
        account, model_key = lease.account, lease.target.model_key
        self.state.change_score(account.id, self._now(), health=1)
        has_ended = self.cooldowns.succeeded((account.id, model_key), lease.taken_at)
        if account.quota_group:
            for other in self.others_concerned(account, Scope.QUOTA_GROUP):
                has_ended |= self.cooldowns.succeeded((other.id, model_key), lease.taken_at)
        if has_ended:
            self._recheck(self._queue.groups())

    def failed(
        self,
        lease: Lease,
        kind: FailureKind,
        hint_seconds: float | None = None,
        scope: Scope = Scope.ACCOUNT,
        reason: str = "",
    ) -> ActiveCooldown | None:
        """Record a failure. `hint_seconds` is the wait that the upstream named, `reason` a text for people,
        by default the kind's. Returns the account's cooldown for this quota, if any. The cooldown is shared
        by all accounts that the failure concerns, whose health does not change."""
        account, target = lease.account, lease.target
        key = (account.id, ALL_MODELS if ACCOUNT_POLICIES[kind].is_for_all_models else target.model_key)
        known = self.cooldowns.get(key)
        # A limit replaces the present cooldown, even one that has just begun.
        weighs_less = known is not None and (known.is_limit or kind not in LIMITS)
        if weighs_less and self.cooldowns.has_just_failed(key):
            return known
        self.state.change_score(account.id, self._now(), health=ACCOUNT_POLICIES[kind].health, tokens=1)
        cooldown = self.cooldowns.failed(
            key, kind, hint_seconds, live_settings.current["DEFAULT_COOLDOWN_MS"] / 1000, reason
        )
        if kind is FailureKind.QUOTA:
            self.on_quota_exhausted(account.id)
        if cooldown is not None:
            self._log_cooldown(account, target.model_id if key[1] == target.model_key else key[1], cooldown)
            self._cool_down_others(account, key[1], cooldown, scope)
            is_for_all = key[1] == ALL_MODELS
            self._turn_away(self._queue.groups() if is_for_all else self._queue.groups_of(key[1]))
        return cooldown

    def _log_cooldown(self, account: PooledAccount, model: str, cooldown: ActiveCooldown) -> None:
        how_long = f"{cooldown.until - cooldown.since:.0f} s"
        if cooldown.kind is FailureKind.QUOTA:
            how_long = empty_until(cooldown.until, cooldown.since, settings.LOCAL_TIME_ZONE)
        logger.warning("%s cools down for %s: %s, %s", account.name, model, cooldown.reason, how_long)

    def _cool_down_others(
        self, account: PooledAccount, model_key: str, cooldown: ActiveCooldown, scope: Scope
    ) -> None:
        if cooldown.is_limit and scope is Scope.ACCOUNT:
            scope = Scope.QUOTA_GROUP
        others = self.others_concerned(account, scope)
        self.cooldowns.share(cooldown, [(other.id, model_key) for other in others])
        if others:
            logger.warning("Accounts of the same %s that cool down with it: %d", scope.value, len(others))

    def others_concerned(self, account: PooledAccount, scope: Scope) -> list[PooledAccount]:
        """Return the other accounts in the pool that a failure of `account` with this scope concerns."""
        if scope is Scope.ACCOUNT or (scope is Scope.QUOTA_GROUP and not account.quota_group):
            return []
        return [
            other
            for other in self.accounts
            if other.id != account.id
            and other.kind == account.kind
            and (scope is Scope.KIND or other.quota_group == account.quota_group)
        ]

    def back_off(self, model_key: str, hint_seconds: float | None) -> ModelBackoff:
        """Back the model off for all accounts of its kind, because it has no capacity."""
        backoff = self.cooldowns.back_off(model_key, hint_seconds)
        self._turn_away(self._queue.groups_of(model_key))
        return backoff


def _leaving(group: Group, view: PoolView) -> list[Waiter]:
    """Return the waiters that accept no end as late as the first return of an account. Also sets the group's
    `return_at`."""
    excluded = group.need.excluded
    group.return_at = view.return_at(excluded)
    if view.backoff(excluded) is not None:
        return group.impatient(group.return_at, for_backoff=True)
    if without(view.free, excluded):  # since the clock was read last
        group.return_at = view.now
    elif not without(view.busy, excluded):
        return group.impatient(group.return_at, for_backoff=False)
    return []


def _sharer(account: PooledAccount, model_key: str) -> tuple[int | str, str]:
    """Return the key of a limit: the account's quota group, else the account, and the model key."""
    return f"{account.kind}:{account.quota_group}" if account.quota_group else account.id, model_key


def _most(account: PooledAccount) -> int:
    """Return the most requests that the account may have in flight."""
    limit: int = live_settings.current["MAX_CONCURRENT_REQUESTS"] or sys.maxsize
    own = account.switches.max_requests
    return own if 0 < own < limit else limit


def _cost_rank(account: PooledAccount) -> int:
    return 1 if account.is_paid and live_settings.current["PAID_ACCOUNTS_LAST"] else 0


def _labelled(accounts: list[PooledAccount]) -> list[PooledAccount]:
    labels = short_labels({account.id: account.name for account in accounts})
    return [replace(account, label=labels[account.id]) for account in accounts]


def read_usable_accounts(kinds_with_project: Collection[str] = ()) -> list[PooledAccount]:
    """Return the usable accounts, without unpaid keys that stand by. `kinds_with_project` are the kinds whose
    accounts need a Cloud project."""
    usable = list(Account.objects.usable())
    left_out = standing_by(usable)
    facts = [fact.name for fact in fields(PooledAccount) if fact.name not in {"needs_project", "label"}]
    return [
        PooledAccount(
            **{fact: getattr(account, fact) for fact in facts},
            needs_project=account.kind in kinds_with_project,
        )
        for account in usable
        if account.id not in left_out
    ]
