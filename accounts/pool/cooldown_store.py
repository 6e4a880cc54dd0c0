"""Cooldowns in the database: written as they change, read when the server starts."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import DataError, IntegrityError
from django.utils import timezone

from accounts.failures import FailureKind
from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import LONG_HINT_SECONDS, ActiveCooldown
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)


def read_cooldowns() -> dict[tuple[int, str], ActiveCooldown]:
    """Return the cooldowns that have not ended, by account id and model key. A long one may be probed at
    once."""
    now = timezone.now()
    return {
        (row.account_id, row.model_key): ActiveCooldown(
            until=row.until.timestamp(),
            kind=FailureKind.__members__.get(row.kind),
            reason=row.reason,
            since=row.since.timestamp(),
            probe_at=now.timestamp() if (row.until - now).total_seconds() > LONG_HINT_SECONDS else None,
        )
        for row in Cooldown.lasting()
    }


def store_cooldowns(changes: Mapping[tuple[int, str], ActiveCooldown | None]) -> None:
    """Store the changes; None ends a cooldown. Rows of removed accounts are dropped. Each row is written by
    itself: one that the database refuses is logged and left out. Raises DatabaseError when it refuses all."""
    known = set(Account.objects.values_list("pk", flat=True))
    for (account_id, model_key), cooldown in changes.items():
        try:
            _store(account_id, model_key, cooldown if account_id in known else None)
        except (ValueError, OverflowError, DataError, IntegrityError) as error:
            # The text of a database error may quote the value.
            name = f"account {account_id}, {truncate(model_key, 200)}"
            logger.error("A cooldown cannot be stored (%s): %s", type(error).__name__, name)  # noqa: TRY400
    Cooldown.objects.filter(until__lt=timezone.now()).delete()


def _store(account_id: int, model_key: str, cooldown: ActiveCooldown | None) -> None:
    if cooldown is None:
        Cooldown.objects.filter(account_id=account_id, model_key=model_key).delete()
        return
    Cooldown.objects.update_or_create(
        account_id=account_id,
        model_key=model_key,
        defaults={
            "since": datetime.fromtimestamp(cooldown.since, UTC),
            "until": datetime.fromtimestamp(cooldown.until, UTC),
            "kind": cooldown.kind.name if cooldown.kind is not None else "",
            "reason": truncate(cooldown.reason, 200),
        },
    )
