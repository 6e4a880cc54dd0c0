"""Who can send now: the usable accounts and their cooldowns, in memory, where a request can look for free.

Accounts are read from the database when the server starts and again when Revision has moved.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accounts.live_settings import live
from accounts.models import usable_accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PooledAccount:
    id: int
    email: str
    project_id: str
    quota_threshold: float | None = None
    """A remaining fraction; None: the setting GLOBAL_QUOTA_THRESHOLD."""
    model_quota_thresholds: Mapping[str, float] = field(default_factory=dict)

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
    """`model_key` names a quota: the upstream model and the header mode it is used with, `model:mode`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._accounts: list[PooledAccount] = []
        self._cooldowns: dict[tuple[int, str], CoolingDown] = {}
        self._remaining: dict[int, dict[str, float]] = {}
        self._last_used: dict[int, float] = {}

    @property
    def accounts(self) -> list[PooledAccount]:
        return self._accounts

    def choose(
        self, model_key: str, able: Collection[int] | None = None, tried: Collection[int] = ()
    ) -> PooledAccount | None:
        """The first account in the operator's order that is not cooling down for this model.

        `able` are the ids of those that have the model at all, None when that is not known. Staying with
        the first one while it can answer keeps the upstream's prompt cache warm. One that is down to its
        threshold is spared while another is above its own.
        """
        candidates = [
            account
            for account in self._accounts
            if account.id not in tried
            and (able is None or account.id in able)
            and self.cooldown(account, model_key) is None
        ]
        chosen = next((one for one in candidates if not self._is_spared(one, model_key)), None)
        chosen = chosen or next(iter(candidates), None)
        if chosen is not None:
            self._last_used[chosen.id] = self._now()
        return chosen

    def set_remaining(self, account_id: int, fractions: dict[str, float]) -> None:
        """What is left of each quota, by model key; a quota that is missing here is unknown, never empty."""
        self._remaining[account_id] = fractions

    def take_last_used(self) -> dict[int, float]:
        """When each account was last chosen, of those chosen since this was last asked."""
        taken, self._last_used = self._last_used, {}
        return taken

    def cooldown(self, account: PooledAccount, model_key: str) -> CoolingDown | None:
        cooling = self._cooldowns.get((account.id, model_key))
        return cooling if cooling is not None and cooling.until > self._now() else None

    def cool_down(self, account: PooledAccount, model_key: str, seconds: float, reason: str) -> CoolingDown:
        cooling = CoolingDown(self._now() + seconds, reason)
        self._cooldowns[account.id, model_key] = cooling
        logger.warning("%s rests for %s: %s, %.0f s", account.email, model_key, reason, seconds)
        return cooling

    def cooldowns_of(self, account_id: int) -> dict[str, CoolingDown]:
        """Those that still last, by model key."""
        now = self._now()
        return {
            model_key: cooling
            for (owner, model_key), cooling in self._cooldowns.items()
            if owner == account_id and cooling.until > now
        }

    def replace(self, accounts: list[PooledAccount]) -> None:
        self._accounts = accounts
        ids = {account.id for account in accounts}
        now = self._now()
        self._cooldowns = {
            key: cooling for key, cooling in self._cooldowns.items() if key[0] in ids and cooling.until > now
        }

    def _is_spared(self, account: PooledAccount, model_key: str) -> bool:
        remaining = self._remaining.get(account.id, {}).get(model_key)
        threshold = account.model_quota_thresholds.get(model_key.partition(":")[0], account.quota_threshold)
        if threshold is None:
            threshold = live("GLOBAL_QUOTA_THRESHOLD")
        return remaining is not None and threshold > 0 and remaining <= threshold


def read_usable_accounts() -> list[PooledAccount]:
    return [
        PooledAccount(
            id=account.pk,
            email=account.email,
            project_id=account.project_id,
            quota_threshold=account.quota_threshold,
            model_quota_thresholds=account.model_quota_thresholds,
        )
        for account in usable_accounts()
    ]
