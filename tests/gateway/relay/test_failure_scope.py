"""A failure concerns other accounts than the one that was asked: its quota group, or its kind."""

from __future__ import annotations

from typing import Any, cast

import pytest

from accounts.failures import FailureKind, Scope, UpstreamError
from accounts.pool.pool import Lease, Pool, PooledAccount
from accounts.pool.request import AccountRequest, Target
from gateway.errors import GatewayError, OperatorMustAct
from gateway.relay.context import ModelProgress, RequestContext
from gateway.relay.failover import Failover

GROUPS = {1: "acme", 2: "acme", 3: ""}
ANTHROPIC = [PooledAccount(n, f"Key {n}", "", "anthropic", quota_group=group) for n, group in GROUPS.items()]
GEMINI = [PooledAccount(4, "Key 4", "", "gemini", quota_group="acme")]
TARGETS = {"anthropic": Target("claude:anthropic", "claude"), "gemini": Target("claude:gemini", "claude")}


class Refusing:
    """Stands for the calls and for the accounts: each call is refused in the same way."""

    def __init__(self, kind: FailureKind, scope: Scope) -> None:
        self.pool = Pool()
        self.pool.replace([*ANTHROPIC, *GEMINI])
        self.error = UpstreamError(kind, 403, "no", {}, scope=scope)
        self.asked: list[int] = []
        self.out_of_use: list[int] = []

    def bases(self, *_: object) -> list[str]:
        return []

    async def send(self, lease: Lease, prepared: object, context: RequestContext) -> Any:
        context.begin_attempt(lease.account, lease.target.listed_id)
        self.asked.append(lease.account.id)
        raise self.error

    async def take_out_of_use(self, account: PooledAccount, *_: object) -> None:
        self.out_of_use.append(account.id)

    async def answer(self) -> GatewayError:
        progress, context = ModelProgress(AccountRequest(TARGETS)), RequestContext("session", "conversation")
        stand_in = cast("Any", self)
        nothing = cast("Any", None)
        failover = Failover(stand_in, stand_in, OperatorMustAct, nothing, nothing, context, progress)
        with pytest.raises(GatewayError) as raised:
            await failover.answer(may_wait=False)
        return raised.value


@pytest.mark.parametrize(
    ("kind", "scope", "asked"),
    [
        (FailureKind.NO_LICENCE, Scope.ACCOUNT, 4),
        (FailureKind.NO_LICENCE, Scope.QUOTA_GROUP, 3),
        (FailureKind.PLACE_REFUSED, Scope.KIND, 2),
        (FailureKind.QUOTA, Scope.ACCOUNT, 3),
        (FailureKind.SPEND_LIMIT, Scope.QUOTA_GROUP, 3),
    ],
)
async def test_accounts_that_would_say_the_same_are_not_asked(
    kind: FailureKind, scope: Scope, asked: int
) -> None:
    refusing = Refusing(kind, scope)

    await refusing.answer()

    assert len(refusing.asked) == len(set(refusing.asked)) == asked


async def test_a_suspended_project_takes_all_its_keys_out_of_use() -> None:
    refusing = Refusing(FailureKind.DISABLED, Scope.QUOTA_GROUP)

    await refusing.answer()

    assert sorted(refusing.out_of_use) == [1, 2, 3, 4]
    assert len(refusing.asked) == 3


async def test_the_operator_reads_what_to_do_about_credit() -> None:
    error = await Refusing(FailureKind.OUT_OF_CREDIT, Scope.QUOTA_GROUP).answer()

    assert error.status == 503
    assert "out of credit" in str(error)
