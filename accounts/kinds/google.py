"""Accounts that are signed in at Google and served by Cloud Code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from accounts.failures import ACCOUNT_POLICIES, AccountCheckFailed, FailureKind
from accounts.google.code_assist import (
    Assignment,
    CodeAssistFailed,
    fetch_available_models,
    generate_a_token,
    load_code_assist,
    onboard_user,
    retrieve_cli_quota,
    retrieve_quota_windows,
)
from accounts.google.oauth import (
    ClientSecretWrong,
    OwnerNotNamed,
    SignInExpired,
    TokenEndpointDown,
    fetch_email,
    refresh_access_token,
)
from accounts.kinds.access import Access
from accounts.kinds.base import Inspection, Kind, OutOfUse, OwnerUnknown
from accounts.models import Account
from accounts.terms import NOTICE

if TYPE_CHECKING:
    from accounts.credentials.access_tokens import AccessTokens
    from accounts.kinds.base import AccountFacts
    from accounts.network import AccountsClient
    from accounts.offers import ModelOffer, WindowOffer

logger = logging.getLogger(__name__)


class Google(Kind):
    """An account that is signed in at Google. Its credential is an OAuth refresh token; its access is an
    access token and the Cloud project."""

    title = "Google account, served by Cloud Code"
    noun = "Google account"
    provider = "Google"
    terms = "Not permitted by Google's terms: at your own risk."
    families = ("Claude", "Gemini")
    notice = NOTICE
    secret_field = "refresh_token"  # noqa: S105  # the name of a field
    has_owner = True
    has_project = True
    quota_mode = "antigravity"

    async def access(self, tokens: AccessTokens, account: AccountFacts, *, renewed: bool = False) -> Access:
        token = await (tokens.renew(account.id) if renewed else tokens.get(account.id))
        return Access(token, {"project_id": account.project_id})

    def forget(self, tokens: AccessTokens, account_id: int, refused: Access) -> None:
        tokens.forget(account_id, refused.secret)

    async def inspect(self, client: AccountsClient, access: Access, *, with_tier: bool) -> Inspection:
        token, project_id = access.secret, access.details["project_id"]
        try:
            project_id, tier = await _project_and_tier(client, token, project_id, with_tier)
            try:
                offers = await fetch_available_models(client, token, project_id)
            except CodeAssistFailed as error:
                if error.kind is not FailureKind.WRONG_PROJECT:
                    raise
                # The project was deleted or belongs to another account: look the right one up.
                project_id, tier = await _find_project(client, token, "")
                offers = await fetch_available_models(client, token, project_id)
        except CodeAssistFailed as error:
            raise _as_out_of_use(error) from error
        return Inspection(
            project_id,
            tier,
            offers,
            await _cli_offers(client, token, project_id),
            await _windows(client, token, project_id),
        )

    async def try_a_model(self, client: AccountsClient, access: Access, inspection: Inspection) -> None:
        models = sorted(
            inspection.offers.values(),
            key=lambda offer: (offer.remaining_fraction == 0, "flash" not in offer.id),
        )
        for offer in models[:1]:
            try:
                await generate_a_token(client, access.secret, inspection.project_id, offer.id)
            except CodeAssistFailed as error:
                if error.kind is None or not ACCOUNT_POLICIES[error.kind].accepts_account:
                    raise _as_out_of_use(error) from error

    async def find_owner(self, client: AccountsClient, secret: str) -> tuple[str, str]:
        try:
            grant = await refresh_access_token(client, secret)
            return await fetch_email(client, grant.access_token), grant.refresh_token or secret
        except (SignInExpired, ClientSecretWrong, TokenEndpointDown, OwnerNotNamed) as error:
            raise OwnerUnknown(str(error)) from error


async def _project_and_tier(
    client: AccountsClient, access_token: str, project_id: str, with_tier: bool
) -> tuple[str, str]:
    """Return the project and the tier. With a known project, an error in reading the tier is only logged."""
    if project_id and not with_tier:
        return project_id, "unknown"
    try:
        return await _find_project(client, access_token, project_id)
    except CodeAssistFailed as error:
        if not project_id or isinstance(_as_out_of_use(error), OutOfUse):
            raise
        logger.info("The tier of an account could not be read: %s", error)
        return project_id, "unknown"


async def _find_project(client: AccountsClient, access_token: str, project_id: str) -> tuple[str, str]:
    """Return the operator's project, or the one that Google assigned, and the tier."""
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
        logger.debug("the quota of header mode cli could not be read: %s", error)
        return {}


async def _windows(client: AccountsClient, access_token: str, project_id: str) -> list[WindowOffer]:
    """Return the windows; none when Google refuses to report them, as it does for many accounts that work."""
    try:
        return await retrieve_quota_windows(client, access_token, project_id)
    except CodeAssistFailed as error:
        logger.debug("the windows of the quota could not be read: %s", error)
        return []


def _as_out_of_use(error: CodeAssistFailed) -> AccountCheckFailed:
    if error.error is not None and (state := ACCOUNT_POLICIES[error.error.kind].state):
        return OutOfUse(Account.State(state), error.error.message, error.error.link)
    return error
