"""Accounts with the quota pools that requests use now, for several pages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from django.utils import timezone

from accounts.failures import LIMITS
from accounts.kinds.families import families_offered
from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.outlook import Fate, family_of, outlooks_of, weeks_of
from accounts.quota.pools import QuotaPool, pools_of
from accounts.service import running_service
from accounts.status.unpaid_keys import keys_standing_by
from dashboard.overview.status_line import AccountStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.quota.outlook import Outlook

NAMES_OF_LIMITS = {kind.name for kind in LIMITS}
"""Those kinds of failure, as a cooldown stores them."""


class ShownQuota(NamedTuple):
    """A quota pool for `_quotas.html`. The page leaves out an account that is None."""

    account: Account | None
    pool: QuotaPool
    why_unused: str = ""
    """Why requests do not use it now, as text or HTML; "" for one that they use."""


@dataclass(frozen=True, slots=True)
class AccountPools:
    account: Account
    pools: list[QuotaPool]
    models: Collection[str] | None = None
    """Ids that the provider lists for it; None while they are unknown to this process."""
    stands_by: bool = False
    """True for an unpaid key that is not used while another unpaid key is."""
    limited_until: Mapping[str, datetime] = field(default_factory=dict)
    """When the limits of the account end, by model key."""

    @property
    def limits(self) -> dict[str, datetime]:
        """When the limits of a key end, by model id or ALL_MODELS; empty for a Google account, whose quota
        pools have the times."""
        if self.account.kind == "google":
            return {}
        return {key.rpartition(":")[0] or key: until for key, until in self.limited_until.items()}

    @property
    def is_used(self) -> bool:
        """True when requests are sent with the account, unless it is at a limit."""
        return self.account.is_usable and not self.stands_by

    @property
    def families(self) -> tuple[str, ...]:
        return families_offered(self.account.kind, self.models)

    @property
    def status(self) -> AccountStatus:
        limited_until = {
            family: end for family in self.families if (end := self._limit_of(family)) is not None
        }
        return AccountStatus(self.is_used, self.families, self.pools, limited_until)

    @property
    def models_at_limit(self) -> list[QuotaPool]:
        """The models for which a key is at a limit, each as an empty pool."""
        limits = self.limits
        of_all = limits.get(ALL_MODELS)
        ends = dict.fromkeys(self.models or (), of_all) if of_all else limits
        return [QuotaPool(model, "", (model,), refused_until=end) for model, end in ends.items()]

    def is_ready_without_quota(self, family: str) -> bool:
        """True for a key that answers models of the family now, whose provider tells no quota."""
        is_key = self.account.kind != "google"
        return is_key and self.is_used and family in self.families and self._limit_of(family) is None

    def _limit_of(self, family: str) -> datetime | None:
        """Return when a model of the family can be used again; None while one can, or while the models are
        unknown."""
        limits = self.limits
        if (of_all := limits.get(ALL_MODELS)) is not None:
            return of_all
        own = [one for one in self.models or () if family in families_offered(self.account.kind, [one])]
        return min(limits[one] for one in own) if own and limits.keys() >= set(own) else None


@dataclass(frozen=True, slots=True)
class FamilyOutlook:
    """How long a family lasts. `ends_first` is the account that will be empty at `ends_at`, while `others`
    still have quota left. `of_week` is the outlook of the limits over a week, None for accounts without
    them. `keys` are those that go on when the accounts with quotas are used up."""

    outlook: Outlook
    ends_first: Account | None = None
    ends_at: datetime | None = None
    others: Sequence[Account] = ()
    of_week: Outlook | None = None
    keys: Sequence[Account] = ()

    @property
    def week_runs_out(self) -> Outlook | None:
        """The outlook of the week when its limit runs out, later than `outlook` tells."""
        week, back_at = self.of_week, self.outlook.back_at
        if week is None or week.fate is not Fate.RUNS_OUT or week.at is None:
            return None
        return week if back_at is None or week.at > back_at else None

    @property
    def week_lasts(self) -> bool:
        """True when the weekly quota is forecast to last until its reset."""
        return self.of_week is not None and self.of_week.fate in {Fate.LASTS, Fate.UNUSED}

    @property
    def week_is_unknown(self) -> bool:
        return self.of_week is not None and self.of_week.fate is Fate.UNKNOWN


def outlooks_now(accounts: Iterable[AccountPools]) -> dict[str, FamilyOutlook]:
    """Return how long the usable ones of these accounts last together, by family of models."""
    usable = [one for one in accounts if one.is_used]
    pools, now = [one.pools for one in usable], timezone.now().timestamp()
    weeks = weeks_of(pools, now)
    return {
        family: replace(
            _with_first_end(family, one, usable),
            of_week=weeks.get(family),
            keys=[key.account for key in usable if key.is_ready_without_quota(family)],
        )
        for family, one in outlooks_of(pools, now).items()
    }


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
    standing_by = keys_standing_by(accounts)
    limited_until: dict[int, dict[str, datetime]] = {}
    for one in lasting:
        if one.kind in NAMES_OF_LIMITS:
            limited_until.setdefault(one.account_id, {})[one.model_key] = one.until
    return [
        AccountPools(
            account,
            [pool for pool in pools[account.pk] if pool.is_in_use],
            service.models_of(account.pk) if service is not None else None,
            account.pk in standing_by,
            limited_until.get(account.pk, {}),
        )
        for account in accounts
    ]
