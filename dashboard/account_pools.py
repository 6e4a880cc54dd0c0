"""Accounts with the quota pools that requests use now, as several pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.models import Account
from accounts.quota.outlook import outlooks_of
from accounts.quota.pools import is_in_use, pools_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.quota.outlook import Outlook
    from accounts.quota.pools import QuotaPool


@dataclass(frozen=True, slots=True)
class AccountPools:
    account: Account
    pools: list[QuotaPool]


def outlooks_now(accounts: Iterable[AccountPools]) -> dict[str, Outlook]:
    """How long the usable ones of these accounts last together, by family of models."""
    usable = [one.pools for one in accounts if one.account.is_usable]
    return outlooks_of(usable, timezone.now().timestamp())


def read_account_pools() -> list[AccountPools]:
    """All accounts, in the order of their priority."""
    accounts = list(Account.objects.all())
    pools = pools_of(accounts)
    return [
        AccountPools(account, [pool for pool in pools[account.pk] if is_in_use(pool.header_mode, pool.name)])
        for account in accounts
    ]
