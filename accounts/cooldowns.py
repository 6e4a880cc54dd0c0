"""Rests in the database: written as they change, read when the server starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts.models import Account, Cooldown
from accounts.rest import LONG_HINT_SECONDS, CoolingDown

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_cooldowns() -> dict[tuple[int, str], CoolingDown]:
    """Those that still last, by account id and model key. A long one may be probed at once."""
    now = timezone.now()
    return {
        (row.account_id, row.model_key): CoolingDown(
            until=row.until.timestamp(),
            reason=row.reason,
            since=0.0,
            probe_at=now.timestamp() if (row.until - now).total_seconds() > LONG_HINT_SECONDS else None,
        )
        for row in Cooldown.objects.filter(until__gt=now)
    }


def store_cooldowns(changes: Mapping[tuple[int, str], CoolingDown | None]) -> None:
    """None ends a rest. What concerns an account that has been removed meanwhile is dropped."""
    known = set(Account.objects.values_list("pk", flat=True))
    with transaction.atomic():
        for (account_id, model_key), resting in changes.items():
            rows = Cooldown.objects.filter(account_id=account_id, model_key=model_key)
            if resting is None or account_id not in known:
                rows.delete()
            else:
                Cooldown.objects.update_or_create(
                    account_id=account_id,
                    model_key=model_key,
                    defaults={
                        "until": datetime.fromtimestamp(resting.until, UTC),
                        "reason": resting.reason[:200],
                    },
                )
        Cooldown.objects.filter(until__lt=timezone.now()).delete()
