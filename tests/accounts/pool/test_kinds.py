"""One decision over accounts of several kinds: targets, backoffs of one kind, the queue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from accounts.failures import FailureKind, Scope
from accounts.pool.pool import Lease, Pool, PooledAccount
from accounts.pool.request import AccountRequest, NoCapacity, Target
from accounts.pool.view import NoAccount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.accounts.pool.conftest import Clock, Set

GOOGLE = Target("claude-sonnet-4-6:antigravity", "claude-sonnet-4-6")
ANTHROPIC = Target("claude-sonnet-4-6-20260101:anthropic", "claude-sonnet-4-6-20260101")
KINDS = {1: "google", 2: "google", 3: "anthropic"}


@pytest.fixture
def pool(clock: Clock) -> Pool:
    pool = Pool(clock)
    pool.replace([PooledAccount(n, f"user{n}@example.com", "p", kind) for n, kind in KINDS.items()])
    return pool


def for_both(*, refused: Iterable[int] = ()) -> AccountRequest:
    return AccountRequest({"google": GOOGLE, "anthropic": ANTHROPIC}, refused=set(refused))


def leased(pool: Pool, request: AccountRequest) -> Lease:
    lease = pool.lease(request)
    assert lease is not None
    return lease


def test_the_lease_names_the_target_of_its_kind(pool: Pool) -> None:
    assert leased(pool, for_both(refused={3})).target == GOOGLE
    assert leased(pool, for_both(refused={1, 2})).target == ANTHROPIC


def test_a_kind_without_a_target_is_never_leased(pool: Pool) -> None:
    request = AccountRequest({"anthropic": ANTHROPIC})

    assert {leased(pool, request).account.id for _ in range(3)} == {3}
    assert pool.lease(AccountRequest({"gemini": Target("gemini-3-flash:gemini")})) is None


def test_a_key_needs_no_project(pool: Pool) -> None:
    key = PooledAccount(3, "", "", "anthropic")
    pool.replace([replace(pool.accounts[0], project_id="", needs_project=True), key, pool.accounts[1]])

    assert leased(pool, for_both(refused={2})).account.id == 3


def test_each_list_is_asked_for_its_own_name(pool: Pool) -> None:
    asked: set[tuple[int, str]] = set()

    def lists_model(account_id: int, listed_id: str, model_key: str) -> bool:
        asked.add((account_id, listed_id))
        return True

    pool.lists_model = lists_model
    leased(pool, for_both())

    assert asked == {(1, GOOGLE.listed_id), (2, GOOGLE.listed_id), (3, ANTHROPIC.listed_id)}


def test_an_unlisted_model_is_tried_with_all_that_have_a_target(pool: Pool) -> None:
    pool.lists_model = lambda *_: False

    assert len(pool.view({"google": GOOGLE}).free) == 2
    assert not pool.is_listed({"google": GOOGLE, "anthropic": ANTHROPIC})


def test_a_backed_off_kind_leaves_the_others(pool: Pool, clock: Clock) -> None:
    pool.back_off(GOOGLE.model_key, 30)
    view = pool.view(for_both().targets)

    assert leased(pool, for_both()).account.id == 3
    assert (view.backoff(), [one.id for one in view.backed_off]) == (None, [1, 2])
    assert view.return_at({3}) == clock.now + 30


def test_with_all_kinds_backed_off_the_first_end_counts(pool: Pool, clock: Clock) -> None:
    pool.back_off(GOOGLE.model_key, 30)
    pool.back_off(ANTHROPIC.model_key, 5)
    view = pool.view(for_both().targets)

    assert pool.lease(for_both()) is None
    assert view.return_at() == clock.now + 5
    assert view.return_at({3}) == clock.now + 30


def test_two_reports_of_one_kind_back_off_that_kind(pool: Pool, clock: Clock) -> None:
    request = for_both()
    for account_id in (1, 2):
        request.report_no_capacity(account_id, NoCapacity(GOOGLE.model_key, 7.0), clock.now)

    answer = asyncio.run(pool.acquire(request))

    assert isinstance(answer, Lease)
    assert answer.account.id == 3
    assert pool.cooldowns.backoff(ANTHROPIC.model_key) is None
    assert request.without_capacity == {}


def test_one_report_backs_off_when_no_account_of_the_kind_is_left(pool: Pool, clock: Clock) -> None:
    request = for_both()
    request.report_no_capacity(3, NoCapacity(ANTHROPIC.model_key, None), clock.now)

    asyncio.run(pool.acquire(request))

    assert pool.cooldowns.backoff(ANTHROPIC.model_key) is not None
    assert pool.cooldowns.backoff(GOOGLE.model_key) is None


async def test_a_limit_of_one_kind_and_a_backoff_of_another_end_first_come_first(
    pool: Pool, clock: Clock
) -> None:
    pool.back_off(GOOGLE.model_key, 30)
    pool.failed(leased(pool, for_both()), FailureKind.QUOTA, 600)

    asking = asyncio.create_task(pool.acquire(for_both(), clock.now + 60))
    await asyncio.sleep(0)
    assert not asking.done()
    clock.now += 31
    pool.recheck()
    answer = await asking

    assert isinstance(answer, Lease)
    assert answer.account.kind == "google"


async def test_whoever_cannot_wait_that_long_is_told_when(pool: Pool, clock: Clock) -> None:
    pool.back_off(GOOGLE.model_key, 30)
    pool.failed(leased(pool, for_both()), FailureKind.QUOTA, 600)

    answer = await pool.acquire(for_both(), clock.now + 20)

    assert isinstance(answer, NoAccount)
    assert answer.view.return_at() == clock.now + 30


async def test_a_freed_account_serves_those_that_wait_for_any_of_its_models(pool: Pool) -> None:
    pool.replace(pool.accounts[2:])
    held = [leased(pool, for_both()) for _ in range(3)]
    while lease := pool.lease(for_both()):
        held.append(lease)
    both, one = pool.queue(for_both()), pool.queue(AccountRequest({"google": GOOGLE}))

    held[0].release()

    assert isinstance(await both.answer, Lease)
    assert isinstance(await one.answer, NoAccount)
    assert pool.waiting == 0


# What a request costs


def paid_and_free(pool: Pool) -> None:
    pool.replace([replace(one, is_paid=one.kind == "anthropic") for one in reversed(pool.accounts)])


def test_a_paid_account_serves_when_no_other_can(pool: Pool) -> None:
    paid_and_free(pool)
    request = structs.replace(for_both(), conversation="a")

    free = leased(pool, request)
    pool.failed(free, FailureKind.QUOTA, 600)
    other = leased(pool, request)
    pool.failed(other, FailureKind.QUOTA, 600)

    assert {free.account.kind, other.account.kind} == {"google"}
    assert leased(pool, request).account.kind == "anthropic"


def test_a_conversation_leaves_the_paid_account_once_another_can_serve(pool: Pool, clock: Clock) -> None:
    paid_and_free(pool)
    request = structs.replace(for_both(), conversation="a")
    pool.back_off(GOOGLE.model_key, 30)
    assert leased(pool, request).account.kind == "anthropic"

    clock.now += 31

    assert leased(pool, request).account.kind == "google"


def test_costs_do_not_matter_when_the_operator_says_so(pool: Pool, live_setting: Set) -> None:
    live_setting("PAID_ACCOUNTS_LAST", False)
    paid_and_free(pool)

    assert leased(pool, for_both()).account.kind == "anthropic"


# Accounts that share their limits


def grouped(pool: Pool) -> None:
    """Accounts 1 and 2 are in a group, 4 and 5 in one of another kind with the same name."""
    first = [replace(one, quota_group="acme") for one in pool.accounts[:2]]
    other = [PooledAccount(n, f"Key {n}", "", "anthropic", quota_group="acme") for n in (4, 5)]
    pool.replace([*first, pool.accounts[2], *other])


def in_cooldown(pool: Pool, target: Target) -> set[int]:
    """Ids of the accounts in a cooldown for the target."""
    key = target.model_key
    return {one.id for one in pool.accounts if pool.cooldowns.weightiest((one.id, key)) is not None}


OPUS = Target("claude-opus-5-5:anthropic", "claude-opus-5-5")
OF_ONE_MODEL = [FailureKind.QUOTA, FailureKind.RATE_LIMIT, FailureKind.UNKNOWN_LIMIT]


@pytest.mark.parametrize("kind", OF_ONE_MODEL)
def test_a_limit_rests_the_group_for_that_model(pool: Pool, kind: FailureKind) -> None:
    grouped(pool)

    pool.failed(leased(pool, for_both(refused={1, 2, 3})), kind, 60)

    assert in_cooldown(pool, ANTHROPIC) == {4, 5}
    assert in_cooldown(pool, OPUS) == set()


def test_a_spend_limit_rests_the_group_for_all_models(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    grouped(pool)

    pool.failed(leased(pool, for_both(refused={1, 2, 3})), FailureKind.SPEND_LIMIT, 9 * 24 * 3600)

    assert in_cooldown(pool, ANTHROPIC) == in_cooldown(pool, OPUS) == {4, 5}
    said = [one.getMessage() for one in caplog.records if one.name == "accounts.pool.pool"]
    assert [one.partition(" cools ")[2] for one in said] == ["down for all models: spend limit, 777600 s", ""]
    assert said[1] == "Accounts of the same quota group that cool down with it: 1"
    assert leased(pool, for_both(refused={1, 2})).account.id == 3


def test_the_health_of_the_others_does_not_change(pool: Pool, clock: Clock) -> None:
    grouped(pool)
    before = [pool.state.score(n, clock.now).health for n in (4, 5)]

    pool.failed(leased(pool, for_both(refused={1, 2, 3, 5})), FailureKind.QUOTA, 60)

    after = [pool.state.score(n, clock.now).health for n in (4, 5)]
    assert after == [before[0] - 10, before[1]]


def test_a_longer_limit_of_another_stays(pool: Pool, clock: Clock) -> None:
    grouped(pool)
    pool.failed(leased(pool, for_both(refused={2, 3, 4, 5})), FailureKind.QUOTA, 7200)
    pool.cooldowns.succeeded((1, GOOGLE.model_key), clock.now)

    pool.failed(leased(pool, for_both(refused={2, 3, 4, 5})), FailureKind.RATE_LIMIT, 30)

    view = pool.view({"google": GOOGLE})
    assert [(one.id, limit.until - clock.now) for one, limit in view.limited] == [(1, 30), (2, 7200)]


def test_an_answer_ends_the_cooldown_of_the_group(pool: Pool) -> None:
    grouped(pool)
    request = for_both(refused={1, 2, 3})
    lease, other = leased(pool, request), leased(pool, request)
    pool.failed(lease, FailureKind.QUOTA, 60)

    pool.succeeded(other)

    assert in_cooldown(pool, ANTHROPIC) == set()


async def test_a_group_is_probed_by_one_request_an_hour(pool: Pool, clock: Clock) -> None:
    grouped(pool)
    request = for_both(refused={1, 2, 3})
    pool.failed(leased(pool, request), FailureKind.SPEND_LIMIT, 9 * 24 * 3600)

    clock.now += 3601

    assert pool.lease(request) is not None
    assert pool.lease(request) is None


def test_what_is_wrong_for_the_kind_rests_it_but_bars_none(pool: Pool) -> None:
    grouped(pool)

    pool.failed(leased(pool, for_both(refused={1, 2})), FailureKind.PLACE_REFUSED, 30, Scope.KIND)

    assert in_cooldown(pool, OPUS) == {3, 4, 5}
    assert leased(pool, for_both()).account.kind == "google"
    assert leased(pool, for_both(refused={1, 2})).account.kind == "anthropic"


def test_accounts_without_a_group_cool_down_alone(pool: Pool) -> None:
    pool.failed(leased(pool, for_both(refused={3})), FailureKind.QUOTA, 60, Scope.QUOTA_GROUP)

    assert len(in_cooldown(pool, GOOGLE)) == 1


def test_a_model_that_is_not_offered_is_asked_for_elsewhere_for_a_day(pool: Pool, clock: Clock) -> None:
    grouped(pool)
    pool.failed(
        leased(pool, for_both(refused={2, 3, 4, 5})), FailureKind.NO_LICENCE, 24 * 3600, Scope.QUOTA_GROUP
    )

    clock.now += 23 * 3600

    assert {leased(pool, for_both()).account.kind for _ in range(3)} == {"anthropic"}
    assert leased(pool, for_both(refused={3, 4, 5})).account.kind == "google"
