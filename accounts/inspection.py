"""Inspection of an account at its provider: project, tier, models and remaining quotas, and their storage.
The server inspects in the background, `verifyaccounts` and the admin on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async

from accounts.credentials.access_tokens import AccessTokens
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.watch import DatabaseDown
from accounts.failures import AccountCheckFailed, FailureKind
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown
from accounts.kinds.base import Inspection, OutOfUse
from accounts.kinds.registry import KINDS
from accounts.models import Account
from accounts.network import AccountsClient
from accounts.quota.snapshots import store_quotas, store_windows
from accounts.status.state_changes import enter_state

if TYPE_CHECKING:
    from accounts.pool.pool import PooledAccount

AccountErrors = (
    SignInExpired,
    ClientSecretWrong,
    TokenEndpointDown,
    CredentialsUnreadable,
    AccountCheckFailed,
    DatabaseDown,
)


async def inspect_account(
    client: AccountsClient,
    tokens: AccessTokens,
    account: Account | PooledAccount,
    *,
    with_tier: bool = True,
) -> Inspection:
    """Inspect the account. When the provider refuses the present access, try once more with a new one.

    Raises what AccountErrors lists.
    """
    kind = KINDS[account.kind]
    access = await kind.access(tokens, account)
    try:
        return await kind.inspect(client, access, with_tier=with_tier)
    except AccountCheckFailed as error:
        if error.kind is not FailureKind.ACCESS_TOKEN_REFUSED:
            raise
        kind.forget(tokens, account.id, access)
    access = await kind.access(tokens, account)
    return await kind.inspect(client, access, with_tier=with_tier)


def store_inspection(account_id: int, inspection: Inspection) -> None:
    """Store the result, keeping a known tier when the new one is unknown. Only a changed row bumps
    Revision."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        return
    if mode := KINDS[account.kind].quota_mode:
        store_quotas(account_id, mode, inspection.offers.values())
    store_quotas(account_id, "cli", inspection.cli_offers.values())
    store_windows(account_id, inspection.windows)
    tier = inspection.tier if inspection.tier != "unknown" else account.tier
    if (account.project_id, account.tier) != (inspection.project_id, tier):
        account.project_id, account.tier = inspection.project_id, tier
        account.save(update_fields=["project_id", "tier"])


# On demand


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. `problem` is "" when the account works; `state` is its state after the check."""

    account_id: int
    name: str
    email: str
    state: str
    problem: str = ""
    is_unreachable: bool = False
    """True when the provider did not answer, so the check says nothing about the account."""
    link: str = ""
    tier: str = "unknown"
    project_id: str = ""
    models: int = 0


Check = Callable[[Account, AccountsClient, AccessTokens], Awaitable[CheckResult]]
AT_ONCE = 8


async def check_all(
    accounts: Sequence[Account], check: Check, on_done: Callable[[CheckResult], None] = lambda result: None
) -> list[CheckResult]:
    """Check accounts, AT_ONCE at a time. Returns results in the order of `accounts`; `on_done` is called as
    each ends."""
    client = AccountsClient()
    tokens = AccessTokens(client)
    few_at_once = asyncio.Semaphore(AT_ONCE)

    async def check_one(account: Account) -> CheckResult:
        async with few_at_once:
            try:
                result = await check(account, client, tokens)
            except Account.DoesNotExist:
                result = CheckResult(
                    account.pk, account.name, account.email, account.state, "it has been removed meanwhile"
                )
        on_done(result)
        return result

    try:
        return await asyncio.gather(*(check_one(account) for account in accounts))
    finally:
        await client.close()


async def verify(account: Account, client: AccountsClient, tokens: AccessTokens) -> CheckResult:
    """Check one account with a new access token, and put it in state OK if it passes. An account that was
    taken out of use by the answer to a request makes a model call, too, because the other calls may still
    succeed. A failure that is not the account's (no network, a wrong client secret) leaves its state."""
    try:
        kind = KINDS[account.kind]
        access = await kind.access(tokens, account, renewed=True)
        inspection = await kind.inspect(client, access, with_tier=True)
        if account.state in {Account.State.NEEDS_VERIFICATION, Account.State.DISABLED_BY_PROVIDER}:
            await kind.try_a_model(client, access, inspection)
    except AccountErrors as error:
        return await _failed(account.pk, error)
    await database_sync_to_async(store_inspection)(account.pk, inspection)
    await database_sync_to_async(enter_state)(account.pk, Account.State.OK)
    return await _result(account.pk, models=len(inspection.offers))


async def refresh_quota(account: Account, client: AccountsClient, tokens: AccessTokens) -> CheckResult:
    """Read the account's quotas. The state of an account that answers stays as it is."""
    try:
        inspection = await inspect_account(client, tokens, account)
    except AccountErrors as error:
        return await _failed(account.pk, error)
    await database_sync_to_async(store_inspection)(account.pk, inspection)
    return await _result(account.pk, models=len(inspection.offers))


async def _failed(account_id: int, error: Exception) -> CheckResult:
    """Return the result of a failed check. The account enters the state that the failure requires, if any."""
    if isinstance(error, OutOfUse):
        await database_sync_to_async(enter_state)(account_id, error.state, str(error), error.link)
    return await _result(account_id, str(error), is_unreachable=_is_unreachable(error))


def _is_unreachable(error: Exception) -> bool:
    if isinstance(error, AccountCheckFailed):
        return error.error is None and not isinstance(error, OutOfUse)
    return isinstance(error, TokenEndpointDown)


async def _result(
    account_id: int, problem: str = "", models: int = 0, *, is_unreachable: bool = False
) -> CheckResult:
    account = await Account.objects.aget(pk=account_id)
    return CheckResult(
        account_id=account_id,
        name=account.name,
        email=account.email,
        state=account.state,
        problem=problem,
        is_unreachable=is_unreachable,
        link=account.state_link,
        tier=account.tier,
        project_id=account.project_id,
        models=models,
    )
