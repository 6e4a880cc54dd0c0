"""Access tokens: is it still good, refresh it once, share the new one.

In memory for requests; encrypted in the database for the other processes, so that all of them together ask
Google once. While the database is gone each process asks for itself, which Google allows: a new access token
ends no other.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.db.models import Q

from accounts.credentials.encryption import CredentialsUnreadable, seal, unseal, unseal_fields
from accounts.database.watch import DatabaseDown, DatabaseWatch
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenGrant, refresh_access_token
from accounts.models import Account, ClientProblem, SharedToken
from accounts.status.state_changes import enter_state

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from accounts.network import AccountsClient

EARLY_SECONDS = 60.0
"""A token is renewed this long before Google lets it run out, so that none dies on the way."""
CLAIM_SECONDS = 40.0
"""Longer than one call to the token endpoint may take. A claim that lasts longer is from before the clock was
set back, and counts for nothing."""
CLAIM_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class AccessToken:
    text: str = field(repr=False)
    good_until: float


class AccessTokens:
    def __init__(
        self,
        client: AccountsClient,
        now: Callable[[], float] = time.time,
        database: DatabaseWatch | None = None,
    ) -> None:
        self._client = client
        self._database = database or DatabaseWatch()
        self._now = now
        self._tokens: dict[int, AccessToken] = {}
        self._refused: dict[int, str] = {}
        self._refreshes: dict[int, asyncio.Task[str]] = {}
        # For when the database is gone
        self._sealed_credentials: Mapping[int, str] = {}
        self._lone_refreshes: dict[int, asyncio.Task[str]] = {}
        self._unsaved: dict[int, tuple[str, str]] = {}
        """Refresh tokens that Google has replaced meanwhile: the one it was sent, and the new one."""

    def remember(self, sealed_credentials: Mapping[int, str]) -> None:
        """As the database has them now; they stay encrypted in memory, too."""
        self._sealed_credentials = sealed_credentials

    async def store_unsaved(self) -> None:
        """What came from Google while the database was gone. Raises DatabaseError."""
        for account_id, (used, replacement) in list(self._unsaved.items()):
            await database_sync_to_async(_note_success)(account_id, used, replacement)
            _, newest = self._unsaved.pop(account_id, ("", replacement))
            if newest != replacement:  # it came meanwhile
                self._unsaved[account_id] = replacement, newest

    async def get(self, account_id: int) -> str:
        """However many ask at once, Google is asked once; without the database once by each process.

        Raises SignInExpired (the account has been put in state INVALID), ClientSecretWrong,
        TokenEndpointDown, CredentialsUnreadable or DatabaseDown.
        """
        token = self._tokens.get(account_id)
        if token is not None and token.good_until > self._now():
            return token.text
        if not self._database.problem:
            try:
                refresh = _shared(self._refreshes, account_id, self._next_token)
                return await self._database.unless_down(refresh)
            except DatabaseDown:
                if account_id not in self._sealed_credentials:
                    raise
        return await _shared(self._lone_refreshes, account_id, self._fetch_without_database)

    def forget(self, account_id: int, refused: str) -> None:
        """Drop the token Google refused, unless it has been replaced since."""
        self._refused[account_id] = refused
        token = self._tokens.get(account_id)
        if token is not None and token.text == refused:
            del self._tokens[account_id]

    async def renew(self, account_id: int) -> str:
        """A new one from Google, whatever is at hand: how an account is put to the test."""
        self._tokens.pop(account_id, None)
        shared = await database_sync_to_async(_shared_token)(account_id, self._now())
        if shared is not None:
            self._refused[account_id] = shared.text
        return await self.get(account_id)

    async def stop(self) -> None:
        """Cancel the refreshes that are under way; each still ends its claim in the database."""
        refreshes = [*self._refreshes.values(), *self._lone_refreshes.values()]
        for refresh in refreshes:
            refresh.cancel()
        await asyncio.gather(*refreshes, return_exceptions=True)

    async def _next_token(self, account_id: int) -> str:
        """The token another process has fetched, or a new one that all may use."""
        while True:
            if (shared := await self._usable(account_id)) is not None:
                return self._keep(account_id, shared)
            owner = secrets.token_hex(16)
            if await database_sync_to_async(_claim)(account_id, owner, self._now()):
                return await self._fetch(account_id, owner)
            await asyncio.sleep(CLAIM_POLL_SECONDS)

    async def _usable(self, account_id: int) -> AccessToken | None:
        shared = await database_sync_to_async(_shared_token)(account_id, self._now())
        return None if shared is None or shared.text == self._refused.get(account_id) else shared

    async def _fetch(self, account_id: int, owner: str) -> str:
        token = None
        try:
            # Another process may have fetched one between our look and our claim.
            token = await self._usable(account_id)
            if token is None:
                token = self._token(await self._ask_google(account_id))
        finally:
            # Also when we are cancelled: the others should not wait until the claim runs out.
            await asyncio.shield(database_sync_to_async(_end_claim)(account_id, owner, token))
        return self._keep(account_id, token)

    async def _fetch_without_database(self, account_id: int) -> str:
        """With the refresh token that the database had last. Raises what `get` raises but SignInExpired: when
        Google refuses it, somebody may have signed in again, which only the database knows."""
        sealed = self._sealed_credentials.get(account_id)
        if sealed is None:
            raise DatabaseDown(self._database.problem)
        _, refresh_token = self._unsaved.get(account_id, ("", unseal_fields(sealed)["refresh_token"]))
        try:
            grant = await refresh_access_token(self._client, refresh_token)
        except SignInExpired as error:
            raise DatabaseDown(self._database.problem) from error
        if grant.refresh_token:
            # What was used last may have been stored while Google was asked.
            stored, _ = self._unsaved.get(account_id, (refresh_token, ""))
            self._unsaved[account_id] = stored, grant.refresh_token
        return self._keep(account_id, self._token(grant))

    def _token(self, grant: TokenGrant) -> AccessToken:
        good_for = max(grant.lifetime_seconds - EARLY_SECONDS, 1.0)
        return AccessToken(grant.access_token, self._now() + good_for)

    async def _ask_google(self, account_id: int) -> TokenGrant:
        """Raises what `get` raises."""
        await self.store_unsaved()
        refresh_token = await database_sync_to_async(_refresh_token_of)(account_id)
        try:
            grant = await refresh_access_token(self._client, refresh_token)
        except SignInExpired as error:
            refresh_token, grant = await self._ask_again_or_mark_invalid(account_id, refresh_token, error)
        except ClientSecretWrong as error:
            await database_sync_to_async(ClientProblem.note)(str(error))
            raise
        await database_sync_to_async(_note_success)(account_id, refresh_token, grant.refresh_token)
        return grant

    async def _ask_again_or_mark_invalid(
        self, account_id: int, refused: str, error: SignInExpired
    ) -> tuple[str, TokenGrant]:
        """Somebody may have signed in again since we read the row: then the new token has the last word."""
        current = await database_sync_to_async(_refresh_token_of)(account_id)
        if current != refused:
            try:
                return current, await refresh_access_token(self._client, current)
            except SignInExpired as second:
                refused, error = current, second
        await database_sync_to_async(_mark_invalid)(account_id, refused, str(error))
        raise error

    def _keep(self, account_id: int, token: AccessToken) -> str:
        self._tokens[account_id] = token
        self._refused.pop(account_id, None)
        return token.text


def _shared(
    tasks: dict[int, asyncio.Task[str]], key: int, work: Callable[[int], Coroutine[Any, Any, str]]
) -> asyncio.Future[str]:
    """The result of work that one starts and all wait for; who started it may hang up meanwhile."""
    task = tasks.get(key)
    if task is None:
        task = asyncio.ensure_future(work(key))
        tasks[key] = task
        task.add_done_callback(lambda _: tasks.pop(key, None))
    return asyncio.shield(task)


# In the database


def sealed_credentials() -> dict[int, str]:
    """Of the accounts in use, by their ids."""
    return dict(Account.objects.usable().values_list("pk", "sealed_credential"))


def _shared_token(account_id: int, now: float) -> AccessToken | None:
    row = SharedToken.objects.filter(account_id=account_id, good_until__gt=now).first()
    if row is None or not row.sealed_access_token:
        return None
    try:
        return AccessToken(unseal(row.sealed_access_token), row.good_until)
    except CredentialsUnreadable:
        return None  # sealed with a key that is gone: fetch another one


def _claim(account_id: int, owner: str, now: float) -> bool:
    if not Account.objects.filter(pk=account_id).exists():
        raise SignInExpired("The account has been removed.")
    SharedToken.objects.get_or_create(account_id=account_id)
    has_ended = Q(claimed_until__lte=now) | Q(claimed_until__gt=now + CLAIM_SECONDS)
    free = SharedToken.objects.filter(has_ended, account_id=account_id)
    return free.update(claimed_until=now + CLAIM_SECONDS, claimed_by=owner) == 1


def _end_claim(account_id: int, owner: str, token: AccessToken | None) -> None:
    """Nothing happens when the claim has run out and is another's now: theirs may be the only token that is
    good. Ours is used by this process alone."""
    changes: dict[str, str | float] = {"claimed_until": 0.0, "claimed_by": ""}
    if token is not None:
        changes |= {"sealed_access_token": seal(token.text), "good_until": token.good_until}
    SharedToken.objects.filter(account_id=account_id, claimed_by=owner).update(**changes)


def _refresh_token_of(account_id: int) -> str:
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise SignInExpired("The account has been removed.")
    return account.credential["refresh_token"]


def _note_success(account_id: int, used: str, replacement: str | None) -> None:
    """Google accepts our client id; and when it sent a new refresh token, the old one may stop working."""
    ClientProblem.clear()
    if replacement and replacement != used:
        account = Account.objects.filter(pk=account_id).first()
        if account is not None and account.credential["refresh_token"] == used:
            account.credential = {**account.credential, "refresh_token": replacement}
            account.save(update_fields=["sealed_credential"])


def _mark_invalid(account_id: int, refused: str, reason: str) -> None:
    """Unless somebody has signed in again meanwhile."""
    account = Account.objects.filter(pk=account_id).first()
    if account is not None and account.credential["refresh_token"] == refused:
        enter_state(account_id, Account.State.INVALID, reason)
