"""The pool by itself: an injected clock, no database, the queue in a real event loop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from accounts.failures import ACCOUNT_POLICIES, FailureKind
from accounts.pool.cooldowns import ActiveCooldown
from accounts.pool.memory import MemoryState
from accounts.pool.pool import Lease, Pool, PooledAccount
from accounts.pool.request import AccountRequest, NoCapacity, Target, WaitLimits
from accounts.pool.view import NoAccount
from accounts.values.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accounts.pool.queue import Waiter
    from tests.accounts.pool.conftest import Clock, Set

SONNET_KEY, FLASH_KEY = "claude-sonnet-4-6:antigravity", "gemini-3-flash:cli"
SONNET = AccountRequest({"google": Target(SONNET_KEY)})
FLASH = AccountRequest({"google": Target(FLASH_KEY)})
DAY = 24 * 3600.0


@pytest.fixture
def pool(clock: Clock) -> Pool:
    return a_pool(clock, 3)


def a_pool(clock: Clock, count: int) -> Pool:
    pool = Pool(clock)
    pool.replace([PooledAccount(n, f"user{n}@example.com", f"project-{n}") for n in range(1, count + 1)])
    return pool


def take(pool: Pool, request: AccountRequest = SONNET) -> Lease:
    lease = pool.lease(request)
    assert lease is not None
    return lease


def listed(listed_id: str) -> AccountRequest:
    return AccountRequest({"google": Target(SONNET_KEY, listed_id)})


async def acquired(pool: Pool, request: AccountRequest = SONNET) -> Lease:
    answer = await pool.acquire(structs.replace(request))
    assert isinstance(answer, Lease)
    return answer


async def lease_of(waiter: Waiter) -> Lease:
    answer = await waiter.answer
    assert isinstance(answer, Lease)
    return answer


# Limits and cooldowns


def test_an_account_at_its_limit_cools_down_for_that_quota_only(pool: Pool) -> None:
    pool.failed(take(pool), FailureKind.QUOTA, 600)

    assert take(pool).account.id == 2
    assert take(pool, FLASH).account.id == 2  # sticky: the one used last
    assert set(pool.cooldowns.of_account(1)) == {SONNET_KEY}


def test_the_servers_time_is_trusted_to_the_second(pool: Pool, clock: Clock) -> None:
    pool.replace(pool.accounts[:1])
    pool.failed(take(pool), FailureKind.QUOTA, 7384.18)

    clock.now += 7384
    assert pool.lease(SONNET) is None
    clock.now += 0.2
    assert pool.lease(SONNET) is not None


@pytest.mark.parametrize(
    ("kind", "cooldowns"),
    [
        (FailureKind.QUOTA, [60, 300, 1800, 7200, 7200]),
        (FailureKind.RATE_LIMIT, [30, 30, 30, 30, 30]),
        (FailureKind.UNKNOWN_LIMIT, [10, 20, 40, 60, 60]),
    ],
)
def test_without_a_hint_cooldowns_grow(
    kind: FailureKind, cooldowns: list[float], pool: Pool, clock: Clock
) -> None:
    pool.replace(pool.accounts[:1])

    for seconds in cooldowns:
        lease = take(pool)
        cooldown = pool.failed(lease, kind)
        lease.release()
        assert cooldown is not None
        assert cooldown.until - clock.now == seconds
        clock.now = cooldown.until + 3


def test_concurrent_failures_count_once(pool: Pool) -> None:
    leases = [take(pool) for _ in range(3)]

    cooldowns = [pool.failed(lease, FailureKind.QUOTA) for lease in leases]

    assert len({cooldown.until for cooldown in cooldowns if cooldown is not None}) == 1
    assert pool.state.score(1, pool._now()).health == 60


def test_three_failures_in_a_row_begin_a_cooldown(pool: Pool, clock: Clock) -> None:
    for expected in (None, None, 60):
        lease = take(pool)
        cooldown = pool.failed(lease, FailureKind.SERVER_ERROR)
        lease.release()
        clock.now += 5
        assert (cooldown and cooldown.until - (clock.now - 5)) == expected


def test_a_success_resets_the_count_of_failures(pool: Pool) -> None:
    for _ in range(5):
        lease = take(pool)
        pool.failed(lease, FailureKind.SERVER_ERROR)
        pool.succeeded(lease)
        lease.release()

    assert pool.cooldowns.of_account(1) == {}


def test_an_earlier_request_does_not_end_a_later_cooldown(pool: Pool, clock: Clock) -> None:
    early, late = take(pool), take(pool)
    clock.now += 1
    pool.failed(late, FailureKind.QUOTA, 600)

    pool.succeeded(early)

    assert SONNET_KEY in pool.cooldowns.of_account(1)


def test_a_cooldown_of_days_is_probed_once_an_hour(pool: Pool, clock: Clock) -> None:
    pool.replace(pool.accounts[:1])
    lease = take(pool)
    pool.failed(lease, FailureKind.QUOTA, 6 * DAY)
    lease.release()

    clock.now += 3601
    probe = pool.lease(SONNET)
    assert probe is not None
    assert pool.lease(SONNET) is None

    pool.succeeded(probe)
    assert pool.lease(SONNET) is not None


def test_a_cooldown_of_hours_is_not_probed(pool: Pool, clock: Clock) -> None:
    pool.replace(pool.accounts[:1])
    pool.failed(take(pool), FailureKind.QUOTA, 20 * 3600)

    clock.now += 19 * 3600

    assert pool.lease(SONNET) is None


def test_no_account_is_probed_while_another_is_usable(pool: Pool, clock: Clock) -> None:
    pool.failed(take(pool), FailureKind.QUOTA, 6 * DAY)
    clock.now += 7200

    assert {take(pool).account.id for _ in range(4)} == {2}


def test_changes_are_taken_for_storage_once(pool: Pool) -> None:
    told = []
    pool.cooldowns.on_changed = lambda: told.append(True)
    lease = take(pool)

    pool.failed(lease, FailureKind.QUOTA, 600)

    changes = pool.cooldowns.take_unsaved()
    assert told == [True]
    assert [key for key, cooldown in changes.items() if cooldown is not None] == [(1, SONNET_KEY)]
    assert pool.cooldowns.take_unsaved() == {}


def test_stored_cooldowns_count_from_the_start(clock: Clock) -> None:
    pool = Pool(clock)
    pool.cooldowns.load({(1, SONNET_KEY): ActiveCooldown(clock.now + 600, FailureKind.QUOTA, "quota")})
    pool.replace([PooledAccount(1, "user1@example.com", "project-1")])

    assert pool.lease(SONNET) is None
    assert pool.view(SONNET.targets).return_at() == clock.now + 600


# The model itself


def test_a_model_without_capacity_backs_off_for_all_accounts(pool: Pool, clock: Clock) -> None:
    pool.cooldowns.back_off(SONNET_KEY, None)

    assert pool.lease(SONNET) is None
    assert pool.lease(FLASH) is not None
    assert pool.state.score(1, pool._now()).health == 70
    clock.now += 5.1
    assert pool.lease(SONNET) is not None


def test_backoffs_grow_until_a_request_succeeds(pool: Pool, clock: Clock) -> None:
    pauses = []
    for _ in range(7):
        backoff = pool.cooldowns.back_off(SONNET_KEY, None)
        pauses.append(backoff.until - clock.now)
        clock.now = backoff.until + 1
    pool.succeeded(take(pool))

    assert pauses == [5, 10, 20, 30, 60, 60, 60]
    assert pool.cooldowns.back_off(SONNET_KEY, None).times == 1


# Busy accounts and the queue


def test_no_account_exceeds_its_concurrent_requests(pool: Pool, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 2)

    leases = [pool.lease(SONNET) for _ in range(7)]

    assert [lease.account.id for lease in leases if lease] == [1, 1, 2, 2, 3, 3]
    view = pool.view(SONNET.targets)
    assert [account.id for account in view.busy] == [1, 2, 3]
    assert view.free == []


async def test_requests_are_served_in_order_of_arrival(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)
    order: list[int] = []

    async def wait(number: int) -> None:
        lease = await acquired(pool)
        order.append(number)
        lease.release()

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    held.release()
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3, 4]
    assert pool.waiting == 0


async def test_a_new_request_does_not_overtake_waiting_ones(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)
    waiter = pool.queue(SONNET)

    assert waiter.place == 1
    assert pool.lease(SONNET) is None
    assert pool.queue(SONNET).place == 2
    held.release()
    assert (await lease_of(waiter)).account.id == 1


async def test_another_model_is_not_held_up(clock: Clock, live_setting: Set) -> None:
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 600)
    pool.queue(SONNET)

    assert pool.lease(FLASH) is not None


def test_an_account_may_allow_fewer_requests_at_once(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 3)
    pool = a_pool(clock, 2)
    pool.replace([replace(pool.accounts[0], switches=Switches(max_requests=1)), pool.accounts[1]])

    taken = [pool.lease(FLASH) for _ in range(5)]

    assert sum(lease is not None for lease in taken) == 4
    assert (pool.in_flight(1), pool.in_flight(2)) == (1, 3)


async def test_a_cancelled_waiter_leaves_the_queue_without_a_lease(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await acquired(pool)

    held.release()

    assert pool.waiting == 0
    assert pool.in_flight(1) == 0


async def test_a_lease_given_to_a_cancelled_waiter_is_released(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)

    async def wait() -> None:
        await acquired(pool)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    held.release()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pool.in_flight(1) == 0


async def test_a_waiter_is_woken_when_a_cooldown_ends_by_a_clock_jump(clock: Clock) -> None:
    pool = a_pool(clock, 1)
    lease = take(pool)
    pool.failed(lease, FailureKind.QUOTA, 3600)
    lease.release()
    waiter = asyncio.ensure_future(acquired(pool))
    await asyncio.sleep(0.01)

    clock.now += 3601
    async with asyncio.timeout(5):
        assert (await waiter).account.id == 1


async def test_a_waiter_is_woken_when_an_account_is_added(clock: Clock) -> None:
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 600)
    waiter = pool.queue(SONNET)

    pool.replace([*pool.accounts, PooledAccount(7, "new@example.com", "project")])

    async with asyncio.timeout(1):
        assert (await lease_of(waiter)).account.id == 7


async def test_the_queue_length_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.pool.pool.MAX_WAITING", 2)
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 600)
    pool.queue(SONNET)
    pool.queue(SONNET)

    answer = await pool.acquire(structs.replace(SONNET))
    assert isinstance(answer, NoAccount)
    assert (answer.is_queue_full, answer.waiting) == (True, 2)


# The decision


@pytest.mark.parametrize(
    ("count", "reports", "backs_off"), [(3, {1}, False), (3, {1, 2}, True), (1, {1}, True)]
)
async def test_a_model_backs_off_after_two_reports_or_all(
    count: int, reports: set[int], backs_off: bool, clock: Clock
) -> None:
    pool = a_pool(clock, count)
    request = structs.replace(SONNET, without_capacity=dict.fromkeys(reports, NoCapacity(SONNET_KEY, 7.0)))

    answer = await pool.acquire(request, clock.now + 60)

    assert isinstance(answer, NoAccount) is backs_off
    if isinstance(answer, NoAccount):
        assert answer.view.return_at() == clock.now + 7
        assert request.without_capacity == {}
    else:
        assert answer.account.id == 2


async def test_a_backoff_is_waited_for_once(clock: Clock) -> None:
    pool = a_pool(clock, 1)
    request = structs.replace(SONNET, without_capacity={})
    request.report_no_capacity(1, NoCapacity(SONNET_KEY, 2.0), clock.now + 5)

    waiting = asyncio.create_task(pool.acquire(request, clock.now + 60))
    await asyncio.sleep(0)
    clock.now += 2.1
    pool.recheck()

    assert isinstance(await waiting, Lease)
    request.report_no_capacity(1, NoCapacity(SONNET_KEY, 2.0), clock.now + 5)
    assert isinstance(await pool.acquire(request, clock.now + 60), NoAccount)


@pytest.mark.parametrize("deadline", [0, 60, 3600])
@pytest.mark.parametrize("may_wait", [True, False])
async def test_a_limit_is_waited_for_up_to_the_deadline(
    may_wait: bool, deadline: float, clock: Clock
) -> None:
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 600)

    asking = asyncio.create_task(
        pool.acquire(structs.replace(SONNET), clock.now + deadline, may_wait=may_wait)
    )
    await asyncio.sleep(0)

    assert asking.done() is not (may_wait and deadline == 3600)
    assert pool.waiting == (not asking.done())
    asking.cancel()


@pytest.mark.parametrize("deadline", [0, 60])
@pytest.mark.parametrize("may_wait", [True, False])
async def test_a_busy_account_is_always_waited_for_before_the_deadline(
    may_wait: bool, deadline: float, clock: Clock, live_setting: Set
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)

    asking = asyncio.create_task(
        pool.acquire(structs.replace(SONNET), clock.now + deadline, may_wait=may_wait)
    )
    await asyncio.sleep(0)
    held.release()
    answer = await asking

    assert isinstance(answer, Lease if deadline else NoAccount)
    assert isinstance(answer, Lease) or [account.id for account in answer.view.busy] == [1]


@pytest.mark.parametrize(
    ("failed", "limited", "chosen"), [([1], [], 2), ([1, 2], [3], 1), ([2, 1], [3], 2), ([1], [2, 3], 1)]
)
async def test_accounts_that_have_failed_are_used_last(
    failed: list[int], limited: list[int], chosen: int, pool: Pool
) -> None:
    for account_id in limited:
        others = {1, 2, 3} - {account_id}
        pool.failed(take(pool, structs.replace(SONNET, refused=others)), FailureKind.QUOTA, 600)

    assert (await acquired(pool, structs.replace(SONNET, failed=failed))).account.id == chosen


async def test_a_wait_is_announced_with_its_place(clock: Clock) -> None:
    pool, places = a_pool(clock, 1), []
    pool.failed(take(pool), FailureKind.QUOTA, 600)

    @contextmanager
    def note(place: int) -> Iterator[None]:
        places.append(place)
        yield
        places.append(0)

    tasks = [asyncio.create_task(pool.acquire(structs.replace(SONNET), while_waiting=note)) for _ in range(2)]
    await asyncio.sleep(0)
    pool.replace([*pool.accounts, PooledAccount(7, "new@example.com", "project")])
    answers = await asyncio.gather(*tasks)

    assert [answer.account.id for answer in answers if isinstance(answer, Lease)] == [7, 7]
    assert places == [1, 2, 0, 0]


@pytest.mark.parametrize("looks_before_the_end", range(12))
async def test_an_account_that_returns_while_it_is_looked_at_is_leased(
    looks_before_the_end: int, clock: Clock
) -> None:
    """Whichever look at the clock is the first one after the end."""
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 600)
    looks, ends_at = count(), clock.now + 600
    pool._now = pool.cooldowns._now = lambda: ends_at + (1 if next(looks) >= looks_before_the_end else -1)

    async with asyncio.timeout(0.5):
        answer = await pool.acquire(structs.replace(SONNET), clock.now)

    assert isinstance(answer, Lease) or not answer.view.free


def test_a_probe_is_allowed_once(pool: Pool, clock: Clock) -> None:
    pool.failed(take(pool), FailureKind.QUOTA, 6 * DAY)
    clock.now += 3601
    key = (1, SONNET_KEY)

    assert [pool.cooldowns.may_probe(key) for _ in range(2)] == [True, False]


def test_a_claim_beyond_the_limit_is_refused(clock: Clock) -> None:
    state = MemoryState(clock)

    assert [state.claim(1, "", 2, clock.now) for _ in range(3)] == [True, True, False]
    state.release(1)
    assert state.in_flight == {1: 1}
    assert state.claim(1, "", 2, clock.now)


def test_the_conversation_used_longest_ago_is_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.pool.memory.CONVERSATIONS_REMEMBERED", 2)
    state = MemoryState(clock)

    for account_id, conversation in enumerate(["a", "b", "a", "c"]):
        state.claim(account_id, conversation, 5, clock.now)

    assert [state.account_of(conversation) for conversation in "abc"] == [2, None, 3]


def test_a_lease_is_released_once(pool: Pool) -> None:
    first, second = take(pool), take(pool)

    first.release()
    first.release()

    assert pool.in_flight(1) == 1
    second.release()
    assert pool.in_flight(1) == 0


# Choice


def test_a_conversation_keeps_its_account(pool: Pool, live_setting: Set) -> None:
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    mine, other = structs.replace(SONNET, conversation="mine"), structs.replace(SONNET, conversation="other")

    ids = [take(pool, request).account.id for request in (mine, other, mine, other, mine)]

    assert ids == [1, 2, 1, 2, 1]


def test_a_conversation_moves_when_its_account_cools_down(pool: Pool) -> None:
    mine = structs.replace(SONNET, conversation="mine")
    pool.failed(take(pool, mine), FailureKind.QUOTA, 600)

    assert [take(pool, mine).account.id for _ in range(2)] == [2, 2]


def test_an_account_without_a_project_is_chosen_last(clock: Clock) -> None:
    pool = Pool(clock)
    new = PooledAccount(1, "new@example.com", "", needs_project=True)
    pool.replace([new, PooledAccount(2, "old@example.com", "project")])

    assert take(pool).account.id == 2
    pool.replace(pool.accounts[:1])
    assert take(pool).account.id == 1


def test_only_accounts_that_have_the_model_are_asked(pool: Pool) -> None:
    pool.lists_model = lambda account_id, listed_id, _: (account_id, listed_id) == (3, "sonnet")

    assert take(pool, listed("sonnet")).account.id == 3
    assert take(pool, listed("unlisted")).account.id == 3  # sticky, of all three


async def test_an_account_that_gets_a_model_serves_waiting_requests(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 2)
    pool.lists_model = lambda account_id, *_: account_id == 1
    sonnet = listed("sonnet")
    take(pool, sonnet)
    waiter = pool.queue(sonnet)

    pool.lists_model = lambda *_: True
    pool.recheck()

    assert (await lease_of(waiter)).account.id == 2


def test_times_of_last_use_are_taken_once(pool: Pool, clock: Clock) -> None:
    take(pool)

    assert pool.state.take_last_used() == {1: clock.now}
    assert pool.state.take_last_used() == {}


# What went wrong once


async def test_a_new_request_is_served_while_a_served_waiter_wakes_up(
    clock: Clock, live_setting: Set
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 2)
    pool = a_pool(clock, 1)
    held = [take(pool), take(pool)]
    pool.queue(SONNET)

    for lease in held:
        lease.release()

    assert pool.lease(SONNET) is not None


def test_an_invalid_request_does_not_lower_the_accounts_health(pool: Pool) -> None:
    for kind in [
        FailureKind.BAD_REQUEST,
        FailureKind.NOT_FOUND,
        FailureKind.CAPACITY,
        FailureKind.SERVER_ERROR,
    ]:
        lease = take(pool)
        pool.failed(lease, kind)
        lease.release()

    assert pool.cooldowns.of_account(1) == {}


def test_a_clock_set_back_does_not_lengthen_a_cooldown(clock: Clock) -> None:
    pool = a_pool(clock, 1)
    pool.failed(take(pool), FailureKind.QUOTA, 5)

    clock.now -= 3600

    assert pool.lease(SONNET) is not None


async def test_waiters_recheck_when_their_account_is_removed(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    take(pool)
    waiter = pool.queue(SONNET)

    pool.replace([])

    answer = await waiter.answer
    assert isinstance(answer, NoAccount)
    assert (answer.view.not_limited, answer.view.limited) == ([], [])


async def test_waiters_are_served_before_a_new_request_when_a_cooldown_ends(
    clock: Clock, live_setting: Set
) -> None:
    """The wake-up timer has not fired yet: the new request must neither overtake nor be refused."""
    live_setting("MAX_CONCURRENT_REQUESTS", 2)
    pool = a_pool(clock, 1)
    lease = take(pool)
    pool.failed(lease, FailureKind.QUOTA, 600)
    lease.release()
    waiter = pool.queue(SONNET)

    clock.now += 601
    new_lease = pool.lease(SONNET)

    assert new_lease is not None
    assert waiter.answer.done()
    assert pool.lease(SONNET) is None


@pytest.mark.parametrize(("wait_limits", "stays"), [(WaitLimits(limit_until=1), False), (WaitLimits(), True)])
async def test_a_less_patient_waiter_is_woken_when_the_return_moves_away(
    wait_limits: WaitLimits, stays: bool, clock: Clock, live_setting: Set
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    held = take(pool)
    waiter = pool.queue(SONNET, wait_limits=wait_limits)

    pool.failed(held, FailureKind.QUOTA, 600)

    assert waiter.answer.done() is not stays
    assert pool.waiting == stays


@pytest.mark.parametrize(
    ("wait_limits", "stays"), [(WaitLimits(backoff_until=1), False), (WaitLimits(), True)]
)
async def test_a_model_backoff_wakes_waiters_without_patience_for_it(
    wait_limits: WaitLimits, stays: bool, clock: Clock, live_setting: Set
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    take(pool)
    waiter = pool.queue(SONNET, wait_limits=wait_limits)
    other = pool.queue(FLASH, wait_limits=wait_limits)

    pool.back_off(SONNET_KEY, 30)

    assert waiter.answer.done() is not stays
    assert not other.answer.done()


async def test_groups_with_other_needs_are_served_in_order_of_arrival(
    clock: Clock, live_setting: Set
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 2)
    held = [take(pool), take(pool)]
    needs = [(SONNET, {1}), (FLASH, set()), (SONNET, set()), (SONNET, {2}), (FLASH, {1})]
    waiters = [pool.queue(structs.replace(request, refused=excluded)) for request, excluded in needs]

    served = []
    while held:
        held.pop(0).release()
        for number, waiter in enumerate(waiters):
            if waiter.answer.done() and number not in served:
                served.append(number)
                held.append(await lease_of(waiter))

    # Account 1 first, then 2, and so on: the first request that can use the freed account.
    assert served == [1, 0, 2, 4, 3]
    assert pool.waiting == 0


@pytest.mark.parametrize("event", ["comes", "queues", "becomes free", "refuses", "wakes up"])
async def test_an_event_costs_the_same_however_many_wait(
    event: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in evaluations of accounts: cooldown checks and choices of an account."""
    costs = {waiting: await cost_of(event, waiting, clock, monkeypatch) for waiting in (10, 900)}

    assert costs[900] == costs[10]


NEEDS = [SONNET, FLASH, structs.replace(SONNET, refused={1}), structs.replace(FLASH, refused={2, 3})]


async def cost_of(event: str, waiting: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> int:
    pool = a_pool(clock, 50)
    held = []
    while lease := pool.lease(SONNET):
        held.append(lease)
    for number in range(waiting):
        pool.queue(NEEDS[number % len(NEEDS)])
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def look(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            return function(*arguments)

        return look

    monkeypatch.setattr(pool.cooldowns, "get", counted(pool.cooldowns.get))
    monkeypatch.setattr(pool, "_choose", counted(pool._choose))
    events: dict[str, Callable[[], object]] = {
        "comes": lambda: pool.lease(SONNET),
        "queues": lambda: pool.queue(SONNET),
        "becomes free": held[0].release,
        "refuses": lambda: pool.failed(held[0], FailureKind.QUOTA, 600),
        "wakes up": pool.recheck,
    }
    events[event]()
    return count


async def test_waiters_that_leave_are_removed_from_all_tables(clock: Clock, live_setting: Set) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    pool = a_pool(clock, 1)
    take(pool)
    last = pool.queue(SONNET)

    for _ in range(1000):
        waiter = pool.queue(SONNET)
        pool._queue.remove(waiter)

    assert len(last.group._limits._heap) < 100
    pool._queue.remove(last)
    assert pool._queue.groups() == []


def test_an_account_with_failures_is_used_when_it_is_the_only_one(pool: Pool) -> None:
    pool.failed(take(pool), FailureKind.NO_LICENCE)

    assert take(pool).account.id == 2
    pool.replace(pool.accounts[:1])
    assert take(pool).account.id == 1


@pytest.mark.parametrize("before", [FailureKind.SERVER_ERROR, FailureKind.NO_LICENCE])
def test_a_limit_outweighs_a_cooldown_that_has_just_begun(pool: Pool, before: FailureKind) -> None:
    lease = take(pool)
    for _ in range(ACCOUNT_POLICIES[FailureKind.SERVER_ERROR].cools_down_after):
        pool.failed(lease, before)

    cooldown = pool.failed(lease, FailureKind.QUOTA, 7200)

    assert cooldown is not None
    assert (cooldown.is_limit, cooldown.until - cooldown.since) == (True, 7200)


@pytest.mark.parametrize("name", ["gemini-3-flash", "gemini-3-flash-preview"])
def test_a_threshold_counts_under_the_listed_and_the_sent_name(clock: Clock, name: str) -> None:
    pool = Pool(clock)
    spared = PooledAccount(1, "a@example.com", "p", model_quota_thresholds={name: 0.5})
    pool.replace([spared, PooledAccount(2, "b@example.com", "p")])
    for account_id in (1, 2):
        pool.set_remaining(account_id, {"gemini-3-flash-preview:cli": 0.4})

    target = Target("gemini-3-flash-preview:cli", "gemini-3-flash")
    lease = pool.lease(AccountRequest({"google": target}))

    assert lease is not None
    assert lease.account.id == 2
