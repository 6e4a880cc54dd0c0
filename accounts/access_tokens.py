"""Access tokens: is it still good, refresh it once, keep the new one. In memory only, never stored."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async

from accounts.google.oauth import SignInExpired, TokenGrant, refresh_access_token
from accounts.models import Account

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.outbound import AccountsClient

EARLY_SECONDS = 60.0
"""A token is renewed this long before Google lets it run out, so that none dies on the way."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    text: str
    good_until: float


class AccessTokens:
    def __init__(self, client: AccountsClient, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now
        self._tokens: dict[int, AccessToken] = {}
        self._refreshes: dict[int, asyncio.Task[str]] = {}

    async def get(self, account_id: int) -> str:
        """However many ask at once, Google is asked once.

        Raises SignInExpired (the account has been put in state INVALID), ClientSecretWrong,
        TokenEndpointDown or CredentialsUnreadable.
        """
        token = self._tokens.get(account_id)
        if token is not None and token.good_until > self._now():
            return token.text
        refresh = self._refreshes.get(account_id)
        if refresh is None:
            refresh = asyncio.ensure_future(self._refresh(account_id))
            self._refreshes[account_id] = refresh
            refresh.add_done_callback(lambda _: self._refreshes.pop(account_id, None))
        # Shielded: the caller who started the refresh may hang up while others still wait for it.
        return await asyncio.shield(refresh)

    def forget(self, account_id: int, refused: str) -> None:
        """Drop the token Google refused, unless it has been replaced since."""
        token = self._tokens.get(account_id)
        if token is not None and token.text == refused:
            del self._tokens[account_id]

    async def _refresh(self, account_id: int) -> str:
        refresh_token = await database_sync_to_async(_refresh_token_of)(account_id)
        try:
            grant = await refresh_access_token(self._client, refresh_token)
        except SignInExpired as error:
            await database_sync_to_async(_condemn)(account_id, refresh_token, str(error))
            raise
        if grant.refresh_token:
            await database_sync_to_async(_replace_refresh_token)(account_id, grant.refresh_token)
        return self._keep(account_id, grant)

    def _keep(self, account_id: int, grant: TokenGrant) -> str:
        good_for = max(grant.lifetime_seconds - EARLY_SECONDS, 1.0)
        self._tokens[account_id] = AccessToken(grant.access_token, self._now() + good_for)
        return grant.access_token


def _refresh_token_of(account_id: int) -> str:
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise SignInExpired("The account has been removed.")
    return account.refresh_token


def _condemn(account_id: int, refused: str, reason: str) -> None:
    """Unless the operator has signed in again meanwhile."""
    account = Account.objects.filter(pk=account_id).first()
    if account is not None and account.refresh_token == refused:
        account.enter_state(Account.State.INVALID, reason)
        account.save()


def _replace_refresh_token(account_id: int, refresh_token: str) -> None:
    account = Account.objects.get(pk=account_id)
    account.refresh_token = refresh_token
    account.save()
