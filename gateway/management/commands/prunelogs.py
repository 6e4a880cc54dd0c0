from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from accounts.live_settings import live, reload
from accounts.management.operator_command import OperatorCommand
from gateway.ledger.retention import STEP_ROWS, prune_step
from gateway.models import RequestLog


class Command(OperatorCommand):
    examples = ("--days 7 --preview",)
    help = (
        "Removes requests from the ledger that are older than LEDGER_RETENTION_DAYS, or than --days. A "
        "running server does the same by itself; this command does it at once, also while one runs. Hourly "
        "sums stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, help="keep this many days; default: LEDGER_RETENTION_DAYS")
        parser.add_argument("--preview", action="store_true", help="only print how many would be removed")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--vacuum",
            action="store_true",
            help="SQLite: shrink the file; needs free space of its size, and locks it meanwhile",
        )

    def act(self, *, days: int | None, preview: bool, yes: bool, vacuum: bool, **options: Any) -> None:
        reload()
        kept: int = live("LEDGER_RETENTION_DAYS") if days is None else days
        if days is not None and not 0 <= days <= 36500:
            raise CommandError("--days: must be a whole number from 0 to 36500.")
        if days is None and not kept:
            raise CommandError("LEDGER_RETENTION_DAYS is 0, which removes nothing. Say --days N.")
        before = timezone.now() - timedelta(days=kept)
        old = RequestLog.objects.filter(started_at__lt=before).count()
        if preview:
            self._report(old, kept, "would be removed")
            return
        if old and not yes and not self.confirm(f"Remove {old:,} requests older than {kept} days?"):
            raise CommandError("Nothing was removed. In a script, say --yes.")
        removed = self._remove(before, old)
        if vacuum and connection.vendor == "sqlite":
            self.info("Shrinking the file ...")
            with connection.cursor() as cursor:
                cursor.execute("VACUUM")
        self._report(removed, kept, "removed")

    def _remove(self, before: Any, old: int) -> int:
        removed = 0
        while step := prune_step(before):
            removed += step
            if removed % (20 * STEP_ROWS) == 0:
                self.info(f"{removed:,} of {old:,}")
        return removed

    def _report(self, count: int, kept: int, what: str) -> None:
        rows = [{"requests": count, "days_kept": kept, "what": what}]
        self.report(rows, f"{count:,} requests older than {kept} days {what}.")
