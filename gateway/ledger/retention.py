"""Deletion of old rows: requests after LEDGER_RETENTION_DAYS, sums by minute after a day, sums by hour much
later. Each step is small enough that concurrent writers need not wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.live_settings import live
from gateway.models import HourlyUsage, MinuteUsage, RequestAttempt, RequestLog, ServerInstance

STEP_ROWS = 500
SUMS_KEPT = timedelta(days=400)
MINUTES_KEPT = timedelta(days=1)


def oldest_kept() -> datetime | None:
    """Return the time before which rows of requests may be deleted; None when none may."""
    days: int = live("LEDGER_RETENTION_DAYS")
    return timezone.now() - timedelta(days=days) if days else None


def prune_step(before: datetime) -> int:
    """Delete the oldest rows, at most STEP_ROWS. Returns how many rows of requests were deleted; fewer than
    STEP_ROWS when none are left."""
    old = RequestLog.objects.filter(started_at__lt=before).order_by("started_at", "id")
    ids = list(old.values_list("pk", flat=True)[:STEP_ROWS])
    with transaction.atomic():
        RequestAttempt.objects.filter(request_id__in=ids).delete()
        RequestLog.objects.filter(pk__in=ids).delete()
    if len(ids) < STEP_ROWS:
        HourlyUsage.objects.filter(hour__lt=timezone.now() - SUMS_KEPT).delete()
        MinuteUsage.objects.filter(minute__lt=timezone.now() - MINUTES_KEPT).delete()
        # An instance that ended a moment ago may still renew its lease.
        ServerInstance.objects.filter(ended_at__lt=before - timedelta(days=1)).delete()
    return len(ids)
