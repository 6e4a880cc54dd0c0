from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from accounts.management.tables import Layout, duration, number, table
from accounts.quota.pools import outlook_sentences
from accounts.values.times import minute
from gateway.ledger import usage
from gateway.ledger.record import tokens_of
from gateway.ledger.time_arguments import NotATime, parse_time
from gateway.operator_api import limits
from gateway.pricing.prices import cost_in_words

if TYPE_CHECKING:
    from datetime import datetime


WHAT = ("model", "account", "client", "session", "limits")
LESS_IMPORTANT = ("THINKING", "RETRIES", "FIRST EVENT", "LEFT", "CACHED")
COUNTS = ("REQUESTS", "FAILED", "LEFT", "IN", "CACHED", "OUT")
COLUMNS = (*COUNTS, "THINKING", "RETRIES", "FIRST EVENT")
COST = "COST"
"""The last column, shown when some requests are billed by tokens."""


class Command(OperatorCommand):
    examples = ("--since 7d", "account --since today", "session --json")
    help = (
        "Prints usage: requests and tokens by model, account or client; sessions of clients; or limits: "
        "the quota that each account has left. Reads the database, also while the server runs; sends "
        "nothing to Google."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", nargs="?", choices=WHAT, default="model", help="default: model")
        parser.add_argument(
            "--since",
            default="24h",
            metavar="WHEN",
            help="30m, 24h, 7d, today, 2026-11-24 or 2026-11-24T13:45; default: 24h",
        )
        parser.add_argument("--csv", action="store_true", help="print the result as CSV")

    def act(self, *, what: str, since: str, json: bool, csv: bool, **options: Any) -> None:
        if json and csv:
            raise CommandError("--json and --csv exclude each other.")
        try:
            begin = parse_time(since, timezone.localtime())
        except NotATime as error:
            raise CommandError(f"--since: {error}") from error
        self._as_csv = csv
        if what == "limits":
            self._print_limits(limits.read_limits())
        elif what == "session":
            self._print_sessions(usage.sessions(begin), begin)
        else:
            self._print_totals(what, usage.totals_by(what, begin), usage.beginning(begin))

    def _is_for_programs(self, rows: list[dict[str, Any]], **facts: Any) -> bool:
        """Print the rows as JSON or CSV if an option asks for it. Returns False when they are to be printed
        as a table."""
        self.set_result(rows, **facts)
        if self._as_csv and rows:
            text = io.StringIO()
            writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            self.stdout.write(text.getvalue(), ending="")
        return self._as_json or self._as_csv

    # Totals by model, account or client

    def _print_totals(self, what: str, totals: dict[str, usage.Totals], begin: datetime) -> None:
        if self._is_for_programs(
            [{what: name, **one.as_json()} for name, one in totals.items()], since=begin
        ):
            return
        self.info(f"Since {minute(begin)}:")
        if not totals:
            self.info("No request has ended since then. --since 30d looks further back.")
            return
        whole = usage.Totals()
        for one in totals.values():
            whole.add(asdict(one))
        named = [*totals.items(), *([("all", whole)] if len(totals) > 1 else [])]
        is_paid = bool(whole.cost or whole.unpriced)
        lines = [(name or "(none)", *_numbers(one), *_cost(one, is_paid)) for name, one in named]
        columns = [what.upper(), *COLUMNS, *([COST] if is_paid else [])]
        self.stdout.write(table(columns, lines, optional=LESS_IMPORTANT))

    # Sessions

    def _print_sessions(self, sessions: list[usage.SessionUsage], begin: datetime) -> None:
        if self._is_for_programs([one.as_json() for one in sessions], since=begin):
            return
        self.info(f"Since {minute(begin)}, the one used last first:")
        if not sessions:
            self.info("No client has named a session since then; Claude Code does.")
            return
        is_paid = any(one.cost or one.unpriced for one in sessions)
        lines = [
            (
                one.session_id,
                one.client,
                minute(one.last_at),
                duration(one.wall_seconds),
                *_counts(one, one.failed),
                *_cost(one, is_paid),
            )
            for one in sessions
        ]
        columns = ("SESSION", "CLIENT", "LAST USED", "WALL TIME", *COUNTS, *([COST] if is_paid else []))
        optional = ("WALL TIME", "CACHED", "LAST USED", "LEFT", "FAILED")
        self.stdout.write(table(columns, lines, names=2, optional=optional))

    # Limits

    def _print_limits(self, found: list[limits.AccountLimits]) -> None:
        rows = limits.rows(found)
        if self._as_json:
            facts = limits.as_json(found)
            self.set_result(facts.pop("accounts"), **facts)
            return
        if self._is_for_programs(
            [dict(zip(map(str.lower, limits.COLUMNS), row, strict=True)) for row in rows]
        ):
            return
        if not found:
            self.report_missing_accounts()
            return
        for one in found:
            if one.action is not None:
                self.info(f"{one.account.name}: {one.action.problem}. {manage(one.action.command)}")
        pools = [pool for one in found for pool in one.pools]
        if pools and all(pool.newest is None for pool in pools):
            self.info(f"Nothing is known yet of what is left. To ask Google: {manage('refreshquota')}")
        if sentences := outlook_sentences((one.action is None, one.pools) for one in found):
            self.info(" ".join(sentences))
        layout = Layout(limits.COLUMNS, rows, names=2, whole=("QUOTA",), has_text=True)
        for line in (layout.head, *layout.lines(rows)):
            self.stdout.write(line)


def _numbers(one: usage.Totals) -> tuple[str, ...]:
    return (
        *_counts(one, one.failed + one.interrupted),
        number(one.thinking_tokens),
        number(one.retries),
        duration(one.mean_first_event_seconds),
    )


def _cost(one: usage.Totals | usage.SessionUsage, is_paid: bool) -> tuple[str, ...]:
    """Return the cell under COST, if the column is shown."""
    return (cost_in_words(one.cost, one.unpriced),) if is_paid else ()


def _counts(one: usage.Totals | usage.SessionUsage, failed: int) -> tuple[str, ...]:
    """Return the cells under COUNTS."""
    requests = (one.requests, failed, one.hung_up)
    tokens = (tokens_of(one).all_input, one.cache_read_tokens, one.output_tokens)
    return tuple(map(number, requests + tokens))
