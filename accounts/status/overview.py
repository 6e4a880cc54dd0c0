"""State, quotas and settings of accounts as plain values, for tables and JSON. No secrets."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from accounts.models import Account
from accounts.quota.pools import empty_quotas, outlook_sentences, pools_of
from accounts.status.required_action import required_action
from accounts.status.unpaid_keys import keys_standing_by

if TYPE_CHECKING:
    from collections.abc import Iterable


def describe(accounts: Iterable[Account]) -> list[dict[str, Any]]:
    chosen = list(accounts)
    pools, standing_by = pools_of(chosen), keys_standing_by(chosen)
    return [
        {
            **_facts(account),
            "stands_by": account.pk in standing_by,
            "empty": empty_quotas(pools[account.pk]),
            "quotas": [pool.as_json() for pool in pools[account.pk]],
        }
        for account in chosen
    ]


def how_long_it_lasts() -> list[str]:
    """Return a sentence for each family of models, about all accounts together."""
    accounts = list(Account.objects.all())
    pools = pools_of(accounts)
    return outlook_sentences((account.is_usable, pools[account.pk]) for account in accounts)


def _facts(account: Account) -> dict[str, Any]:
    action = required_action(account)
    return {
        "name": account.name,
        "email": account.email,
        "kind": account.kind,
        "usable": account.is_usable,
        "state": account.state,
        "state_since": account.state_since,
        "required_action": asdict(action) if action else None,
        "enabled": account.enabled,
        "tier": account.tier,
        "project_id": account.project_id,
        "priority": account.priority,
        "terms_accepted_at": account.terms_accepted_at,
        "last_used_at": account.last_used_at,
        "added_at": account.added_at,
    }
