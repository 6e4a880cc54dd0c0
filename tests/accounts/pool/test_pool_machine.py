"""The pool under random events: its invariants hold after each of them, in any order."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from accounts.failures import ACCOUNT_POLICIES, FailureKind, Scope
from accounts.live_settings import live
from accounts.pool.cooldowns import ALL_MODELS
from accounts.pool.pool import Lease, Pool, PooledAccount
from accounts.pool.request import AccountRequest, Target, WaitLimits
from accounts.pool.view import without

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.pool.queue import Waiter
    from accounts.pool.view import NoAccount

T = TypeVar("T")

LIMITS = [FailureKind.QUOTA, FailureKind.RATE_LIMIT, FailureKind.UNKNOWN_LIMIT]
HINTS = st.none() | st.sampled_from([0.5, 3.0, 45.0, 7384.0, 6 * 24 * 3600.0])
OWNERS = {"of all": {1, 2, 3, 4}, "of 1 and 3": {1, 3}, "of none": set()}
KINDS = {1: "google", 2: "google", 3: "anthropic", 4: "gemini"}
"""By account id."""
GROUPS = st.dictionaries(st.integers(1, 4), st.sampled_from(["acme", "other"]))
FAILURES = [*LIMITS, FailureKind.SPEND_LIMIT, FailureKind.PLACE_REFUSED, FailureKind.SERVER_ERROR]
EXCLUDED = st.sets(st.integers(1, 4), max_size=2)
MODELS = st.sampled_from(["claude-sonnet-4-6", "gemini-3-flash"])
TARGETS = st.builds(
    lambda model, listed_id, kinds: {kind: Target(f"{model}:{kind}", listed_id) for kind in kinds},
    MODELS,
    st.sampled_from(["", "of all", "of 1 and 3", "of none"]),
    st.lists(st.sampled_from(["google", "anthropic", "gemini"]), unique=True, min_size=1),
)
WANTED = st.builds(
    lambda targets, conversation: AccountRequest(targets, conversation),
    TARGETS,
    st.sampled_from(["", "a", "b"]),
)


class PoolMachine(RuleBasedStateMachine):
    """Each rule is one thing that can happen; each invariant holds after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_772_366_400.0
        self.pool = Pool(lambda: self.now)
        self.pool.lists_model = lambda account_id, listed_id, _: account_id in OWNERS[listed_id]
        self.groups: dict[int, str] = {}
        self.held: list[Lease] = []
        self.waiters: list[tuple[Waiter, asyncio.Task[Lease | NoAccount]]] = []

    @initialize(count=st.integers(1, 4), groups=GROUPS)
    def accounts_are_there(self, count: int, groups: dict[int, str]) -> None:
        self.groups = groups
        self.set_accounts(list(range(1, count + 1)))

    @rule(ids=st.lists(st.integers(1, 4), unique=True))
    def the_operator_edits_the_accounts(self, ids: list[int]) -> None:
        self.set_accounts(ids)

    @rule(request=WANTED)
    def a_request_comes(self, request: AccountRequest) -> None:
        lease = self.in_loop(lambda: self.pool.lease(request))
        if lease is not None:
            self.check_lease(lease, request)
            self.held.append(lease)

    @rule(
        request=WANTED,
        excluded=EXCLUDED,
        limit_seconds=st.sampled_from([-math.inf, 60.0, math.inf]),
        backoff_seconds=st.sampled_from([-math.inf, 7.0, math.inf]),
    )
    def a_request_waits(
        self, request: AccountRequest, excluded: set[int], limit_seconds: float, backoff_seconds: float
    ) -> None:
        async def queue() -> None:
            wait_limits = WaitLimits(self.now + limit_seconds, self.now + backoff_seconds)
            waiter = self.pool.queue(structs.replace(request, refused=excluded), wait_limits)
            self.waiters.append((waiter, asyncio.ensure_future(self.pool.wait(waiter))))
            await asyncio.sleep(0)

        self.loop.run_until_complete(queue())
        self.settle()

    @rule(
        request=WANTED,
        refused=EXCLUDED,
        failed=st.lists(st.integers(1, 4), max_size=3),
        seconds=st.sampled_from([0.0, 60.0, math.inf]),
        may_wait=st.booleans(),
    )
    def a_request_asks(
        self, request: AccountRequest, refused: set[int], failed: list[int], seconds: float, may_wait: bool
    ) -> None:
        request, deadline = structs.replace(request, refused=refused, failed=failed), self.now + seconds
        task = self.loop.create_task(self.pool.acquire(request, deadline, may_wait=may_wait))
        self.settle()
        for group in self.pool._queue.groups():
            self.waiters += [(one, task) for one in group._waiters.values() if one.request is request]
        if not task.done():
            return
        answer = task.result()
        if isinstance(answer, Lease):
            self.check_lease(answer, request)
            self.held.append(answer)
        elif deadline > self.now:
            self.check_turned_away(request, request.wait_limits(deadline, may_wait=may_wait), answer)
        else:
            assert not without(answer.view.leasable, refused), "an account was free"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), kind=st.sampled_from(FAILURES), hint=HINTS, scope=st.sampled_from(Scope))
    def a_request_fails(
        self, data: st.DataObject, kind: FailureKind, hint: float | None, scope: Scope
    ) -> None:
        lease = self.take_held(data)
        before = {n: self.pool.state.score(n, self.now).health for n in KINDS}
        known = self.pool.cooldowns.of_account(lease.account.id).values()
        cooldown = self.in_loop(lambda: self.pool.failed(lease, kind, hint, scope))
        assert all(
            self.pool.state.score(n, self.now).health >= before[n] for n in KINDS if n != lease.account.id
        )
        if cooldown is not None and cooldown.is_limit and cooldown not in known:
            others = self.pool.others_concerned(lease.account, Scope.QUOTA_GROUP)
            assert all(self.is_limited(other, lease.target, kind) for other in others)
        self.in_loop(lease.release)

    def is_limited(self, account: PooledAccount, target: Target, kind: FailureKind) -> bool:
        key = ALL_MODELS if ACCOUNT_POLICIES[kind].is_for_all_models else target.model_key
        cooldown = self.pool.cooldowns.get((account.id, key))
        return cooldown is not None and cooldown.is_limit

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_request_succeeds(self, data: st.DataObject) -> None:
        lease = self.take_held(data)
        self.in_loop(lambda: self.pool.succeeded(lease))
        self.in_loop(lease.release)

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def a_client_hangs_up(self, data: st.DataObject) -> None:
        _, task = data.draw(st.sampled_from(self.waiters))
        task.cancel()
        self.settle()

    @rule(model=MODELS, kind=st.sampled_from(["google", "anthropic", "gemini"]), hint=HINTS)
    def a_model_has_no_capacity(self, model: str, kind: str, hint: float | None) -> None:
        self.in_loop(lambda: self.pool.back_off(f"{model}:{kind}", hint))

    @rule(seconds=st.sampled_from([0.1, 2.0, 31.0, 3601.0, 8 * 24 * 3600.0, -5.0, -4000.0]))
    def the_clock_moves(self, seconds: float) -> None:
        self.now += seconds
        self.in_loop(self.pool.recheck)

    @invariant()
    def no_account_has_more_than_it_may(self) -> None:
        counts = [self.pool.in_flight(account_id) for account_id in range(1, 5)]
        assert max(counts) <= live("MAX_CONCURRENT_REQUESTS")
        assert sum(counts) == len(self.held)

    @invariant()
    def whoever_waits_has_a_reason(self) -> None:
        """No starvation: no request waits while an account is free for it, nor while no account can return
        within its limits."""
        for waiter, task in self.waiters:
            if waiter.answer.done() or task.done():
                continue
            view, excluded = self.pool.view(waiter.request.targets), waiter.request.excluded
            assert not without(view.leasable, excluded)
            if view.backoff(excluded) is None and not without(view.not_limited, excluded):
                return_at = view.return_at(excluded)
                assert return_at is not None
                assert return_at <= waiter.wait_limits.limit_until

    @invariant()
    def the_first_of_equal_needs_is_the_first_served(self) -> None:
        for served, _ in self.waiters:
            if (
                served.answer.done()
                and not served.answer.cancelled()
                and isinstance(served.answer.result(), Lease)
            ):
                for other, other_task in self.waiters:
                    if (
                        other.group.need == served.group.need
                        and not other.answer.done()
                        and not other_task.done()
                    ):
                        assert served.number < other.number

    @invariant()
    def the_queue_counts_those_who_wait(self) -> None:
        waiting = [one for one, task in self.waiters if not one.answer.done() and not task.done()]
        assert self.pool.waiting == len(waiting)

    def teardown(self) -> None:
        """Every waiter ends: with accounts free and all cooldowns over, each is served in turn."""
        for lease in self.held:
            self.in_loop(lease.release)
        self.set_accounts([1, 2, 3, 4])
        self.now += 30 * 24 * 3600
        self.in_loop(self.pool.recheck)
        self.settle()
        while self.held:
            self.in_loop(self.held.pop().release)
            self.settle()
        assert self.waiters == []
        assert self.pool.waiting == 0
        assert all(self.pool.in_flight(account_id) == 0 for account_id in range(1, 5))
        self.loop.close()

    def set_accounts(self, ids: list[int]) -> None:
        accounts = [
            PooledAccount(n, f"user{n}@example.com", "project", KINDS[n], quota_group=self.groups.get(n, ""))
            for n in ids
        ]
        self.in_loop(lambda: self.pool.replace(accounts))

    def check_lease(self, lease: Lease, request: AccountRequest) -> None:
        assert lease.target == request.targets[lease.account.kind]
        cooldown = self.pool.cooldowns.weightiest((lease.account.id, lease.target.model_key))
        is_probe = cooldown is not None and cooldown.probe_at is not None
        assert cooldown is None or not cooldown.is_limit or is_probe, "an account at its limit was used"
        assert lease.account in self.pool.accounts
        assert self.pool.cooldowns.backoff(lease.target.model_key) is None, "a backed-off model was asked"
        known = {account.id for account in self.pool.accounts if account.kind in request.targets}
        listed_id = lease.target.listed_id
        owners = OWNERS[listed_id] & known if listed_id else known
        assert lease.account.id in (owners or known)

    def check_turned_away(self, request: AccountRequest, wait_limits: WaitLimits, why: NoAccount) -> None:
        view, excluded = why.view, request.excluded
        if (backoff := view.backoff(excluded)) is not None:
            assert backoff.until > wait_limits.backoff_until
        else:
            assert not without(view.not_limited, excluded), "turned away though an account could answer"
            return_at = view.return_at(excluded)
            assert return_at is None or return_at > wait_limits.limit_until

    def take_held(self, data: st.DataObject) -> Lease:
        return self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

    def in_loop(self, action: Callable[[], T]) -> T:
        async def run() -> T:
            return action()

        result = self.loop.run_until_complete(run())
        self.settle()
        return result

    def settle(self) -> None:
        """Let the waiters that were served or cancelled finish."""
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        for waiter, task in list(self.waiters):
            if task.done():
                self.waiters.remove((waiter, task))
                if task.cancelled():
                    continue
                answer = task.result()
                if not isinstance(answer, Lease):
                    self.check_turned_away(waiter.request, waiter.wait_limits, answer)
                    continue
                assert answer.account.id not in waiter.request.excluded
                self.check_lease(answer, waiter.request)
                self.held.append(answer)


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
