"""What keeps the accounts ready while the server runs.

Looks for changes twice a second, finds the project of each new account, and asks now and then which
models each may use. Requests read the results from memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async
from django.db import DatabaseError

from accounts.access_tokens import AccessTokens
from accounts.credentials import CredentialsUnreadable
from accounts.google.code_assist import (
    CodeAssistFailed,
    ModelOffer,
    fetch_available_models,
    load_code_assist,
    onboard_user,
)
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown
from accounts.models import Account, Revision
from accounts.outbound import AccountsClient
from accounts.pool import Pool, PooledAccount, read_usable_accounts, store_project, take_out_of_use

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
OFFERS_GOOD_FOR_SECONDS = 300.0
RETRY_SECONDS = 30.0

AccountTrouble = (
    SignInExpired, ClientSecretWrong, TokenEndpointDown, CredentialsUnreadable, CodeAssistFailed
)  # fmt: skip


class NoProject(CodeAssistFailed):
    """Google has made no Cloud project for the account; the operator can name one."""


class AccountsService:
    def __init__(self) -> None:
        self.pool = Pool()
        self.client = AccountsClient()
        self.tokens = AccessTokens(self.client)
        self.account_count = 0
        """All accounts there are, usable or not."""
        self._offers: dict[int, dict[str, ModelOffer]] = {}
        self._next_look: dict[int, float] = {}
        self._preparations: dict[int, asyncio.Task[None]] = {}
        self._revision = -1
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._reload_if_changed()
        self._watch = asyncio.create_task(self._keep_watch())

    async def stop(self) -> None:
        for task in [self._watch, *self._preparations.values()]:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self.client.close()

    # What requests ask

    def offered_models(self) -> dict[str, ModelOffer]:
        """All models any usable account may use; where several may, the one with most left speaks."""
        offered: dict[str, ModelOffer] = {}
        for account in self.pool.accounts:
            for model_id, offer in self._offers.get(account.id, {}).items():
                known = offered.get(model_id)
                if known is None or (offer.remaining_fraction or 0) > (known.remaining_fraction or 0):
                    offered[model_id] = offer
        return offered

    def accounts_with(self, model_id: str) -> set[int]:
        """Accounts that may use the model, and those whose list of models is not known yet."""
        return {
            account.id
            for account in self.pool.accounts
            if account.id not in self._offers or model_id in self._offers[account.id]
        }

    async def until_offers_are_known(self) -> None:
        """At the first request after a start: wait until one account has said what it may use."""
        if self._offers or not self.pool.accounts:
            return
        waiting: set[asyncio.Task[None]] = {self._prepare_soon(account) for account in self.pool.accounts}
        while waiting and not self._offers:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def project_of(self, account: PooledAccount) -> str:
        """Raises what AccountTrouble lists."""
        if account.project_id:
            return account.project_id
        await asyncio.shield(self._prepare_soon(account))
        current = next((known for known in self.pool.accounts if known.id == account.id), None)
        if current is None or not current.project_id:
            raise NoProject(f"{account.email} has no Cloud project yet.")
        return current.project_id

    async def take_out_of_use(
        self, account: PooledAccount, state: Account.State, reason: str, link: str = ""
    ) -> None:
        """At once in memory, so that no request in between meets the account again."""
        self.pool.replace([known for known in self.pool.accounts if known.id != account.id])
        await database_sync_to_async(take_out_of_use)(account.id, state, reason, link)

    async def rediscover_project(self, account: PooledAccount) -> None:
        """Google refused the project: forget it and ask again."""
        await database_sync_to_async(store_project)(account.id, "", "unknown")
        await self._reload_if_changed()
        self._next_look.pop(account.id, None)

    # What happens in the background

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._reload_if_changed()
            except DatabaseError as error:
                logger.error("The accounts cannot be read from the database: %s", error)  # noqa: TRY400
            self._prepare_due(self.pool.accounts)

    async def _reload_if_changed(self) -> None:
        revision = await database_sync_to_async(Revision.current)()
        if revision == self._revision:
            return
        accounts = await database_sync_to_async(read_usable_accounts)()
        self.account_count = await database_sync_to_async(Account.objects.count)()
        self._revision = revision
        self.pool.replace(accounts)
        ids = {account.id for account in accounts}
        self._offers = {key: offers for key, offers in self._offers.items() if key in ids}
        self._next_look = {key: at for key, at in self._next_look.items() if key in ids}
        self._prepare_due(accounts)

    def _prepare_due(self, accounts: Iterable[PooledAccount]) -> None:
        now = time.monotonic()
        for account in accounts:
            if self._next_look.get(account.id, 0.0) <= now:
                self._prepare_soon(account)

    def _prepare_soon(self, account: PooledAccount) -> asyncio.Task[None]:
        """One preparation of an account at a time, shared by all who wait for it."""
        task = self._preparations.get(account.id)
        if task is None:
            task = asyncio.create_task(self._prepare(account))
            self._preparations[account.id] = task
            task.add_done_callback(lambda _: self._preparations.pop(account.id, None))
        return task

    async def _prepare(self, account: PooledAccount) -> None:
        self._next_look[account.id] = time.monotonic() + RETRY_SECONDS
        try:
            project_id = account.project_id or await self._discover_project(account)
            token = await self.tokens.get(account.id)
            self._offers[account.id] = await fetch_available_models(self.client, token, project_id)
            self._next_look[account.id] = time.monotonic() + OFFERS_GOOD_FOR_SECONDS
        except AccountTrouble as error:
            logger.warning("%s is not ready: %s", account.email, error)
        except Exception:
            logger.exception("%s could not be prepared", account.email)

    async def _discover_project(self, account: PooledAccount) -> str:
        token = await self.tokens.get(account.id)
        assignment = await load_code_assist(self.client, token)
        project_id = assignment.project_id or await onboard_user(
            self.client, token, assignment.onboarding_tier_id
        )
        if not project_id:
            reason = "Google has made no Cloud project for this account."
            await self.take_out_of_use(account, Account.State.NEEDS_PROJECT, reason)
            raise NoProject(reason)
        await database_sync_to_async(store_project)(account.id, project_id, assignment.tier)
        await self._reload_if_changed()
        return project_id
