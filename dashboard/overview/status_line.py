"""The first lines of the overview: how many accounts each family of models can use now, and which accounts
are out of quota. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from accounts.kinds.families import OTHERS
from accounts.quota.outlook import FAMILIES, family_of
from accounts.quota.pools import readiness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.models import Account
    from accounts.quota.pools import QuotaPool


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """The accounts of a family. `back_at` is when the first account can be used again; None while one can be
    used, or when it is unknown."""

    name: str
    available: int
    accounts: int
    back_at: datetime | None = None

    @property
    def level(self) -> str:
        return "good" if self.available else "bad"

    @property
    def sign(self) -> str:
        return "✓" if self.available else "✕"


class AccountStatus(NamedTuple):
    """The facts about an account that decide whether a family of models is available."""

    is_used: bool
    families: Sequence[str]
    """The families of models that it offers."""
    pools: Sequence[QuotaPool]
    """The quota pools that requests draw on now."""
    limited_until: Mapping[str, datetime] = {}
    """When its limits end, by family of models; only for accounts without quota pools."""


class OutOfQuota(NamedTuple):
    """A usable account without quota for a family of models."""

    account: Account
    family: str
    back_at: datetime | None


def out_of_quota(accounts: Iterable[tuple[Account, Sequence[QuotaPool]]]) -> list[OutOfQuota]:
    """Return the accounts without quota, ordered by their resets. `accounts` has each account with the quota
    pools that requests use now."""
    found = [
        OutOfQuota(account, family, state.back_at)
        for account, pools in accounts
        for family in FAMILIES
        if account.is_usable and not (state := readiness(_pools_of(family, pools), is_used=True)).is_ready
    ]
    return sorted(found, key=lambda one: (one.back_at is None, one.back_at, str(one.account)))


def status_of_families(accounts: Iterable[AccountStatus]) -> list[FamilyStatus]:
    """Return the status of each family that an account offers; of all FAMILIES when there is no account."""
    known = list(accounts)
    offering = {family: [one for one in known if family in one.families] for family in (*FAMILIES, OTHERS)}
    return [
        _status(family, those)
        for family, those in offering.items()
        if those or (not known and family != OTHERS)
    ]


def _status(family: str, accounts: list[AccountStatus]) -> FamilyStatus:
    """Return the status of a family. `accounts` are those that offer it."""
    found = [
        readiness(
            _pools_of(family, one.pools), is_used=one.is_used, limited_until=one.limited_until.get(family)
        )
        for one in accounts
    ]
    available = sum(one.is_ready for one in found)
    returns = [one.back_at for one in found if one.back_at is not None]
    back_at = min(returns, default=None) if available == 0 else None
    return FamilyStatus(family, available, len(accounts), back_at)


def _pools_of(family: str, pools: Sequence[QuotaPool]) -> list[QuotaPool]:
    return [pool for pool in pools if family_of(pool.name) == family]
