"""Accounts with the quota pools that requests use now, as several pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.kinds.families import families_offered
from accounts.models import Account
from accounts.quota.outlook import outlooks_of
from accounts.quota.pools import is_in_use, pools_of
from accounts.service import running_service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from accounts.quota.outlook import Outlook
    from accounts.quota.pools import QuotaPool


@dataclass(frozen=True, slots=True)
class AccountPools:
    account: Account
    pools: list[QuotaPool]
    models: Collection[str] | None = None
    """Ids that the provider lists for it; None while they are unknown to this process."""

    @property
    def families(self) -> tuple[str, ...]:
        return families_offered(self.account.kind, self.models)

    @property
    def standing(self) -> tuple[bool, Sequence[str], Sequence[QuotaPool]]:
        """As `overview.status_line` counts it: whether it is usable, its families, its pools."""
        return self.account.is_usable, self.families, self.pools


def outlooks_now(accounts: Iterable[AccountPools]) -> dict[str, Outlook]:
    """How long the usable ones of these accounts last together, by family of models."""
    usable = [one.pools for one in accounts if one.account.is_usable]
    return outlooks_of(usable, timezone.now().timestamp())


def read_account_pools() -> list[AccountPools]:
    """All accounts, in the order of their priority."""
    accounts = list(Account.objects.all())
    pools, service = pools_of(accounts), running_service()
    return [
        AccountPools(
            account,
            [pool for pool in pools[account.pk] if is_in_use(pool.header_mode, pool.name)],
            service.models_of(account.pk) if service is not None else None,
        )
        for account in accounts
    ]
