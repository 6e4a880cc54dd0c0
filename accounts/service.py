"""Background service of the accounts in a running server.

Polls the database for changes every POLL_SECONDS, inspects each new account at Google (project, tier, models,
quotas) and repeats that every OFFERS_GOOD_FOR_SECONDS. Requests read the results from memory.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from channels.db import database_sync_to_async
from django.db import DatabaseError, transaction

from accounts import live_settings
from accounts.credentials.access_tokens import AccessTokens, sealed_credentials
from accounts.database.watch import DatabaseDown, DatabaseWatch
from accounts.failures import NOTHING_LEARNED, FailureKind
from accounts.google.code_assist import CodeAssistFailed
from accounts.inspection import AccountErrors, inspect_account, store_inspection
from accounts.kinds.base import Inspection, OutOfUse
from accounts.kinds.registry import KINDS
from accounts.models import Account, ClientProblem, Revision
from accounts.network import AccountsClient
from accounts.pool.cooldown_store import read_cooldowns, store_cooldowns
from accounts.pool.pool import Pool, PooledAccount, read_usable_accounts
from accounts.quota.snapshots import forget_old_quotas, quota_forecasts
from accounts.status.state_changes import enter_state

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from accounts.failures import Learned
    from accounts.kinds.access import Access
    from accounts.offers import ModelOffer
    from accounts.pool.pool import Lease
    from accounts.values.switches import Switches


logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
OFFERS_GOOD_FOR_SECONDS = 300.0
SPREAD = 0.2
"""The time between two inspections of an account varies at random by this share, so that not all accounts are
inspected at once."""
CONCURRENT_INSPECTIONS = 4
TIER_GOOD_FOR_SECONDS = 3600.0
RETRY_SECONDS = 30.0
ASK_AGAIN_SECONDS = 5.0
"""The shortest time between two inspections of an account that requests or used-up quotas cause."""
MAINTENANCE_SECONDS = 30.0
JUST_CHANGED_SECONDS = 2.0


CLOUD_CODE = "google"
"""The kind of account whose models have header modes, with a list of models for each mode."""


class NoProject(CodeAssistFailed):
    """Raised when Google has created no Cloud project for the account; the operator can set one."""


class MergedOffers(NamedTuple):
    """The models of several accounts. When several list a model, its offer is the one with the largest
    remaining fraction, and the model searches the web if it does for any of them."""

    all: dict[str, ModelOffer]
    """All models, by listed id."""
    by_kind: Mapping[str, Mapping[str, ModelOffer]]
    """The models of each kind that has a usable account, by listed id. The kinds are in the order of their
    accounts."""
    in_cli: Mapping[str, ModelOffer]
    """The models in header mode cli, by the id that is sent; empty unless each inspected account's list is
    known."""


class AccountsService:
    def __init__(self) -> None:
        self.pool = Pool()
        self.pool.lists_model = self.lists_model
        self.pool.on_quota_exhausted = self._inspect_soon
        self.client = AccountsClient()
        self.database = DatabaseWatch()
        self.tokens = AccessTokens(self.client, database=self.database)
        """Access tokens of all accounts, usable or not."""
        self._offers: dict[int, dict[str, ModelOffer]] = {}
        self._cli_offers: dict[int, dict[str, ModelOffer]] = {}
        """The models of header mode cli by account id, then by sent id. Accounts for which Google lists none
        are missing."""
        self._merged: MergedOffers | None = None
        """The models of all usable accounts; None after a change of the offers."""
        self._merged_of: list[PooledAccount] = []
        self._next_inspection: dict[int, float] = {}
        self._next_tier: dict[int, float] = {}
        self._inspected_at: dict[int, float] = {}
        """When the last inspection of each account ended, successful or not, by the monotonic clock."""
        self._next_maintenance = time.monotonic() + MAINTENANCE_SECONDS
        self._preparations: dict[int, asyncio.Task[None]] = {}
        self._inspection_slots = asyncio.Semaphore(CONCURRENT_INSPECTIONS)
        self._revision = -1
        self._switches: dict[int, bool] = {}
        """Whether each account is enabled, by account id."""
        self._accounts_changed_at = -math.inf
        self._poll_now = asyncio.Event()
        self._has_reloaded = asyncio.Event()
        self._one_reload = asyncio.Lock()
        self.also_reload: list[Callable[[], object]] = []
        """Further functions to call when Revision has changed; each reads the database."""
        self.on_changed: Callable[[], None] = lambda: None
        """Called when an account is added or removed, and when a cooldown begins or ends."""
        self.on_settings_changed: Callable[[], None] = lambda: None
        """Called when the operator's live settings have changed and were read again."""
        self.on_quota_read: Callable[[], None] = lambda: None
        """Called when the quotas of an account have been read at its provider and stored."""
        self._leaving: set[int] = set()
        """Ids of accounts that were taken out of use and whose new state is not stored yet, so that a reload
        does not add them again."""
        self._poller: asyncio.Task[None] | None = None
        self._cooldown_writer: asyncio.Task[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None
        self._cooldowns_changed = asyncio.Event()

    async def start(self) -> None:
        # The OAuth client may have been corrected: the next token refresh shows.
        await database_sync_to_async(ClientProblem.clear)()
        self.pool.cooldowns.load(await database_sync_to_async(read_cooldowns)())
        self.pool.cooldowns.on_changed = self._note_cooldowns
        await self._reload_if_changed()
        await self.database.start()
        self._poller = asyncio.create_task(self._poll())
        self._cooldown_writer = asyncio.create_task(self._keep_storing_cooldowns())
        loop = asyncio.get_running_loop()
        Revision.on_change = lambda: loop.call_soon_threadsafe(self._poll_now.set)
        _running.append(self)

    def acknowledge_as(self, server: int) -> None:
        """Store from now on, under the server's number, which revision this server has loaded."""
        self._has_reloaded.set()
        self._acknowledging = asyncio.create_task(self._keep_acknowledging(server))

    async def stop(self) -> None:
        with suppress(ValueError):
            _running.remove(self)
        Revision.on_change = lambda: None
        tasks = [self._poller, self._cooldown_writer, self._acknowledging, *self._preparations.values()]
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self.database.stop()
        with suppress(DatabaseDown):
            await self.database.unless_down(self.tokens.stop())
        await self.client.close()
        await self._store_cooldowns()
        await self._store_last_used()

    # For requests

    async def poll_now(self) -> None:
        """Load changes since the last poll. A database error is left to the next background poll, which logs
        it."""
        with suppress(DatabaseDown, DatabaseError):  # the next poll in the background logs it
            await self.database.unless_down(self._reload_if_changed())

    @property
    def account_count(self) -> int:
        return len(self._switches)

    @property
    def has_offers(self) -> bool:
        """True when there is a usable account, and the models of one are known."""
        return bool(self._offers and self.pool.accounts)

    @property
    def have_just_changed(self) -> bool:
        """True within JUST_CHANGED_SECONDS after an account was added, removed, enabled, disabled or became
        usable again, since further changes may follow. Taking an account out of use does not count."""
        return time.monotonic() - self._accounts_changed_at < JUST_CHANGED_SECONDS

    def merged_offers(self) -> MergedOffers:
        """Return the models of all usable accounts. The object stays the same until accounts or offers
        change."""
        if self._merged is None or self._merged_of is not self.pool.accounts:
            accounts = self._merged_of = self.pool.accounts
            inspected = {one.id for one in accounts if one.kind == CLOUD_CODE and one.id in self._offers}
            has_all_lists = self._cli_offers.keys() >= inspected
            self._merged = MergedOffers(
                _merged(accounts, self._offers),
                {
                    kind: _merged([one for one in accounts if one.kind == kind], self._offers)
                    for kind in dict.fromkeys(one.kind for one in accounts)
                },
                _merged(accounts, self._cli_offers) if has_all_lists else {},
            )
        return self._merged

    def offered_models(self) -> dict[str, ModelOffer]:
        """Return the models of all usable accounts, by listed id."""
        return self.merged_offers().all

    def lists_model(self, account_id: int, listed_id: str, model_key: str) -> bool | None:
        """Return whether the account's list names the model; None while its list is unknown. Header mode cli
        has a list of its own, with sent ids, which not every account gets."""
        if account_id not in self._offers:
            return None
        sent_id, _, header_mode = model_key.rpartition(":")
        cli_offers = self._cli_offers.get(account_id)
        if header_mode == "cli" and cli_offers:
            return sent_id in cli_offers
        return listed_id in self._offers[account_id]

    def models_of(self, account_id: int) -> Collection[str] | None:
        """Return the listed ids of the account's models, and the sent ids of those of header mode cli; None
        while its list is unknown, as it is for an unusable account."""
        if account_id not in self._offers:
            return None
        return {*self._offers[account_id], *self._cli_offers.get(account_id, {})}

    def unable_to_search(self, model_id: str) -> set[int]:
        """Return the ids of accounts whose list is unknown or does not name the model as one that searches
        the web. Google refuses a search with such an account in a way that would end the request."""
        offers = {account.id: self._offers.get(account.id, {}) for account in self.pool.accounts}
        return {
            account_id
            for account_id, offered in offers.items()
            if model_id not in offered or not offered[model_id].searches_web
        }

    async def until_offers_are_known(self) -> None:
        """Wait until the models of one account are known, for the first request after a start."""
        if self._offers or not self.pool.accounts:
            return
        tasks = [self._prepare_for_request(account) for account in self.pool.accounts]
        waiting: set[asyncio.Task[None]] = {task for task in tasks if task is not None}
        while waiting and not self._offers:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def access(self, account: PooledAccount) -> Access:
        """Return the access for a request. Raises what AccountErrors lists."""
        kind = KINDS[account.kind]
        if kind.has_project:
            project_id = self._known_project(account) or await self.project_of(account)
            if project_id != account.project_id:
                account = replace(account, project_id=project_id)
        return await kind.access(self.tokens, account)

    def forget_access(self, account: PooledAccount, refused: Access) -> None:
        """Drop an access that the upstream refused, so that the next request gets a new one."""
        KINDS[account.kind].forget(self.tokens, account.id, refused)

    async def project_of(self, account: PooledAccount) -> str:
        """Return the account's Cloud project, discovered if it is not known yet.

        Raises what AccountErrors lists, DatabaseDown and NoProject.
        """
        if project_id := self._known_project(account):
            return project_id
        if (preparation := self._prepare_for_request(account)) is not None:
            await self.database.unless_down(asyncio.shield(preparation))
        if project_id := self._known_project(account):
            return project_id
        raise NoProject(f"{account.name} has no Cloud project yet.")

    def _known_project(self, account: PooledAccount) -> str:
        """Return the project at the last reload. For an account that was disabled since, return the project
        at its lease."""
        return self.pool.by_id.get(account.id, account).project_id

    async def take_out_of_use(
        self, account: PooledAccount, state: Account.State, reason: str, link: str = ""
    ) -> None:
        """Remove the account from the pool at once, then store its new state, even when the caller is
        cancelled."""
        self._leaving.add(account.id)
        self.pool.replace([known for known in self.pool.accounts if known.id != account.id])
        self.on_changed()
        with suppress(DatabaseDown):  # storing is retried once the database is reachable
            await self.database.unless_down(self._store_state(account, state, reason, link))

    async def _store_state(
        self, account: PooledAccount, state: Account.State, reason: str, link: str
    ) -> None:
        try:
            await database_sync_to_async(enter_state)(account.id, state, reason, link)
            await self._reload_if_changed()
        except Exception:
            logger.exception("%s is out of use, but this could not be stored: %s", account.name, reason)
        finally:
            self._leaving.discard(account.id)

    async def learn(self, lease: Lease, learned: Learned) -> None:
        """Note what an answer has told about the account of a lease: its limits in memory, its tier and quota
        group in the database, unless the account has a group already."""
        if learned is NOTHING_LEARNED:
            return
        self.pool.learn(lease, learned.limits)
        account = lease.account
        is_new = (learned.tier == "free" and account.is_paid) or (
            learned.quota_group and not account.quota_group
        )
        if is_new:
            with suppress(DatabaseDown):  # the next answer tells it again
                await self.database.unless_down(self._store_learned(account.id, learned))

    async def _store_learned(self, account_id: int, learned: Learned) -> None:
        await database_sync_to_async(_store_learned)(account_id, learned)
        await self._reload_if_changed()

    async def learn_switches(self, account: PooledAccount, switches: Mapping[str, Any]) -> None:
        """Store which features the account's server refuses. If the database cannot be reached, they are
        learned again after a restart."""
        with suppress(DatabaseDown, DatabaseError):
            await self.database.unless_down(self._store_switches(account.id, switches))

    async def _store_switches(self, account_id: int, switches: Mapping[str, Any]) -> None:
        await database_sync_to_async(_store_switches)(account_id, switches)
        await self._reload_if_changed()

    async def prepare_retry(self, account: PooledAccount, kind: FailureKind) -> None:
        """Prepare another call with the account after a failure of this kind: drop a refused project, so that
        the next inspection finds it again. `forget_access` is for refused tokens."""
        if kind is not FailureKind.WRONG_PROJECT:
            return
        await self.database.unless_down(self._forget_project(account))
        self._next_inspection.pop(account.id, None)
        self._inspected_at.pop(account.id, None)

    async def _forget_project(self, account: PooledAccount) -> None:
        await database_sync_to_async(_forget_project)(account.id)
        await self._reload_if_changed()

    # In the background

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._poll_now.wait()
            self._poll_now.clear()
            if self.database.problem:
                continue
            try:
                await self._reload_if_changed()
                await self._maintain()
            except DatabaseError as error:
                logger.error("The accounts cannot be read from the database: %s", error)  # noqa: TRY400
            except Exception:
                logger.exception("The accounts could not be updated; the next try is in a moment")
            self._prepare_due(self.pool.accounts)

    async def _reload_if_changed(self) -> None:
        async with self._one_reload:
            await self._reload()

    async def _reload(self) -> None:
        revision = await database_sync_to_async(Revision.current)()
        if revision == self._revision:
            return
        live_settings_before = live_settings.stored()
        await database_sync_to_async(live_settings.reload)()
        if live_settings.stored() != live_settings_before:
            self.on_settings_changed()
        for reload in self.also_reload:
            await database_sync_to_async(reload)()
        with_project = {name for name, kind in KINDS.items() if kind.has_project}
        usable = await database_sync_to_async(read_usable_accounts)(with_project)
        accounts = [account for account in usable if account.id not in self._leaving]
        switches = await database_sync_to_async(_switches)()
        is_mended = not {one.id for one in accounts} <= {one.id for one in self.pool.accounts}
        if self._revision >= 0 and (switches != self._switches or is_mended):
            self._accounts_changed_at = time.monotonic()
        self._switches = switches
        self.tokens.remember(await database_sync_to_async(sealed_credentials)())
        self._revision = revision
        self.pool.replace(accounts)
        ids = {account.id for account in accounts}
        self._offers = {key: offers for key, offers in self._offers.items() if key in ids}
        self._cli_offers = {key: offers for key, offers in self._cli_offers.items() if key in ids}
        self._merged = None
        self._next_inspection = {key: at for key, at in self._next_inspection.items() if key in ids}
        self._next_tier = {key: at for key, at in self._next_tier.items() if key in ids}
        self._inspected_at = {key: at for key, at in self._inspected_at.items() if key in ids}
        self.on_changed()
        self._has_reloaded.set()
        self._prepare_due(accounts)

    async def _keep_acknowledging(self, server: int) -> None:
        while True:
            await self._has_reloaded.wait()
            self._has_reloaded.clear()
            try:
                await database_sync_to_async(Revision.acknowledge)(server, self._revision)
            except DatabaseError as error:
                logger.warning("Commands cannot be told that their changes are in use: %s", error)

    def _note_cooldowns(self) -> None:
        self._cooldowns_changed.set()
        self.on_changed()

    async def _keep_storing_cooldowns(self) -> None:
        """Store cooldowns as they change. Requests use those in memory, so they do not wait for this."""
        while True:
            await self._cooldowns_changed.wait()
            self._cooldowns_changed.clear()
            await self._store_cooldowns()

    async def _store_cooldowns(self) -> None:
        if self.database.problem:
            return  # the background loop stores them once the database is reachable
        changes = self.pool.cooldowns.take_unsaved()
        try:
            if changes:
                await database_sync_to_async(store_cooldowns)(changes)
        except Exception:
            self.pool.cooldowns.restore_unsaved(changes)
            logger.exception("Cooldowns could not be stored yet; a restart now would forget them")

    async def _maintain(self) -> None:
        if time.monotonic() >= self._next_maintenance:
            self._next_maintenance = time.monotonic() + MAINTENANCE_SECONDS
            await self._store_cooldowns()
            await self._store_last_used()
            self.pool.cooldowns.forget_past()
            await self.tokens.store_unsaved()
            await database_sync_to_async(forget_old_quotas)()
            self.pool.set_empty_at(await database_sync_to_async(_forecast_empty_at)())

    async def _store_last_used(self) -> None:
        if not self.database.problem and (last_used := self.pool.state.take_last_used()):
            await database_sync_to_async(_store_last_used)(last_used)

    def _prepare_due(self, accounts: Iterable[PooledAccount]) -> None:
        now = time.monotonic()
        for account in accounts:
            if self._next_inspection.get(account.id, 0.0) <= now:
                self._prepare_soon(account)

    def _inspect_soon(self, account_id: int) -> None:
        """Make the account due for inspection after its quota was used up, so that pages and commands show
        current numbers."""
        asked_at = self._inspected_at.get(account_id, -math.inf)
        self._next_inspection[account_id] = max(time.monotonic(), asked_at + ASK_AGAIN_SECONDS)

    def _prepare_for_request(self, account: PooledAccount) -> asyncio.Task[None] | None:
        """Return the running inspection or a new one; None when the last ended less than ASK_AGAIN_SECONDS
        ago."""
        inspected_at = self._inspected_at.get(account.id, -ASK_AGAIN_SECONDS)
        if account.id not in self._preparations and time.monotonic() - inspected_at < ASK_AGAIN_SECONDS:
            return None
        return self._prepare_soon(account)

    def _prepare_soon(self, account: PooledAccount) -> asyncio.Task[None]:
        """Return the account's running inspection or start one. There is at most one at a time, shared by its
        callers."""
        task = self._preparations.get(account.id)
        if task is None:
            task = asyncio.create_task(self._prepare(account))
            self._preparations[account.id] = task
            task.add_done_callback(lambda _: self._preparations.pop(account.id, None))
        return task

    async def _prepare(self, account: PooledAccount) -> None:
        self._next_inspection[account.id] = time.monotonic() + RETRY_SECONDS
        try:
            async with self._inspection_slots:
                inspection = await self._inspect(account)
        except OutOfUse as error:
            await self.take_out_of_use(account, error.state, str(error), error.link)
        except AccountErrors as error:
            logger.warning("%s is not ready: %s", account.name, error)
        except Exception:
            logger.exception("%s could not be prepared", account.name)
        else:
            self._learn(account, inspection)
            spread = random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311  # no secret
            self._next_inspection[account.id] = time.monotonic() + OFFERS_GOOD_FOR_SECONDS * spread
        finally:
            self._inspected_at[account.id] = time.monotonic()

    async def _inspect(self, account: PooledAccount) -> Inspection:
        with_tier = self._next_tier.get(account.id, 0.0) <= time.monotonic()
        inspection = await inspect_account(self.client, self.tokens, account, with_tier=with_tier)
        if inspection.tier != "unknown":
            self._next_tier[account.id] = time.monotonic() + TIER_GOOD_FOR_SECONDS
        await database_sync_to_async(store_inspection)(account.id, inspection)
        await self._reload_if_changed()
        return inspection

    def _learn(self, account: PooledAccount, inspection: Inspection) -> None:
        self._offers[account.id] = inspection.offers
        if inspection.cli_offers:
            self._cli_offers[account.id] = inspection.cli_offers
        self._merged = None
        self.pool.set_remaining(
            account.id,
            {
                f"{offer.id}:{mode}": offer.remaining_fraction
                for mode, offers in (
                    (KINDS[account.kind].quota_mode, inspection.offers),
                    ("cli", inspection.cli_offers),
                )
                for offer in offers.values()
                if offer.remaining_fraction is not None
            },
        )
        self.pool.recheck()
        self.on_quota_read()


_running: list[AccountsService] = []


def running_service() -> AccountsService | None:
    """Return the service of this process, for pages that show what is only in memory; None in commands."""
    return _running[-1] if _running else None


def _merged(
    accounts: Iterable[PooledAccount], offers: Mapping[int, Mapping[str, ModelOffer]]
) -> dict[str, ModelOffer]:
    offered: dict[str, ModelOffer] = {}
    for account in accounts:
        for model_id, listed in offers.get(account.id, {}).items():
            offer = _within(listed, account.switches)
            known = offered.get(model_id)
            offered[model_id] = offer if known is None else _for_both(known, offer)
    return offered


def _within(offer: ModelOffer, switches: Switches) -> ModelOffer:
    """Return the offer with the limits that the operator has set."""
    if not switches.context_window and not switches.max_output_tokens:
        return offer
    return replace(
        offer,
        max_input_tokens=switches.context_window or offer.max_input_tokens,
        max_output_tokens=switches.max_output_tokens or offer.max_output_tokens,
    )


def _for_both(one: ModelOffer, other: ModelOffer) -> ModelOffer:
    """Merge the offers of one model by two accounts."""
    fuller = other if (other.remaining_fraction or 0) > (one.remaining_fraction or 0) else one
    return replace(fuller, searches_web=one.searches_web or other.searches_web)


def _switches() -> dict[int, bool]:
    return dict(Account.objects.values_list("pk", "enabled"))


def _forecast_empty_at() -> dict[tuple[int, str], float]:
    """Return the forecast times at which quotas will be empty, in seconds since the epoch, by account id and
    model key."""
    return {
        (one.account_id, f"{one.model_id}:{one.header_mode}"): one.forecast.empty_at
        for one in quota_forecasts()
        if one.forecast is not None and one.forecast.empty_at is not None
    }


def _forget_project(account_id: int) -> None:
    account = Account.objects.filter(pk=account_id).first()
    if account is not None:
        account.project_id = ""
        account.save(update_fields=["project_id"])


def _store_learned(account_id: int, learned: Learned) -> None:
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        return
    known = (account.tier, account.quota_group)
    account.tier = learned.tier or account.tier
    account.quota_group = account.quota_group or learned.quota_group
    if known != (account.tier, account.quota_group):
        account.save(update_fields=["tier", "quota_group"])


@transaction.atomic
def _store_switches(account_id: int, switches: Mapping[str, Any]) -> None:
    account = Account.objects.filter(pk=account_id).first()
    if account is not None:
        account.learned_switches = {**account.learned_switches, **switches}
        account.save(update_fields=["learned_switches"])


def _store_last_used(last_used: dict[int, float]) -> None:
    """Store the times of last use, without bumping Revision, because requests do not depend on them."""
    for account_id, at in last_used.items():
        Account.objects.filter(pk=account_id).update(last_used_at=datetime.fromtimestamp(at, UTC))
