"""Which unpaid keys stand by, for pages and commands: usable accounts left out of the pool because another
unpaid key is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import Account
from accounts.pool.unpaid_keys import KIND, standing_by

if TYPE_CHECKING:
    from collections.abc import Collection

STANDS_BY = (
    "Another unpaid Gemini key is used. Unpaid keys do not take over for one another, because it is not "
    "plainly permitted to multiply the limits of the unpaid tier: switch the other one off to use this one."
)


def keys_standing_by(accounts: Collection[Account]) -> set[int]:
    """Return the ids of those of the accounts that stand by. Makes no query when none of them can."""
    if not any(account.kind == KIND and not account.is_paid for account in accounts):
        return set()
    return standing_by(Account.objects.usable().filter(kind=KIND)) & {account.pk for account in accounts}
