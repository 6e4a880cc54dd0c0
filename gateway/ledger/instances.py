"""Server instances, and closing the rows that a dead server left open.

Each server has a row that it touches every few seconds. A server that has not touched it for LEASE, or
whose lock another server now holds, counts as dead: its open rows are closed as interrupted, once, by the
first server to claim it. A server that was only cut off from the database renews its lease and ends its
requests itself.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Now, TruncHour, TruncMinute
from django.utils import timezone

from accounts.models import Revision
from gateway.ledger.rows_and_sums import HOUR_KEY, MINUTE_KEY
from gateway.models import HourlyUsage, MinuteUsage, RequestLog, ServerInstance

LEASE = timedelta(seconds=60)


def register(lock: str) -> ServerInstance:
    """Create this server's row. `lock` names an exclusive lock the server holds; empty when there is none."""
    if lock:
        close_rows_of(ServerInstance.objects.filter(lock=lock))
    return ServerInstance.objects.create(
        lock=lock, process_id=os.getpid(), started_at=timezone.now(), seen_at=Now()
    )


def touch(instance_id: int) -> None:
    """Renew the lease. An expired lease is corrected with the next write (tables.store)."""
    ServerInstance.objects.filter(pk=instance_id).update(seen_at=Now())


def end(instance_id: int) -> None:
    """End this server's row and close the requests still open, since no server will write their end."""
    close_rows_of(ServerInstance.objects.filter(pk=instance_id))


def close_rows_of_expired(instance_id: int) -> int:
    """Close the open rows of dead servers other than `instance_id`. Returns how many rows were closed."""
    expired = ServerInstance.objects.filter(seen_at__lt=Now() - LEASE).exclude(pk=instance_id)
    return close_rows_of(expired)


def close_rows_of(expired: QuerySet[ServerInstance]) -> int:
    running = expired.filter(ended_at=None)
    return sum(_close_rows_of_one(pk, running) for pk in list(running.values_list("pk", flat=True)))


def _close_rows_of_one(instance_id: int, running: QuerySet[ServerInstance]) -> int:
    with transaction.atomic():
        if running.filter(pk=instance_id).update(ended_at=Now()) != 1:
            return 0  # alive, or claimed by another server
        rows = RequestLog.objects.filter(instance_id=instance_id, duration_seconds=None, problem=None)
        _count_interrupted(rows)
        Revision.forget(instance_id)
        return rows.update(problem=RequestLog.INTERRUPTED)


def _count_interrupted(rows: QuerySet[RequestLog]) -> None:
    """Add to both tables of sums, in the order of rows_and_sums.py: servers cannot deadlock."""
    model = F("upstream_model")
    by_hour = rows.values("account", "client", hour=TruncHour("started_at"), model=model)
    _count_in(HourlyUsage, by_hour, HOUR_KEY)
    _count_in(MinuteUsage, rows.values(minute=TruncMinute("started_at"), model=model), MINUTE_KEY)


def _count_in(
    table: type[HourlyUsage | MinuteUsage],
    groups: QuerySet[RequestLog, Any],
    columns: tuple[str, ...],
) -> None:
    for group in groups.annotate(count=Count("pk")).order_by(*columns):
        usage, _ = table.objects.get_or_create(**{column: group[column] for column in columns})
        table.objects.filter(pk=usage.pk).update(
            requests=F("requests") + group["count"], interrupted=F("interrupted") + group["count"]
        )
