"""What is old goes: rows after LEDGER_RETENTION_DAYS, hourly sums much later. In steps so small that nobody
who writes meanwhile has to wait."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts.live_settings import live
from gateway.models import HourlyUsage, RequestAttempt, RequestLog, ServerInstance

if TYPE_CHECKING:
    from datetime import datetime

STEP_ROWS = 500
SUMS_KEPT = timedelta(days=400)


def oldest_kept() -> datetime | None:
    """Rows of requests that began before may go; None when none may."""
    days: int = live("LEDGER_RETENTION_DAYS")
    return timezone.now() - timedelta(days=days) if days else None


def prune_step(before: datetime) -> int:
    """How many rows of requests went; fewer than STEP_ROWS: that was all. The oldest go first."""
    old = RequestLog.objects.filter(started_at__lt=before).order_by("started_at", "id")
    ids = list(old.values_list("pk", flat=True)[:STEP_ROWS])
    with transaction.atomic():
        RequestAttempt.objects.filter(request_id__in=ids).delete()
        RequestLog.objects.filter(pk__in=ids).delete()
    if len(ids) < STEP_ROWS:
        HourlyUsage.objects.filter(hour__lt=timezone.now() - SUMS_KEPT).delete()
        # One that ended a moment ago may only have been taken for dead.
        ServerInstance.objects.filter(ended_at__lt=before - timedelta(days=1)).delete()
    return len(ids)
