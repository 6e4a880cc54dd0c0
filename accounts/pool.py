"""Who can send now: the usable accounts and their cooldowns, in memory, where a request can look for free.

Accounts are read from the database when the server starts and again when Revision has moved; state
changes go to the database at once and to memory with them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.models import Account, usable_accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PooledAccount:
    id: int
    email: str
    project_id: str

    @property
    def short_name(self) -> str:
        """For clients: enough to tell accounts apart, not enough to write to."""
        name, _, domain = self.email.partition("@")
        return f"{name[:2]}…@{domain[:1]}…"


@dataclass(frozen=True, slots=True)
class CoolingDown:
    until: float
    """Seconds since the epoch."""
    reason: str


class Pool:
    """`model_key` names a quota: the upstream model and the header mode it is used with."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._accounts: list[PooledAccount] = []
        self._cooldowns: dict[tuple[int, str], CoolingDown] = {}

    @property
    def accounts(self) -> list[PooledAccount]:
        return self._accounts

    def choose(
        self, model_key: str, able: Collection[int] | None = None, tried: Collection[int] = ()
    ) -> PooledAccount | None:
        """The first account in the operator's order that is not cooling down for this model.

        `able` are the ids of those that have the model at all, None when that is not known. Staying with
        the first one while it can answer keeps the upstream's prompt cache warm.
        """
        for account in self._accounts:
            if account.id in tried or (able is not None and account.id not in able):
                continue
            if self.cooldown(account, model_key) is None:
                return account
        return None

    def cooldown(self, account: PooledAccount, model_key: str) -> CoolingDown | None:
        cooling = self._cooldowns.get((account.id, model_key))
        return cooling if cooling is not None and cooling.until > self._now() else None

    def cool_down(self, account: PooledAccount, model_key: str, seconds: float, reason: str) -> CoolingDown:
        cooling = CoolingDown(self._now() + seconds, reason)
        self._cooldowns[account.id, model_key] = cooling
        logger.warning("%s rests for %s: %s, %.0f s", account.email, model_key, reason, seconds)
        return cooling

    def replace(self, accounts: list[PooledAccount]) -> None:
        self._accounts = accounts
        ids = {account.id for account in accounts}
        now = self._now()
        self._cooldowns = {
            key: cooling for key, cooling in self._cooldowns.items() if key[0] in ids and cooling.until > now
        }


def read_usable_accounts() -> list[PooledAccount]:
    return [PooledAccount(account.pk, account.email, account.project_id) for account in usable_accounts()]


def take_out_of_use(account_id: int, state: Account.State, reason: str, link: str = "") -> None:
    """Google wants something from a person; the account is not tried again until the operator acts."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None or account.state == state:
        return
    account.enter_state(state, reason, link)
    account.save()
    logger.warning("%s is out of use: %s", account.email, reason)


def store_project(account_id: int, project_id: str, tier: str) -> None:
    """An unknown tier never overwrites a known one."""
    account = Account.objects.get(pk=account_id)
    account.project_id = project_id
    if tier != "unknown":
        account.tier = tier
    account.save()
