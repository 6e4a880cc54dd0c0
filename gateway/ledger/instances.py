"""Who is serving, and what becomes of the open rows of a server that died.

Each server has a row that it touches every few seconds. One that is silent for a minute, or whose lock
somebody else holds now, is dead: the rows it had open are closed as interrupted, once, by whoever claims it
first. A server that was only cut off from the database touches its row again and ends its requests itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from gateway.ledger.tables import INTERRUPTED, add_usage, hour_of
from gateway.models import RequestLog, ServerInstance

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from gateway.ledger.tables import Sums, UsageKey

SILENT_FOR = timedelta(seconds=60)


def register(lock: str) -> ServerInstance:
    """`lock` is what nobody else can hold now; empty when there is no such thing."""
    if lock:
        close_rows_of(ServerInstance.objects.filter(lock=lock))
    return ServerInstance.objects.create(
        lock=lock, process_id=os.getpid(), started_at=timezone.now(), seen_at=Now()
    )


def touch(instance_id: int) -> None:
    """Whoever took us for dead was wrong."""
    ServerInstance.objects.filter(pk=instance_id).update(seen_at=Now(), ended_at=None)


def end(instance_id: int) -> None:
    ServerInstance.objects.filter(pk=instance_id).update(ended_at=Now())


def close_rows_of_the_dead(instance_id: int) -> int:
    """How many rows were closed. `instance_id` is who asks, and so lives."""
    silent = ServerInstance.objects.filter(seen_at__lt=Now() - SILENT_FOR).exclude(pk=instance_id)
    return close_rows_of(silent)


def close_rows_of(dead: QuerySet[ServerInstance]) -> int:
    running = dead.filter(ended_at=None)
    return sum(_close_rows_of_one(pk, running) for pk in list(running.values_list("pk", flat=True)))


def _close_rows_of_one(instance_id: int, running: QuerySet[ServerInstance]) -> int:
    with transaction.atomic():
        if running.filter(pk=instance_id).update(ended_at=Now()) != 1:
            return 0  # it lives, or somebody else was first
        rows = RequestLog.objects.filter(instance_id=instance_id, duration_seconds=None, problem=None)
        usage: defaultdict[UsageKey, Sums] = defaultdict(lambda: defaultdict(float))
        for started_at, *key in rows.values_list("started_at", "upstream_model", "account", "client"):
            model, account, client = key
            for name, number in INTERRUPTED.items():
                usage[hour_of(started_at), model, account, client][name] += number
        closed = rows.update(problem=RequestLog.INTERRUPTED)
        add_usage(usage)
    return closed
