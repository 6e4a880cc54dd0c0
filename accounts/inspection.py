"""Inspect an account at Google: its project, its tier, its models and what is left of them.

The server does this in the background, `verifyaccounts` and the admin on demand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async

from accounts.credentials.access_tokens import AccessTokens
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.watch import DatabaseDown
from accounts.failures import ACCOUNT_POLICIES, FailureKind
from accounts.google.code_assist import (
    Assignment,
    CodeAssistFailed,
    ModelOffer,
    fetch_available_models,
    generate_a_token,
    load_code_assist,
    onboard_user,
    retrieve_cli_quota,
)
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown
from accounts.models import Account
from accounts.network import AccountsClient
from accounts.quota.snapshots import store_quotas
from accounts.status.states import enter_state

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

AccountTrouble = (
    SignInExpired, ClientSecretWrong, TokenEndpointDown, CredentialsUnreadable, CodeAssistFailed, DatabaseDown
)  # fmt: skip


class OutOfUse(CodeAssistFailed):
    """Google wants something from a person; `state` says what, `link` where."""

    def __init__(self, state: Account.State, reason: str, link: str = "") -> None:
        super().__init__(reason)
        self.state, self.link = state, link


@dataclass(frozen=True, slots=True)
class Inspection:
    """`tier` is "unknown" when it was not asked for or not said. `offers` are the models of header mode
    antigravity, `cli_offers` the Gemini models of mode cli; empty when Google did not say."""

    project_id: str
    tier: str
    offers: dict[str, ModelOffer]
    cli_offers: dict[str, ModelOffer] = field(default_factory=dict)


async def inspect(
    client: AccountsClient, access_token: str, project_id: str, *, with_tier: bool = True
) -> Inspection:
    """Raises CodeAssistFailed, and OutOfUse when the account cannot be used as it is."""
    try:
        project_id, tier = await _project_and_tier(client, access_token, project_id, with_tier)
        try:
            offers = await fetch_available_models(client, access_token, project_id)
        except CodeAssistFailed as error:
            if error.kind is not FailureKind.WRONG_PROJECT:
                raise
            # It was removed, or never was this account's: ask which one is.
            project_id, tier = await _find_project(client, access_token, "")
            offers = await fetch_available_models(client, access_token, project_id)
    except CodeAssistFailed as error:
        raise _as_out_of_use(error) from error
    return Inspection(project_id, tier, offers, await _cli_offers(client, access_token, project_id))


async def inspect_account(
    client: AccountsClient, tokens: AccessTokens, account_id: int, project_id: str, *, with_tier: bool = True
) -> Inspection:
    """With the access token at hand; when Google refuses that, once more with a new one.

    Raises what AccountTrouble lists.
    """
    token = await tokens.get(account_id)
    try:
        return await inspect(client, token, project_id, with_tier=with_tier)
    except CodeAssistFailed as error:
        if error.kind is not FailureKind.ACCESS_TOKEN_REFUSED:
            raise
        tokens.forget(account_id, token)
    return await inspect(client, await tokens.get(account_id), project_id, with_tier=with_tier)


async def _project_and_tier(
    client: AccountsClient, access_token: str, project_id: str, with_tier: bool
) -> tuple[str, str]:
    """That the tier cannot be had just now is no reason to do without the models."""
    if project_id and not with_tier:
        return project_id, "unknown"
    try:
        return await _find_project(client, access_token, project_id)
    except CodeAssistFailed as error:
        if not project_id or isinstance(_as_out_of_use(error), OutOfUse):
            raise
        logger.info("The tier is not known now: %s", error)
        return project_id, "unknown"


async def _find_project(client: AccountsClient, access_token: str, project_id: str) -> tuple[str, str]:
    """The project, the operator's own when there is one, and the tier."""
    assignment = await load_code_assist(client, access_token, project_id)
    if assignment.verification_link:
        reason = "Google asks to verify the account before it may be used."
        raise OutOfUse(Account.State.NEEDS_VERIFICATION, reason, assignment.verification_link)
    found = project_id or assignment.project_id or await _onboard(client, access_token, assignment)
    return found, assignment.tier


async def _onboard(client: AccountsClient, access_token: str, assignment: Assignment) -> str:
    if project_id := await onboard_user(client, access_token, assignment.onboarding_tier_id):
        return project_id
    raise OutOfUse(Account.State.NEEDS_PROJECT, "Google has made no Cloud project for this account.")


async def _cli_offers(client: AccountsClient, access_token: str, project_id: str) -> dict[str, ModelOffer]:
    try:
        return await retrieve_cli_quota(client, access_token, project_id)
    except CodeAssistFailed as error:
        logger.debug("no quota of header mode cli: %s", error)
        return {}


def _as_out_of_use(error: CodeAssistFailed) -> CodeAssistFailed:
    if error.error is not None and (state := ACCOUNT_POLICIES[error.error.kind].state):
        return OutOfUse(Account.State(state), error.error.message, error.error.link)
    return error


def store_inspection(account_id: int, inspection: Inspection) -> None:
    """An unknown tier never overwrites a known one; requests hear of it only when there is news for them."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        return
    store_quotas(account_id, "antigravity", inspection.offers.values())
    store_quotas(account_id, "cli", inspection.cli_offers.values())
    tier = inspection.tier if inspection.tier != "unknown" else account.tier
    if (account.project_id, account.tier) != (inspection.project_id, tier):
        account.project_id, account.tier = inspection.project_id, tier
        account.save(update_fields=["project_id", "tier"])


# On demand


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one account did. `problem` is "" when it works; `state` is what it is in now."""

    account_id: int
    email: str
    state: str
    problem: str = ""
    is_unreachable: bool = False
    """Google did not answer, so nothing was learnt about the account."""
    link: str = ""
    tier: str = "unknown"
    project_id: str = ""
    models: int = 0


Check = Callable[[Account, AccountsClient, AccessTokens], Awaitable[CheckResult]]
AT_ONCE = 8


async def check_all(
    accounts: Sequence[Account], check: Check, on_done: Callable[[CheckResult], None] = lambda result: None
) -> list[CheckResult]:
    """Several at once; returns results in the order of `accounts`, calls `on_done` in the order they come."""
    client = AccountsClient()
    tokens = AccessTokens(client)
    few_at_once = asyncio.Semaphore(AT_ONCE)

    async def check_one(account: Account) -> CheckResult:
        async with few_at_once:
            try:
                result = await check(account, client, tokens)
            except Account.DoesNotExist:
                result = CheckResult(
                    account.pk, account.email, account.state, "it has been removed meanwhile"
                )
        on_done(result)
        return result

    try:
        return await asyncio.gather(*(check_one(account) for account in accounts))
    finally:
        await client.close()


async def verify(account: Account, client: AccountsClient, tokens: AccessTokens) -> CheckResult:
    """Check one account with a new access token, and put it in state OK if it passes.

    An account that the answer to a request took out of use makes a model call, too, because the other calls
    may work all the same. A failure that is not the account's (no network, a wrong client secret) leaves its
    state.
    """
    try:
        access_token = await tokens.renew(account.pk)
        inspection = await inspect(client, access_token, account.project_id)
        if account.state in {Account.State.NEEDS_VERIFICATION, Account.State.DISABLED_BY_PROVIDER}:
            await _try_a_model(client, access_token, inspection)
    except OutOfUse as error:
        await database_sync_to_async(enter_state)(account.pk, error.state, str(error), error.link)
        return await _result(account.pk, str(error))
    except AccountTrouble as error:
        return await _result(account.pk, str(error), is_unreachable=_is_unreachable(error))
    await database_sync_to_async(store_inspection)(account.pk, inspection)
    await database_sync_to_async(enter_state)(account.pk, Account.State.OK)
    return await _result(account.pk, models=len(inspection.offers))


async def refresh_quota(account: Account, client: AccountsClient, tokens: AccessTokens) -> CheckResult:
    """Ask what is left, without touching the state of an account that answers."""
    try:
        inspection = await inspect_account(client, tokens, account.pk, account.project_id)
    except AccountTrouble as error:
        return await _result(account.pk, str(error), is_unreachable=_is_unreachable(error))
    await database_sync_to_async(store_inspection)(account.pk, inspection)
    return await _result(account.pk, models=len(inspection.offers))


async def _try_a_model(client: AccountsClient, access_token: str, inspection: Inspection) -> None:
    """Raises OutOfUse or CodeAssistFailed. An error for want of quota or capacity passes: the account was
    accepted."""
    models = sorted(
        inspection.offers.values(), key=lambda offer: (offer.remaining_fraction == 0, "flash" not in offer.id)
    )
    for offer in models[:1]:
        try:
            await generate_a_token(client, access_token, inspection.project_id, offer.id)
        except CodeAssistFailed as error:
            if error.kind is None or not ACCOUNT_POLICIES[error.kind].accepts_account:
                raise _as_out_of_use(error) from error


def _is_unreachable(error: Exception) -> bool:
    if isinstance(error, TokenEndpointDown):
        return True
    return isinstance(error, CodeAssistFailed) and error.error is None


async def _result(
    account_id: int, problem: str = "", models: int = 0, *, is_unreachable: bool = False
) -> CheckResult:
    account = await Account.objects.aget(pk=account_id)
    return CheckResult(
        account_id=account_id,
        email=account.email,
        state=account.state,
        problem=problem,
        is_unreachable=is_unreachable,
        link=account.state_link,
        tier=account.tier,
        project_id=account.project_id,
        models=models,
    )
