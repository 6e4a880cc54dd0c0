"""Accounts with the quota pools that requests use now, for several pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.failures import LIMITS
from accounts.kinds.families import families_offered
from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.outlook import Fate, family_of, outlooks_of
from accounts.quota.pools import QuotaPool, is_in_use, pools_of
from accounts.service import running_service
from accounts.status.unpaid_keys import keys_standing_by
from dashboard.overview.status_line import Standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.quota.outlook import Outlook


LIMITS = {kind.name for kind in LIMIT_KINDS}


@dataclass(frozen=True, slots=True)
class AccountPools:
    account: Account
    pools: list[QuotaPool]
    models: Collection[str] | None = None
    """Ids that the provider lists for it; None while they are unknown to this process."""
    stands_by: bool = False
    """An unpaid key that is not used, because another one is."""
    limits: Mapping[str, datetime] = field(default_factory=dict)
    """Of a key: when each limit that it has met ends, by the model's id or ALL_MODELS."""

    @property
    def is_used(self) -> bool:
        """Requests may be sent with it, unless it is at a limit."""
        return self.account.is_usable and not self.stands_by

    @property
    def families(self) -> tuple[str, ...]:
        return families_offered(self.account.kind, self.models)

    @property
    def standing(self) -> Standing:
        resting = {family: end for family in self.families if (end := self._limit_of(family)) is not None}
        return Standing(self.is_used, self.families, self.pools, resting)

    @property
    def models_at_limit(self) -> list[QuotaPool]:
        """Of a key: each model that it cannot be used for, as an empty pool."""
        of_all = self.limits.get(ALL_MODELS)
        ends = dict.fromkeys(self.models or (), of_all) if of_all else self.limits
        return [QuotaPool(model, "", (model,), refused_until=end) for model, end in ends.items()]

    def _limit_of(self, family: str) -> datetime | None:
        """When a model of the family can be used again; None while one can, or while they are unknown."""
        if (of_all := self.limits.get(ALL_MODELS)) is not None:
            return of_all
        own = [one for one in self.models or () if family in families_offered(self.account.kind, [one])]
        return min(self.limits[one] for one in own) if own and self.limits.keys() >= set(own) else None


@dataclass(frozen=True, slots=True)
class FamilyOutlook:
    """How long a family lasts. `ends_first` is the account that will be empty at `ends_at`, while `others`
    still have quota left."""

    outlook: Outlook
    ends_first: Account | None = None
    ends_at: datetime | None = None
    others: Sequence[Account] = ()


def outlooks_now(accounts: Iterable[AccountPools]) -> dict[str, FamilyOutlook]:
    """How long the usable ones of these accounts last together, by family of models."""
    usable = [one for one in accounts if one.is_used]
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
    pools, service = pools_of(accounts), running_service()
    standing_by, limits = keys_standing_by(accounts), _limits_of_keys(accounts)
    return [
        AccountPools(
            account,
            [pool for pool in pools[account.pk] if is_in_use(pool.header_mode, pool.name)],
            service.models_of(account.pk) if service is not None else None,
            account.pk in standing_by,
            limits.get(account.pk, {}),
        )
        for account in accounts
    ]


def _limits_of_keys(accounts: Iterable[Account]) -> dict[int, dict[str, datetime]]:
    """The ends of limits by account and model; takes a query only when there are keys."""
    keys = [account.pk for account in accounts if account.kind != "google"]
    kinds = [kind.name for kind in LIMITS]
    found: dict[int, dict[str, datetime]] = {}
    for one in Cooldown.lasting().filter(account_id__in=keys, kind__in=kinds) if keys else ():
        found.setdefault(one.account_id, {})[one.model_key.rpartition(":")[0] or one.model_key] = one.until
    return found
