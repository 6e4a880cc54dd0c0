"""Accounts with the quota pools that requests use now, for several pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.failures import LIMITS as LIMIT_KINDS
from accounts.kinds.families import families_offered
from accounts.models import Account, Cooldown
from accounts.quota.outlook import Fate, family_of, outlooks_of
from accounts.quota.pools import is_in_use, pools_of
from accounts.service import running_service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.quota.outlook import Outlook
    from accounts.quota.pools import QuotaPool


LIMITS = {kind.name for kind in LIMIT_KINDS}


@dataclass(frozen=True, slots=True)
class AccountPools:
    account: Account
    pools: list[QuotaPool]
    models: Collection[str] | None = None
    """Ids that the provider lists for it; None while they are unknown to this process."""
    resting: Mapping[str, datetime] = field(default_factory=dict)
    """The ends of its limits, by model key."""

    @property
    def families(self) -> tuple[str, ...]:
        return families_offered(self.account.kind, self.models)

    @property
    def standing(self) -> tuple[bool, Sequence[str], Sequence[QuotaPool]]:
        """The tuple that `overview.status_line` counts: whether the account is usable, its families, its
        pools."""
        return self.account.is_usable, self.families, self.pools


@dataclass(frozen=True, slots=True)
class FamilyOutlook:
    """How long a family lasts. `ends_first` is the account that will be empty at `ends_at`, while `others`
    still have quota left."""

    outlook: Outlook
    ends_first: Account | None = None
    ends_at: datetime | None = None
    others: Sequence[Account] = ()


def outlooks_now(accounts: Iterable[AccountPools]) -> dict[str, FamilyOutlook]:
    """Return how long the usable ones of these accounts last together, by family of models."""
    usable = [one for one in accounts if one.account.is_usable]
    found = outlooks_of([one.pools for one in usable], timezone.now().timestamp())
    return {family: _with_first_end(family, one, usable) for family, one in found.items()}


def _with_first_end(family: str, outlook: Outlook, usable: list[AccountPools]) -> FamilyOutlook:
    ready = [
        (one.account, pool.empty_at)
        for one in usable
        for pool in one.pools
        if family_of(pool.name) == family and pool.remaining_fraction
    ]
    ending = [(ends_at, account) for account, ends_at in ready if ends_at is not None]
    if outlook.fate is not Fate.LASTS or not ending:
        return FamilyOutlook(outlook)
    ends_at, first = min(ending, key=itemgetter(0))
    others = list(dict.fromkeys(account for account, _ in ready if account != first))
    return FamilyOutlook(outlook, first, ends_at, others) if others else FamilyOutlook(outlook)


def read_account_pools() -> list[AccountPools]:
    """Return all accounts, in the order of their priority."""
    accounts = list(Account.objects.all())
    lasting = list(Cooldown.lasting()) if accounts else []
    pools, service = pools_of(accounts, lasting), running_service()
    resting: dict[int, dict[str, datetime]] = {}
    for cooldown in lasting:
        if cooldown.kind in LIMITS:
            resting.setdefault(cooldown.account_id, {})[cooldown.model_key] = cooldown.until
    return [
        AccountPools(
            account,
            [pool for pool in pools[account.pk] if is_in_use(pool.header_mode, pool.name)],
            service.models_of(account.pk) if service is not None else None,
            resting.get(account.pk, {}),
        )
        for account in accounts
    ]
