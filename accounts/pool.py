"""Who sends the next request: the usable accounts, who is resting, who is busy and who waits, in memory.

Accounts are read from the database when the server starts and again when Revision has moved. Rests
(cooldowns) are kept in the database as they change, so that a restart forgets none. Everything here runs in
the event loop and never waits for the database.

    lease = pool.lease(wanted)              an account now, or None
    async with asyncio.timeout(120):
        lease = await pool.queue(wanted)    an account as soon as one is free, first come, first served
    ...
    lease.release()
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from accounts import strategies
from accounts.labels import short_labels
from accounts.live_settings import live
from accounts.models import usable_accounts
from accounts.rest import EFFECTS, NO_EFFECT, CapacityPause, CoolingDown, Rests
from accounts.strategies import Candidate, Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping

    from accounts.google.errors import Trouble

logger = logging.getLogger(__name__)

CONVERSATIONS_REMEMBERED = 10_000
MAX_WAITING = 1_000
LONGEST_NAP_SECONDS = 1.0
"""Rests end by the wall clock, which may jump: waiting is never slept through in one piece."""


@dataclass(frozen=True, slots=True)
class PooledAccount:
    id: int
    email: str
    project_id: str
    quota_threshold: float | None = None
    """A remaining fraction; None: the setting GLOBAL_QUOTA_THRESHOLD."""
    model_quota_thresholds: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    label: str = ""
    """For clients; the pool gives each of its accounts one that no other has (accounts/labels.py)."""

    def threshold_for(self, wanted: Wanted) -> float | None:
        """The model's own under its listed name, or under that of its quota, else the account's."""
        thresholds = self.model_quota_thresholds
        return thresholds.get(wanted.model_id, thresholds.get(wanted.sent_id, self.quota_threshold))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request needs."""

    model_key: str
    """Names a quota: the upstream model and the header mode it is used with, `model:mode`."""
    conversation: str = ""
    """Turns of one conversation stay with one account while it can answer: its prompt cache is warm."""
    able: frozenset[int] | None = None
    """Ids of the accounts that have the model at all; None when no account's list of models names it."""
    listed_id: str = ""
    """As that list names the model; "" when `model_key` has the same name."""

    @property
    def model_id(self) -> str:
        return self.listed_id or self.sent_id

    @property
    def sent_id(self) -> str:
        return self.model_key.partition(":")[0]


class QueueFull(Exception):
    """More requests wait than is sane."""


class Reconsider(Exception):
    """What a request waits for has moved away: whoever waits must decide again whether it is worth it."""


class Lease:
    """An account that is being used. Release it once, however the request ends."""

    def __init__(self, pool: Pool, account: PooledAccount, wanted: Wanted, taken_at: float) -> None:
        self.account = account
        self.wanted = wanted
        self.taken_at = taken_at
        self._pool: Pool | None = pool

    def release(self) -> None:
        if self._pool is not None:
            self._pool._release(self)
            self._pool = None


class Waiter:
    """A request in the queue. Awaiting it gives the lease or raises Reconsider; giving up leaves it."""

    def __init__(self, pool: Pool, wanted: Wanted, excluded: Collection[int]) -> None:
        self.wanted = wanted
        self.excluded = excluded
        is_for_busy = bool(pool.ready(wanted, excluded))
        self.expected_at = None if is_for_busy else pool.first_return(wanted, excluded)
        """When somebody is to come back from a limit; None: the account waited for is only busy."""
        self.last_place = 0
        self.lease: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._pool = pool

    @property
    def place(self) -> int:
        """1 is next."""
        return self._pool._place_of(self)

    def __await__(self) -> Generator[None, None, Lease]:
        return self._wait().__await__()

    async def _wait(self) -> Lease:
        try:
            return await self.lease
        except asyncio.CancelledError:
            if self.lease.done() and not self.lease.cancelled() and self.lease.exception() is None:
                self.lease.result().release()
            raise
        finally:
            self.last_place = self.place
            self._pool._leave_queue(self)


class Pool:
    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.rests = Rests(now)
        self._now = now
        self._accounts: list[PooledAccount] = []
        self._conditions: dict[int, Condition] = {}
        self._remaining: dict[int, dict[str, float]] = {}
        self._remaining_seen_at: dict[int, float] = {}
        self._runs_dry_at: dict[tuple[int, str], float] = {}
        self._in_flight: dict[int, int] = {}
        self._last_used: dict[int, float] = {}
        self._newly_used: set[int] = set()
        self._previous: int | None = None
        self._conversations: OrderedDict[str, int] = OrderedDict()
        self._waiting: list[Waiter] = []
        self._nap: asyncio.TimerHandle | None = None

    # The accounts

    @property
    def accounts(self) -> list[PooledAccount]:
        return self._accounts

    def replace(self, accounts: list[PooledAccount]) -> None:
        self._accounts = _labelled(accounts)
        self.rests.forget_past()
        self._serve_queue()
        self._send_back_the_hopeless()

    def set_remaining(self, account_id: int, fractions: dict[str, float]) -> None:
        """What is left of each quota, by model key; a quota that is missing here is unknown, never empty."""
        self._remaining[account_id] = fractions
        self._remaining_seen_at[account_id] = self._now()

    def remaining(self, account_id: int) -> Mapping[str, float]:
        """By model key, as it was last set."""
        return self._remaining.get(account_id, {})

    def set_runs_dry(self, moments: dict[tuple[int, str], float]) -> None:
        """When each quota will be empty by its forecast, by account id and model key; all of them at once."""
        self._runs_dry_at = moments

    def take_last_used(self) -> dict[int, float]:
        """When each account was last chosen, of those chosen since this was last asked."""
        taken, self._newly_used = self._newly_used, set()
        return {account_id: self._last_used[account_id] for account_id in taken}

    def in_flight(self, account_id: int) -> int:
        return self._in_flight.get(account_id, 0)

    def health(self, account_id: int) -> float:
        """0 to 100, as the hybrid strategy sees it."""
        return self._conditions.get(account_id, Condition()).advanced(self._now()).health

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # Leases

    def lease(self, wanted: Wanted, excluded: Collection[int] = ()) -> Lease | None:
        """An account for this request, if one is free and nobody waits for the same model."""
        for waiter in self._waiting:
            if waiter.wanted.model_key == wanted.model_key and not waiter.lease.done():
                return None
        return self._lease(wanted, excluded)

    def queue(self, wanted: Wanted, excluded: Collection[int] = ()) -> Waiter:
        """Await the result, under a time-out. Raises QueueFull."""
        if len(self._waiting) >= MAX_WAITING:
            raise QueueFull
        waiter = Waiter(self, wanted, excluded)
        self._waiting.append(waiter)
        self._serve([waiter])
        return waiter

    def _lease(self, wanted: Wanted, excluded: Collection[int]) -> Lease | None:
        account = self._choose(wanted, excluded)
        if account is None:
            return None
        now = self._now()
        self._in_flight[account.id] = self.in_flight(account.id) + 1
        self._last_used[account.id] = now
        self._newly_used.add(account.id)
        self._previous = account.id
        self._remember_conversation(wanted.conversation, account.id)
        self._change_condition(account.id, tokens=-1)
        return Lease(self, account, wanted, now)

    def _choose(self, wanted: Wanted, excluded: Collection[int]) -> PooledAccount | None:
        if self.capacity_pause(wanted.model_key) is not None:
            return None
        ready = [account for account in self.ready(wanted, excluded) if not self._is_busy(account)]
        if not ready:
            return self._probe(self._able(wanted, excluded), wanted.model_key)
        # Those with a doubtful past come after those without, and are asked when there is nobody else.
        ready = [account for account in ready if self.cooldown(account, wanted.model_key) is None] or ready
        # One whose project is still being looked for would make this request wait for that.
        ready = [account for account in ready if account.project_id] or ready
        now = self._now()
        chosen = strategies.choose(
            live("ACCOUNT_STRATEGY"),
            [self._candidate(account, wanted, now) for account in ready],
            self._conversations.get(wanted.conversation),
            self._previous,
            now,
        )
        return next(account for account in ready if account.id == chosen.id)

    def _able(self, wanted: Wanted, excluded: Collection[int]) -> list[PooledAccount]:
        return [
            account
            for account in self._accounts
            if account.id not in excluded and (wanted.able is None or account.id in wanted.able)
        ]

    def _is_busy(self, account: PooledAccount) -> bool:
        limit: int = live("MAX_CONCURRENT_REQUESTS")
        return limit > 0 and self.in_flight(account.id) >= limit

    def _candidate(self, account: PooledAccount, wanted: Wanted, now: float) -> Candidate:
        condition = self._conditions.get(account.id, Condition()).advanced(now)
        threshold = account.threshold_for(wanted)
        return Candidate(
            id=account.id,
            priority=account.priority,
            last_used_at=self._last_used.get(account.id, 0.0),
            health=condition.health,
            tokens=condition.tokens,
            remaining=self._remaining.get(account.id, {}).get(wanted.model_key),
            remaining_seen_at=self._remaining_seen_at.get(account.id, 0.0),
            threshold=live("GLOBAL_QUOTA_THRESHOLD") if threshold is None else threshold,
            runs_dry_at=self._runs_dry_at.get((account.id, wanted.model_key)),
        )

    def _probe(self, able: Iterable[PooledAccount], model_key: str) -> PooledAccount | None:
        for account in able:
            if not self._is_busy(account) and self.rests.may_probe((account.id, model_key)):
                return account
        return None

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
        self._serve_queue()

    # The queue

    def _serve_queue(self) -> None:
        self._serve(self._waiting)

    def _serve(self, waiters: Iterable[Waiter]) -> None:
        """In order of arrival; one who cannot be served does not hold up those who want another model."""
        in_vain: set[tuple[str, frozenset[int] | None, frozenset[int]]] = set()
        for waiter in list(waiters):
            need = (waiter.wanted.model_key, waiter.wanted.able, frozenset(waiter.excluded))
            if waiter.lease.done() or need in in_vain:
                continue
            lease = self._lease(waiter.wanted, waiter.excluded)
            if lease is None:
                in_vain.add(need)
            else:
                waiter.lease.set_result(lease)
        self._plan_nap()

    def _send_back_the_hopeless(self) -> None:
        """Those for whom nobody is left that could answer soon: the rest they waited for has grown, or the
        busy account they waited for rests now, or has gone."""
        for waiter in list(self._waiting):
            if waiter.lease.done() or self.ready(waiter.wanted, waiter.excluded):
                continue
            back_at = self.first_return(waiter.wanted, waiter.excluded)
            expected_at = waiter.expected_at
            if back_at is None or expected_at is None or back_at > expected_at + LONGEST_NAP_SECONDS:
                waiter.lease.set_exception(Reconsider())

    def _plan_nap(self) -> None:
        if self._nap is not None:
            self._nap.cancel()
            self._nap = None
        waiting = [waiter for waiter in self._waiting if not waiter.lease.done()]
        if waiting:
            returns = [at for waiter in waiting if (at := self.first_return(waiter.wanted)) is not None]
            nap = min(returns, default=self._now() + LONGEST_NAP_SECONDS) - self._now()
            nap = min(max(nap, 0.01), LONGEST_NAP_SECONDS)
            self._nap = asyncio.get_running_loop().call_later(nap, self._serve_queue)

    def _leave_queue(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter)

    def _place_of(self, waiter: Waiter) -> int:
        return self._waiting.index(waiter) + 1 if waiter in self._waiting else 0

    # Why nobody is free

    def first_return(self, wanted: Wanted, excluded: Collection[int] = ()) -> float | None:
        """When the first account may be back from its limit, or the model from its pause; None when there is
        neither: then all are busy, or there is none."""
        pause = self.capacity_pause(wanted.model_key)
        if pause is not None:
            return pause.until
        rests = [self.cooldown(account, wanted.model_key) for account in self._able(wanted, excluded)]
        return min((rest.until for rest in rests if rest is not None and rest.is_limit), default=None)

    def ready(self, wanted: Wanted, excluded: Collection[int] = ()) -> list[PooledAccount]:
        """Those that are at no limit, busy or not."""
        return [
            account
            for account in self._able(wanted, excluded)
            if (rest := self.cooldown(account, wanted.model_key)) is None or not rest.is_limit
        ]

    def busy(self, wanted: Wanted, excluded: Collection[int] = ()) -> list[PooledAccount]:
        """Those of them that have as many requests as they may."""
        return [account for account in self.ready(wanted, excluded) if self._is_busy(account)]

    def cooldown(self, account: PooledAccount, model_key: str) -> CoolingDown | None:
        return self.rests.get((account.id, model_key))

    def capacity_pause(self, model_key: str) -> CapacityPause | None:
        return self.rests.pause(model_key)

    # What answers teach

    def succeeded(self, lease: Lease) -> None:
        """An answer has begun."""
        self._change_condition(lease.account.id, health=1)
        if self.rests.succeeded((lease.account.id, lease.wanted.model_key), lease.taken_at):
            self._serve_queue()

    def failed(self, lease: Lease, trouble: Trouble, hint_seconds: float | None = None) -> CoolingDown | None:
        """`hint_seconds`: how long Google said to wait. Returns the account's rest for this quota, if any."""
        account, wanted = lease.account, lease.wanted
        key = (account.id, wanted.model_key)
        if self.rests.is_same_moment(key):
            return self.rests.get(key)
        self._change_condition(account.id, health=EFFECTS.get(trouble, NO_EFFECT).health, tokens=1)
        resting = self.rests.failed(key, trouble, hint_seconds, live("DEFAULT_COOLDOWN_MS") / 1000)
        if resting is not None:
            what = f"{wanted.model_id}: {resting.reason}, {resting.until - resting.since:.0f} s"
            logger.warning("%s rests for %s", account.email, what)
            self._send_back_the_hopeless()
        return resting

    def _change_condition(self, account_id: int, *, health: float = 0.0, tokens: float = 0.0) -> None:
        condition = self._conditions.get(account_id, Condition())
        self._conditions[account_id] = condition.changed(self._now(), health=health, tokens=tokens)


def _labelled(accounts: list[PooledAccount]) -> list[PooledAccount]:
    labels = short_labels({account.id: account.email for account in accounts})
    return [replace(account, label=labels[account.id]) for account in accounts]


def read_usable_accounts() -> list[PooledAccount]:
    return [
        PooledAccount(
            id=account.pk,
            email=account.email,
            project_id=account.project_id,
            quota_threshold=account.quota_threshold,
            model_quota_thresholds=account.model_quota_thresholds,
            priority=account.priority,
        )
        for account in usable_accounts()
    ]
