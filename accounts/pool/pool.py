"""The account pool: usable accounts, their cooldowns, requests in flight and the waiting queue, in memory.

Accounts are read from the database when the server starts and again when Revision has changed. Cooldowns are
stored in the database as they change, so that they outlive a restart. All code here runs in the event loop
and never waits for the database.

    lease = pool.lease(request)              an account now, or None
    why = pool.unavailable(request)          a snapshot of cooldowns and busy accounts, for the error message
    async with asyncio.timeout(120):
        lease = await pool.queue(request)    an account as soon as one is free, first come, first served
    ...
    lease.release()
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.failures import ACCOUNT_POLICIES, LIMITS, FailureKind
from accounts.live_settings import live
from accounts.models import Account
from accounts.pool import strategies
from accounts.pool.cooldowns import ActiveCooldown, Cooldowns, ModelBackoff
from accounts.pool.labels import short_labels
from accounts.pool.queue import AccountRequest, Patience, RetrySelection, Waiter, WaitingQueue
from accounts.pool.strategies import AccountScore, Candidate
from accounts.quota.forecast import empty_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from accounts.pool.queue import Group, Need

    ListsModel = Callable[[int, str, str], bool | None]
    """Whether the list of an account (its id) names a model (listed id, model key); None: not known yet."""

__all__ = [
    "AccountRequest",
    "Lease",
    "Patience",
    "Pool",
    "PooledAccount",
    "QueueFull",
    "RetrySelection",
    "Waiter",
]

logger = logging.getLogger(__name__)

ENDLESS = Patience()
CONVERSATIONS_REMEMBERED = 10_000
MAX_WAITING = 1_000
LONGEST_SLEEP_SECONDS = 1.0
"""Cooldowns end by the wall clock, which may jump, so the wake-up timer never sleeps longer than this."""
SHORTEST_SLEEP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class PooledAccount:
    id: int
    email: str
    project_id: str
    kind: str = "google"
    quota_threshold: float | None = None
    """A remaining fraction; None: the setting GLOBAL_QUOTA_THRESHOLD."""
    model_quota_thresholds: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    label: str = ""
    """Shown to clients instead of the address; unique in the pool (accounts/pool/labels.py)."""

    def threshold_for(self, request: AccountRequest) -> float | None:
        """The model's threshold under its listed id, or under the id that is sent, else the account's."""
        thresholds = self.model_quota_thresholds
        return thresholds.get(request.model_id, thresholds.get(request.sent_id, self.quota_threshold))


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A snapshot of why no account could be leased, taken at `now` in seconds since the epoch. Each account
    that has the model is in `ready` or in `limited`."""

    now: float
    backoff: ModelBackoff | None
    """Set while the model itself has no capacity."""
    ready: list[PooledAccount]
    """Accounts at no limit: busy, or free again by now."""
    limited: list[tuple[PooledAccount, ActiveCooldown]]
    """Accounts at a limit with its cooldown, the earliest end first."""

    def ready_without(self, excluded: Collection[int]) -> list[PooledAccount]:
        return [account for account in self.ready if account.id not in excluded]

    def first_return(self, excluded: Collection[int] = ()) -> float | None:
        return next(
            (cooldown.until for account, cooldown in self.limited if account.id not in excluded), None
        )


class QueueFull(Exception):
    """Raised when MAX_WAITING requests wait already."""


class Lease:
    """An account in use by one request. Release it however the request ends; doing so again has no effect."""

    def __init__(self, pool: Pool, account: PooledAccount, request: AccountRequest, taken_at: float) -> None:
        self.account = account
        self.request = request
        self.taken_at = taken_at
        self._pool: Pool | None = pool

    def release(self) -> None:
        if self._pool is not None:
            self._pool._release(self)
            self._pool = None


class Pool:
    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.cooldowns = Cooldowns(now)
        self._now = now
        self._accounts: list[PooledAccount] = []
        self._scores: dict[int, AccountScore] = {}
        self._remaining: dict[int, dict[str, float]] = {}
        self._remaining_seen_at: dict[int, float] = {}
        self._empty_at: dict[tuple[int, str], float] = {}
        self._in_flight: dict[int, int] = {}
        self._last_used: dict[int, float] = {}
        self._newly_used: set[int] = set()
        self._previous: int | None = None
        self._conversations: OrderedDict[str, int] = OrderedDict()
        self.on_quota_exhausted: Callable[[int], None] = lambda account_id: None
        """Called with the id of an account after Google refused a request because its quota is used up."""
        self.lists_model: ListsModel = lambda account_id, listed_id, model_key: None
        self._queue = WaitingQueue()
        self._wake_up: asyncio.TimerHandle | None = None
        self._wake_up_at = math.inf

    # The accounts

    @property
    def accounts(self) -> list[PooledAccount]:
        return self._accounts

    def replace(self, accounts: list[PooledAccount]) -> None:
        self._accounts = _labelled(accounts)
        self.cooldowns.forget_past()
        self.recheck()

    def set_remaining(self, account_id: int, fractions: dict[str, float]) -> None:
        """Set the remaining fraction of each quota, by model key; a missing quota is unknown, not empty."""
        self._remaining[account_id] = fractions
        self._remaining_seen_at[account_id] = self._now()

    def remaining(self, account_id: int) -> Mapping[str, float]:
        """The remaining fractions by model key, as last set."""
        return self._remaining.get(account_id, {})

    def set_empty_at(self, times: dict[tuple[int, str], float]) -> None:
        """Replace the forecast times at which quotas will be empty: by account id and model key, in seconds
        since the epoch."""
        self._empty_at = times

    def take_last_used(self) -> dict[int, float]:
        """Take the times of last use of the accounts leased since the previous call, by account id."""
        taken, self._newly_used = self._newly_used, set()
        return {account_id: self._last_used[account_id] for account_id in taken}

    def in_flight(self, account_id: int) -> int:
        return self._in_flight.get(account_id, 0)

    def health(self, account_id: int) -> float:
        """The account's health score now, 0 to 100, as the hybrid strategy uses it."""
        return self._scores.get(account_id, AccountScore()).advanced(self._now()).health

    @property
    def waiting(self) -> int:
        return self._queue.count

    # Leases

    def lease(self, request: AccountRequest, excluded: Collection[int] = ()) -> Lease | None:
        """Lease an account for this request, after waiting requests for the same model have been served; None
        when no account is free then."""
        self._serve(self._queue.groups(request.model_key))
        return self._lease(request, excluded)

    def queue(
        self, request: AccountRequest, excluded: Collection[int] = (), patience: Patience = ENDLESS
    ) -> Waiter:
        """Queue the request; await the result, under a time-out. Raises QueueFull."""
        if self._queue.count >= MAX_WAITING:
            raise QueueFull
        waiter = self._queue.add(request, excluded, patience)
        waiter.on_leave = self._queue.remove
        group = self._queue.group_of(waiter)
        if group is not None:
            self._serve([group])
            self._turn_away([group])
        self._plan_wake_up()
        return waiter

    def _lease(self, request: AccountRequest, excluded: Collection[int]) -> Lease | None:
        account = self._choose(request, excluded)
        if account is None:
            return None
        now = self._now()
        self._in_flight[account.id] = self.in_flight(account.id) + 1
        self._last_used[account.id] = now
        self._newly_used.add(account.id)
        self._previous = account.id
        self._remember_conversation(request.conversation, account.id)
        self._change_score(account.id, tokens=-1)
        return Lease(self, account, request, now)

    def _choose(self, request: AccountRequest, excluded: Collection[int]) -> PooledAccount | None:
        if self.model_backoff(request.model_key) is not None:
            return None
        free = self._free(self._eligible(request, excluded))
        cooldowns = {one.id: self.cooldown(one, request.model_key) for one in free}
        ready = [one for one in free if not _is_limit(cooldowns[one.id])]
        if not ready:
            return self._probe(free, request.model_key)
        # Accounts in a cooldown that is no limit are used only when there is no other.
        ready = [one for one in ready if cooldowns[one.id] is None] or ready
        # An account whose project is not known yet would make this request wait for its discovery.
        ready = [one for one in ready if one.project_id] or ready
        now = self._now()
        chosen = strategies.choose(
            live("ACCOUNT_STRATEGY"),
            [self._candidate(account, request, now) for account in ready],
            self._conversations.get(request.conversation),
            self._previous,
            now,
        )
        return next(account for account in ready if account.id == chosen.id)

    def _eligible(self, request: AccountRequest | Need, excluded: Collection[int]) -> list[PooledAccount]:
        """The accounts that have the model, without the excluded ones."""
        accounts = self._accounts
        if request.listed_id:
            accounts = self._with_model(request.listed_id, request.model_key)
        return [account for account in accounts if account.id not in excluded] if excluded else accounts

    def _with_model(self, listed_id: str, model_key: str) -> list[PooledAccount]:
        """The accounts whose list names the model or is not known yet; all accounts when no list names it."""
        listed = [self.lists_model(one.id, listed_id, model_key) for one in self._accounts]
        if True not in listed:
            return self._accounts
        return [one for one, names_it in zip(self._accounts, listed, strict=True) if names_it is not False]

    def is_listed(self, request: AccountRequest) -> bool:
        """Whether the list of any account names the model."""
        return self._is_listed(request.listed_id, request.model_key)

    def _is_listed(self, listed_id: str, model_key: str) -> bool:
        return any(self.lists_model(one.id, listed_id, model_key) for one in self._accounts)

    def _free(self, accounts: Iterable[PooledAccount]) -> list[PooledAccount]:
        """The accounts with fewer requests in flight than MAX_CONCURRENT_REQUESTS allows."""
        limit: int = live("MAX_CONCURRENT_REQUESTS") or sys.maxsize
        in_flight = self._in_flight
        return [account for account in accounts if in_flight.get(account.id, 0) < limit]

    def _candidate(self, account: PooledAccount, request: AccountRequest, now: float) -> Candidate:
        score = self._scores.get(account.id, AccountScore()).advanced(now)
        threshold = account.threshold_for(request)
        return Candidate(
            id=account.id,
            priority=account.priority,
            last_used_at=self._last_used.get(account.id, 0.0),
            health=score.health,
            tokens=score.tokens,
            remaining=self._remaining.get(account.id, {}).get(request.model_key),
            remaining_seen_at=self._remaining_seen_at.get(account.id, 0.0),
            threshold=live("GLOBAL_QUOTA_THRESHOLD") if threshold is None else threshold,
            empty_at=self._empty_at.get((account.id, request.model_key)),
        )

    def _probe(self, free: Iterable[PooledAccount], model_key: str) -> PooledAccount | None:
        return next((one for one in free if self.cooldowns.may_probe((one.id, model_key))), None)

    def _remember_conversation(self, conversation: str, account_id: int) -> None:
        if conversation:
            self._conversations[conversation] = account_id
            self._conversations.move_to_end(conversation)
            if len(self._conversations) > CONVERSATIONS_REMEMBERED:
                self._conversations.popitem(last=False)

    def _release(self, lease: Lease) -> None:
        left = self.in_flight(lease.account.id) - 1
        if left > 0:
            self._in_flight[lease.account.id] = left
        else:
            self._in_flight.pop(lease.account.id, None)
        # Only this account has become free.
        self._serve(self._queue.groups(), [lease.account])

    # The queue

    def recheck(self) -> None:
        """Evaluate all waiting requests again, after a change of accounts, of their models or of the time."""
        self._serve(self._queue.groups())
        self._turn_away(self._queue.groups())
        self._plan_wake_up()

    def _serve(self, groups: list[Group], accounts: list[PooledAccount] | None = None) -> None:
        """Give leases to waiting requests in order of arrival; a group that cannot be served does not hold up
        the others. `accounts`: the accounts that may have become free; None means all."""
        groups = self._servable(groups, self._accounts if accounts is None else accounts)
        heapq.heapify(groups)
        while groups and (accounts is None or self._free(accounts)):
            group = groups[0]
            waiter = group.first
            if not waiter.lease.done():
                lease = self._lease(waiter.request, group.need.excluded)
                if lease is None:
                    heapq.heappop(groups)
                    continue
                waiter.lease.set_result(lease)
            self._queue.remove(waiter)
            # Its next waiter has come later.
            if group:
                heapq.heapreplace(groups, group)
            else:
                heapq.heappop(groups)

    def _servable(self, groups: list[Group], accounts: list[PooledAccount]) -> list[Group]:
        """The groups that one of the accounts can serve now. Each account is checked once for each model."""
        free = self._free(accounts) if groups else []
        by_model: dict[tuple[str, str], list[PooledAccount]] = {}
        servable = []
        for group in groups if free else ():
            model = (group.need.model_key, group.need.listed_id)
            if model not in by_model:
                by_model[model] = [account for account in free if self._is_usable(account, *model)]
            if any(account.id not in group.need.excluded for account in by_model[model]):
                servable.append(group)
        return servable

    def _is_usable(self, account: PooledAccount, model_key: str, listed_id: str) -> bool:
        if self.model_backoff(model_key) is not None:
            return False
        key = (account.id, model_key)
        if _is_limit(self.cooldowns.get(key)) and not self.cooldowns.is_probe_due(key):
            return False
        return (
            not listed_id
            or self.lists_model(account.id, listed_id, model_key) is not False
            or not self._is_listed(listed_id, model_key)
        )

    def _turn_away(self, groups: Iterable[Group]) -> None:
        """Raise RetrySelection in the waiters for which no account will return within their patience."""
        snapshots: dict[tuple[str, str], Unavailable] = {}
        for group in groups:
            model = (group.need.model_key, group.need.listed_id)
            if model not in snapshots:
                snapshots[model] = self.unavailable(group.need)
            for waiter in _leaving(group, snapshots[model]):
                self._queue.remove(waiter)
                if not waiter.lease.done():
                    waiter.lease.set_exception(RetrySelection())

    def _plan_wake_up(self) -> None:
        """Set the timer to the first end of a cooldown or backoff, at most LONGEST_SLEEP_SECONDS from now. A
        timer that ends earlier is kept."""
        if not self._queue.count:
            return
        loop, now = asyncio.get_running_loop(), self._now()
        returns = [group.return_at for group in self._queue.groups() if group.return_at is not None]
        sleep = min(returns, default=math.inf) - now
        sleep = min(max(sleep, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)
        if loop.time() + sleep < self._wake_up_at:
            if self._wake_up is not None:
                self._wake_up.cancel()
            self._wake_up_at = loop.time() + sleep
            self._wake_up = loop.call_at(self._wake_up_at, self._on_wake_up)

    def _on_wake_up(self) -> None:
        self._wake_up, self._wake_up_at = None, math.inf
        self.recheck()

    # Why no account is free

    def unavailable(self, request: AccountRequest | Need) -> Unavailable:
        ready: list[PooledAccount] = []
        limited: list[tuple[PooledAccount, ActiveCooldown]] = []
        now = self._now()
        for account in self._eligible(request, ()):
            cooldown = self.cooldown(account, request.model_key)
            if cooldown is not None and cooldown.is_limit:
                limited.append((account, cooldown))
            else:
                ready.append(account)
        limited.sort(key=lambda one: one[1].until)
        return Unavailable(now, self.model_backoff(request.model_key), ready, limited)

    def is_busy(self, accounts: list[PooledAccount]) -> bool:
        """Whether each of these accounts has as many requests in flight as MAX_CONCURRENT_REQUESTS allows."""
        return not self._free(accounts)

    def cooldown(self, account: PooledAccount, model_key: str) -> ActiveCooldown | None:
        return self.cooldowns.get((account.id, model_key))

    def model_backoff(self, model_key: str) -> ModelBackoff | None:
        return self.cooldowns.backoff(model_key)

    # Results of requests

    def succeeded(self, lease: Lease) -> None:
        """Record that an answer has begun: raise the account's health and end its cooldown for this quota."""
        self._change_score(lease.account.id, health=1)
        model_key = lease.request.model_key
        if self.cooldowns.succeeded((lease.account.id, model_key), lease.taken_at):
            self._serve(self._queue.groups(model_key))
            self._turn_away(self._queue.groups(model_key))

    def failed(
        self, lease: Lease, kind: FailureKind, hint_seconds: float | None = None
    ) -> ActiveCooldown | None:
        """`hint_seconds`: the wait that the upstream named. Returns the account's cooldown for this quota, if
        any."""
        account, request = lease.account, lease.request
        key = (account.id, request.model_key)
        known = self.cooldowns.get(key)
        # A limit outweighs what the account cools down for already, however short ago that began.
        if self.cooldowns.is_same_moment(key) and (_is_limit(known) or kind not in LIMITS):
            return known
        self._change_score(account.id, health=ACCOUNT_POLICIES[kind].health, tokens=1)
        cooldown = self.cooldowns.failed(key, kind, hint_seconds, live("DEFAULT_COOLDOWN_MS") / 1000)
        if cooldown is not None:
            what = f"{request.model_id}: {cooldown.reason}, {cooldown.until - cooldown.since:.0f} s"
            if kind is FailureKind.QUOTA:
                self.on_quota_exhausted(account.id)
                until = empty_until(cooldown.until, cooldown.since, settings.LOCAL_TIME_ZONE)
                what = f"{request.model_id}: {cooldown.reason}, {until}"
            logger.warning("%s cools down for %s", account.email, what)
            self._turn_away(self._queue.groups(request.model_key))
            self._plan_wake_up()
        return cooldown

    def back_off(self, model_key: str, hint_seconds: float | None) -> ModelBackoff:
        """Back the model off for all accounts, because it has no capacity."""
        backoff = self.cooldowns.back_off(model_key, hint_seconds)
        self._turn_away(self._queue.groups(model_key))
        self._plan_wake_up()
        return backoff

    def _change_score(self, account_id: int, *, health: float = 0.0, tokens: float = 0.0) -> None:
        score = self._scores.get(account_id, AccountScore())
        self._scores[account_id] = score.changed(self._now(), health=health, tokens=tokens)


def _leaving(group: Group, why: Unavailable) -> list[Waiter]:
    """The waiters whose patience ends before an account returns. Also sets the group's `return_at`."""
    excluded = group.need.excluded
    if why.backoff is not None:
        group.return_at = why.backoff.until
        return group.impatient(why.backoff.until, for_backoff=True)
    group.return_at = why.first_return(excluded)
    if any(account.id not in excluded for account in why.ready):
        return []
    return group.impatient(group.return_at, for_backoff=False)


def _is_limit(cooldown: ActiveCooldown | None) -> bool:
    return cooldown is not None and cooldown.is_limit


def _labelled(accounts: list[PooledAccount]) -> list[PooledAccount]:
    labels = short_labels({account.id: account.email for account in accounts})
    return [replace(account, label=labels[account.id]) for account in accounts]


def read_usable_accounts() -> list[PooledAccount]:
    return [
        PooledAccount(
            id=account.pk,
            email=account.email,
            project_id=account.project_id,
            kind=account.kind,
            quota_threshold=account.quota_threshold,
            model_quota_thresholds=account.model_quota_thresholds,
            priority=account.priority,
        )
        for account in Account.objects.usable()
    ]
