"""Thought signatures of tool calls in the database, for clients that cannot carry them, for a day.

They belong to conversations, so they are encrypted like credentials. One that no key decrypts counts as
missing: the call is then sent unsigned, which the model accepts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.credentials.encryption import CredentialsUnreadable, seal, unseal
from gateway.models import CallSignature
from gateway.translation.signature_families import tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.db.models import QuerySet

KEPT = timedelta(days=1)
STEP_ROWS = 500


def store(signatures: Mapping[str, str]) -> None:
    """Store signatures with the tag of their family, by tool_use id. A newer one for the same id wins."""
    expires_at = timezone.now() + KEPT
    rows = []
    for tool_use_id, signature in signatures.items():
        family, _, bare = signature.partition("#")
        rows.append(
            CallSignature(tool_use_id=tool_use_id, family=family, sealed=seal(bare), expires_at=expires_at)
        )
    CallSignature.objects.bulk_create(
        rows,
        batch_size=STEP_ROWS,
        update_conflicts=True,
        unique_fields=["tool_use_id"],
        update_fields=["family", "sealed", "expires_at"],
    )


def find(tool_use_ids: Iterable[str]) -> dict[str, str]:
    return _opened(_valid().filter(pk__in=list(tool_use_ids)))


def newest(count: int) -> dict[str, str]:
    """Return the newest signatures, the newest last, in the order of insertion for a cache."""
    rows = _valid().order_by("-expires_at")[:count]
    return dict(reversed(_opened(rows).items()))


def prune_step() -> int:
    """Delete expired rows, at most STEP_ROWS. Returns how many; fewer than STEP_ROWS when none are left."""
    expired = CallSignature.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
    ids = list(expired.values_list("pk", flat=True)[:STEP_ROWS])
    CallSignature.objects.filter(pk__in=ids).delete()
    return len(ids)


def _valid() -> QuerySet[CallSignature]:
    return CallSignature.objects.filter(expires_at__gt=timezone.now())


def _opened(rows: Iterable[CallSignature]) -> dict[str, str]:
    opened = {}
    for row in rows:
        try:
            opened[row.tool_use_id] = tag(row.family, unseal(row.sealed))
        except CredentialsUnreadable:
            continue
    return opened
