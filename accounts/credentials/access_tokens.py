"""Access tokens: kept in memory, refreshed once, and shared between processes.

The database holds the current token of each account encrypted, so that all processes together refresh it
once. While the database is unreachable each process refreshes for itself, which Google allows: a new access
token does not invalidate an earlier one.
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
"""A token is renewed this long before it expires, so that it is still valid when it arrives at Google."""
CLAIM_SECONDS = 40.0
"""How long a process may hold the claim on a refresh: more than one call to the token endpoint may take."""
CLOCKS_APART_SECONDS = 30.0
"""How much later than CLAIM_SECONDS from now a claim may end: the clock of another server may be ahead, and
this server's time is read a moment before the claim is tried. A claim that ends even later was made before
the clock was set back, and is ignored."""
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
        # Used while the database is unreachable
        self._sealed_credentials: Mapping[int, str] = {}
        self._opened: dict[int, tuple[str, dict[str, str]]] = {}
        """The sealed and the decrypted credential by account id, of accounts whose credential is sent as it
        is."""
        self._lone_refreshes: dict[int, asyncio.Task[str]] = {}
        self._unsaved: dict[int, tuple[str, str]] = {}
        """Refresh tokens that Google has replaced and that are not stored yet, by account id: (the stored
        one, the newest one)."""

    def remember(self, sealed_credentials: Mapping[int, str]) -> None:
        """Keep the credentials of usable accounts, still encrypted, for refreshes without the database."""
        self._sealed_credentials = sealed_credentials
        self._opened = {key: opened for key, opened in self._opened.items() if key in sealed_credentials}

    async def store_unsaved(self) -> None:
        """Store the refresh tokens that Google replaced while the database was unreachable. Raises
        DatabaseError."""
        for account_id, (used, replacement) in list(self._unsaved.items()):
            await database_sync_to_async(_note_success)(account_id, used, replacement)
            _, newest = self._unsaved.pop(account_id, ("", replacement))
            if newest != replacement:  # it came meanwhile
                self._unsaved[account_id] = replacement, newest

    async def credential(self, account_id: int) -> dict[str, str]:
        """Return the stored credential of an account whose kind sends it as it is. That of a usable account
        is kept in memory, so that requests need no database.

        Raises CredentialsUnreadable, DatabaseDown, and SignInExpired for an account that was removed.
        """
        sealed = self._sealed_credentials.get(account_id)
        if sealed is None:
            read = database_sync_to_async(_sealed_credential_of)
            sealed = await self._database.unless_down(read(account_id))
        known, fields = self._opened.get(account_id, ("", {}))
        if known != sealed:
            fields = unseal_fields(sealed)
            self._opened[account_id] = sealed, fields
        return fields

    async def get(self, account_id: int) -> str:
        """Return a valid access token, refreshed if needed. Concurrent callers share one refresh: in all
        processes together while the database is reachable, in this process otherwise.

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
        """Drop the token that Google refused, unless it has been replaced since."""
        self._refused[account_id] = refused
        token = self._tokens.get(account_id)
        if token is not None and token.text == refused:
            del self._tokens[account_id]

    async def renew(self, account_id: int) -> str:
        """Fetch a new token from Google even if the present one is still valid, to verify the account."""
        self._tokens.pop(account_id, None)
        shared = await database_sync_to_async(_shared_token)(account_id, self._now())
        if shared is not None:
            self._refused[account_id] = shared.text
        return await self.get(account_id)

    async def stop(self) -> None:
        """Cancel the refreshes that are running; each still ends its claim in the database."""
        refreshes = [*self._refreshes.values(), *self._lone_refreshes.values()]
        for refresh in refreshes:
            refresh.cancel()
        await asyncio.gather(*refreshes, return_exceptions=True)

    async def _next_token(self, account_id: int) -> str:
        """Return the token that another process has fetched, or fetch and store a new one."""
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
            # Another process may have fetched one between the read above and the claim.
            token = await self._usable(account_id)
            if token is None:
                token = self._token(await self._ask_google(account_id))
        finally:
            # Also on cancellation: other processes should not wait until the claim expires.
            await asyncio.shield(database_sync_to_async(_end_claim)(account_id, owner, token))
        return self._keep(account_id, token)

    async def _fetch_without_database(self, account_id: int) -> str:
        """Refresh with the last refresh token read from the database. Raises what `get` raises, but
        DatabaseDown instead of SignInExpired: the operator may have signed in again, which only the database
        shows."""
        sealed = self._sealed_credentials.get(account_id)
        if sealed is None:
            raise DatabaseDown(self._database.problem)
        _, refresh_token = self._unsaved.get(account_id, ("", unseal_fields(sealed)["refresh_token"]))
        try:
            grant = await refresh_access_token(self._client, refresh_token)
        except SignInExpired as error:
            raise DatabaseDown(self._database.problem) from error
        if grant.refresh_token:
            # The stored refresh token may have changed while Google was asked.
            stored, _ = self._unsaved.get(account_id, (refresh_token, ""))
            self._unsaved[account_id] = stored, grant.refresh_token
        return self._keep(account_id, self._token(grant))

    def _token(self, grant: TokenGrant) -> AccessToken:
        good_for = max(grant.lifetime_seconds - EARLY_SECONDS, 1.0)
        return AccessToken(grant.access_token, self._now() + good_for)

    async def _ask_google(self, account_id: int) -> TokenGrant:
        """Refresh the token at Google and note the result. Raises what `get` raises."""
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
        """Refresh with the refresh token of a new sign-in, if one was stored meanwhile; else mark the account
        invalid and raise SignInExpired."""
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
    """Return the result of the running task for `key`, or of a new one. Cancelling one caller does not cancel
    the task."""
    task = tasks.get(key)
    if task is None:
        task = asyncio.ensure_future(work(key))
        tasks[key] = task
        task.add_done_callback(lambda _: tasks.pop(key, None))
    return asyncio.shield(task)


# In the database


def sealed_credentials() -> dict[int, str]:
    """Return the encrypted credentials of usable accounts, by account id."""
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
    has_ended = Q(claimed_until__lte=now) | Q(claimed_until__gt=now + CLAIM_SECONDS + CLOCKS_APART_SECONDS)
    free = SharedToken.objects.filter(has_ended, account_id=account_id)
    return free.update(claimed_until=now + CLAIM_SECONDS, claimed_by=owner) == 1


def _end_claim(account_id: int, owner: str, token: AccessToken | None) -> None:
    """Store the token and end the claim. Does nothing when the claim has expired and another process holds
    it: that process stores its own token, and only this process uses this one."""
    changes: dict[str, str | float] = {"claimed_until": 0.0, "claimed_by": ""}
    if token is not None:
        changes |= {"sealed_access_token": seal(token.text), "good_until": token.good_until}
    SharedToken.objects.filter(account_id=account_id, claimed_by=owner).update(**changes)


def _sealed_credential_of(account_id: int) -> str:
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise SignInExpired("The account has been removed.")
    return account.sealed_credential


def _refresh_token_of(account_id: int) -> str:
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise SignInExpired("The account has been removed.")
    return account.credential["refresh_token"]


def _note_success(account_id: int, used: str, replacement: str | None) -> None:
    """Note that Google accepts the OAuth client, and store a replaced refresh token, since the old one may
    stop working."""
    ClientProblem.clear()
    if replacement and replacement != used:
        account = Account.objects.filter(pk=account_id).first()
        if account is not None and account.credential["refresh_token"] == used:
            account.credential = {**account.credential, "refresh_token": replacement}
            account.save(update_fields=["sealed_credential"])


def _mark_invalid(account_id: int, refused: str, reason: str) -> None:
    """Put the account in state INVALID, unless the operator has signed in again meanwhile."""
    account = Account.objects.filter(pk=account_id).first()
    if account is not None and account.credential["refresh_token"] == refused:
        enter_state(account_id, Account.State.INVALID, reason)
