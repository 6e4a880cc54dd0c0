"""The pool's short ways choose the account that a comparison of all accounts would choose, and their cost
does not depend on the number of accounts."""

from __future__ import annotations

import cProfile
import pstats
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from accounts.failures import FailureKind, Scope
from accounts.pool import strategies
from accounts.pool.pool import Pool, PooledAccount
from accounts.pool.request import AccountRequest, Target
from accounts.pool.strategies import Candidate
from tests.accounts.pool.conftest import Clock

if TYPE_CHECKING:
    from accounts.pool.pool import Lease
    from accounts.pool.request import Targets
    from tests.accounts.pool.conftest import Set

MODELS = ["claude-sonnet-4-6", "gemini-3-flash"]
KINDS = ["google", "anthropic"]
IDS = st.integers(1, 6)


def targets_of(model: str, kinds: list[str]) -> Targets:
    return {kind: Target(f"{model}:{kind}", model) for kind in kinds}


TARGETS = st.builds(
    targets_of, st.sampled_from(MODELS), st.lists(st.sampled_from(KINDS), unique=True, min_size=1)
)
ACCOUNTS = st.lists(
    st.builds(
        PooledAccount,
        id=IDS,
        name=st.just("user@example.com"),
        project_id=st.sampled_from(["project", "project", ""]),
        needs_project=st.booleans(),
        kind=st.sampled_from(KINDS),
        quota_threshold=st.sampled_from([None, None, 0.3]),
        model_quota_thresholds=st.sampled_from([{}, {}, {"gemini-3-flash": 0.6}]),
        priority=st.sampled_from([0, 0, 1]),
        is_paid=st.booleans(),
        quota_group=st.sampled_from(["", "acme"]),
    ),
    unique_by=lambda one: one.id,
    min_size=1,
)
REQUESTS = st.builds(
    lambda **values: AccountRequest(**values),
    targets=TARGETS,
    conversation=st.sampled_from(["", "a", "b", "c"]),
    refused=st.sets(IDS, max_size=1),
    failed=st.lists(IDS, max_size=2),
)
FAILURES = [FailureKind.QUOTA, FailureKind.NO_LICENCE, FailureKind.SPEND_LIMIT, FailureKind.SERVER_ERROR]
EVENTS = st.one_of(
    st.tuples(st.just("request"), REQUESTS),
    st.tuples(st.just("request"), REQUESTS),
    st.tuples(st.just("request"), REQUESTS),
    st.tuples(st.just("release"), st.none()),
    st.tuples(st.just("fail"), st.tuples(st.sampled_from(FAILURES), st.sampled_from(Scope))),
    st.tuples(st.just("succeed"), st.none()),
    st.tuples(st.just("back off"), TARGETS),
    st.tuples(st.just("clock"), st.sampled_from([0.5, 30.0, 400.0, 7300.0, -60.0])),
    st.tuples(st.just("remaining"), st.tuples(IDS, TARGETS, st.sampled_from([0.0, 0.2, 0.5, 1.0]))),
    st.tuples(st.just("empty at"), st.tuples(IDS, TARGETS, st.sampled_from([10.0, 500.0]))),
    st.tuples(st.just("edit"), ACCOUNTS),
    st.tuples(st.just("lists"), st.sets(st.tuples(IDS, st.sampled_from(MODELS)))),
)
SETTINGS = st.fixed_dictionaries(
    {
        "ACCOUNT_STRATEGY": st.sampled_from(["hybrid", "sticky", "round-robin"]),
        "PAID_ACCOUNTS_LAST": st.booleans(),
        "MAX_CONCURRENT_REQUESTS": st.sampled_from([0, 1, 2]),
        "GLOBAL_QUOTA_THRESHOLD": st.sampled_from([0, 0.3]),
    }
)


class Comparison:
    """A pool with its history, and the choice as it is made by comparing all accounts."""

    def __init__(self, values: dict[str, Any], accounts: list[PooledAccount]) -> None:
        self.values, self.clock = values, Clock()
        self.pool = Pool(self.clock)
        self.listed: set[tuple[int, str]] | None = None
        self.pool.lists_model = lambda account_id, listed_id, _: self.lists(account_id, listed_id)
        self.empty_at: dict[tuple[int, str], float] = {}
        self.held: list[Lease] = []
        self.pool.replace(accounts)

    def lists(self, account_id: int, listed_id: str) -> bool | None:
        return None if self.listed is None else (account_id, listed_id) in self.listed

    def happens(self, event: str, details: Any) -> None:
        pool = self.pool
        if event == "request":
            self.compare(details)
        elif event == "clock":
            self.clock.now += details
        elif event == "back off":
            for target in details.values():
                pool.back_off(target.model_key, 45)
        elif event == "remaining":
            account_id, targets, fraction = details
            pool.set_remaining(account_id, {target.model_key: fraction for target in targets.values()})
        elif event == "empty at":
            account_id, targets, seconds = details
            ends = {(account_id, target.model_key): self.clock.now + seconds for target in targets.values()}
            self.empty_at = {**self.empty_at, **ends}
            pool.set_empty_at(self.empty_at)
        elif event == "edit":
            pool.replace(details)
        elif event == "lists":
            self.listed = details
            pool.recheck()
        elif self.held:
            self.ends(self.held.pop(0), event, details)

    def ends(self, lease: Lease, how: str, details: Any) -> None:
        if how == "fail":
            kind, scope = details
            self.pool.failed(lease, kind, None, scope)
        elif how == "succeed":
            self.pool.succeeded(lease)
        lease.release()

    def compare(self, request: AccountRequest) -> None:
        request = structs.replace(request)
        expected = self.choice(request)
        lease = self.pool.lease(request)
        if lease is not None:
            self.held.append(lease)
        if expected is not None:
            assert lease is not None
            assert lease.account == expected
        else:
            assert lease is None or self.is_limited(lease.account, request.targets), "a probe"

    def choice(self, request: AccountRequest) -> PooledAccount | None:
        for excluded in request.preferences():
            eligible = [one for one in self.eligible(request.targets) if one.id not in excluded]
            free = [one for one in eligible if self.is_free(one, request.targets)]
            healthy = [one for one in free if not self.cooldowns(one, request.targets)]
            if ready := healthy or free:
                ready = [one for one in ready if one.project_id or not one.needs_project] or ready
                return self.first(ready, request)
        return None

    def eligible(self, targets: Targets) -> list[PooledAccount]:
        served = [one for one in self.pool.accounts if one.kind in targets]
        answers = {one.id: self.lists(one.id, targets[one.kind].listed_id) for one in served}
        may = [one for one in served if answers[one.id] is not False]
        return may if any(answers.values()) else served

    def cooldowns(self, account: PooledAccount, targets: Targets) -> list[bool]:
        """Whether each active cooldown is a limit."""
        of_account = self.pool.cooldowns.of_account(account.id)
        keys = (targets[account.kind].model_key, "all models")
        return [of_account[key].is_limit for key in keys if key in of_account]

    def is_limited(self, account: PooledAccount, targets: Targets) -> bool:
        return any(self.cooldowns(account, targets))

    def is_free(self, account: PooledAccount, targets: Targets) -> bool:
        limit = self.values["MAX_CONCURRENT_REQUESTS"] or 10**9
        is_backed_off = self.pool.cooldowns.backoff(targets[account.kind].model_key) is not None
        is_busy = self.pool.in_flight(account.id) >= limit
        return not is_backed_off and not is_busy and not self.is_limited(account, targets)

    def first(self, ready: list[PooledAccount], request: AccountRequest) -> PooledAccount:
        state, now = self.pool.state, self.clock.now
        chosen = strategies.choose(
            self.values["ACCOUNT_STRATEGY"],
            [self.candidate(one, request.targets[one.kind]) for one in ready],
            state.account_of(request.conversation),
            state.previous,
            now,
        )
        return next(one for one in ready if one.id == chosen.id)

    def candidate(self, account: PooledAccount, target: Target) -> Candidate:
        pool, score = self.pool, self.pool.state.score(account.id, self.clock.now)
        threshold = account.model_quota_thresholds.get(target.listed_id, account.quota_threshold)
        return Candidate(
            id=account.id,
            priority=account.priority,
            cost_rank=int(account.is_paid and self.values["PAID_ACCOUNTS_LAST"]),
            last_used_at=pool.state.last_used.get(account.id, 0.0),
            health=score.health,
            tokens=score.tokens,
            remaining=pool.remaining(account.id).get(target.model_key),
            remaining_seen_at=pool._remaining_seen_at.get(account.id, 0.0),
            threshold=self.values["GLOBAL_QUOTA_THRESHOLD"] if threshold is None else threshold,
            empty_at=self.empty_at.get((account.id, target.model_key)),
        )


def live_settings(values: dict[str, Any]) -> dict[str, Any]:
    known = django_settings.LIVE_SETTINGS
    return {**known, **{name: replace(known[name], start_value=value) for name, value in values.items()}}


@settings(max_examples=200, deadline=None)
@given(SETTINGS, ACCOUNTS, st.lists(EVENTS, min_size=10, max_size=30))
def test_the_choice_is_that_of_a_comparison_of_all(
    values: dict[str, Any], accounts: list[PooledAccount], events: list[tuple[str, Any]]
) -> None:
    with override_settings(LIVE_SETTINGS=live_settings(values)):
        comparison = Comparison(values, accounts)
        for event, details in events:
            comparison.happens(event, details)


# What it costs


def calls(accounts: int, conversation: str = "") -> float:
    """Function calls, those of C too, of one request from its lease to its release."""
    pool, request = Pool(), AccountRequest(targets_of(MODELS[0], KINDS), conversation=conversation)
    pool.lists_model = lambda *_: True
    names = [PooledAccount(n, f"user{n}@example.com", "project") for n in range(1, accounts + 1)]
    pool.replace(names)
    profile, times = cProfile.Profile(), 50
    for turn in range(2 * times):
        if turn == times:
            profile.enable()
        lease = pool.lease(request)
        assert lease is not None
        pool.succeeded(lease)
        lease.release()
    profile.disable()
    total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return total / times


@pytest.mark.parametrize("accounts", [20, 200])
@pytest.mark.parametrize("strategy", ["hybrid", "sticky", "round-robin"])
def test_a_turn_costs_the_same_with_many_accounts(strategy: str, accounts: int, live_setting: Set) -> None:
    live_setting("ACCOUNT_STRATEGY", strategy)

    assert calls(accounts, "a conversation") <= 1.1 * calls(1, "a conversation")


@pytest.mark.parametrize("strategy", ["sticky", "round-robin"])
def test_a_new_conversation_costs_the_same_with_many_accounts(strategy: str, live_setting: Set) -> None:
    live_setting("ACCOUNT_STRATEGY", strategy)

    assert calls(20) <= 1.1 * calls(1)


def test_hybrid_compares_all_accounts_for_a_new_conversation(live_setting: Set) -> None:
    live_setting("ACCOUNT_STRATEGY", "hybrid")

    assert calls(20) - calls(1) <= 20 * 11
