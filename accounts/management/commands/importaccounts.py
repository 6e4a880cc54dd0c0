from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from accounts.importing import ImportFileUnusable, Outcome, parse_rows, store
from accounts.terms import NOTICE

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MAX_FILE_BYTES = 50 * 1024 * 1024


class Command(BaseCommand):
    help = (
        "Adds accounts from a JSON file, or updates those whose e-mail is known. The file is a list of "
        '{"email", "refresh_token", "project_id"?}, or the accounts.json of another tool of this kind; it is '
        "only read. A running server uses the accounts within a second."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the JSON file; - reads standard input")
        parser.add_argument(
            "--accept-terms",
            action="store_true",
            help="you have read the notice about Google's terms and accept the risk for all these accounts",
        )

    def handle(self, *args: Any, file: str, accept_terms: bool, **options: Any) -> None:
        try:
            rows = parse_rows(_read(file))
        except ImportFileUnusable as error:
            raise CommandError(f"{file} cannot be imported: {error}.") from error
        outcomes = store(rows, terms_accepted=accept_terms or self._operator_accepts())
        for outcome in outcomes:
            self._report(outcome)
        self._summarise(outcomes)

    def _operator_accepts(self) -> bool:
        """Asked at a terminal; in a script only --accept-terms counts."""
        self.stderr.write(NOTICE)
        if sys.stdin.isatty() and sys.stderr.isatty():
            self.stderr.write("Type yes to accept it for these accounts: ", ending="")
            if input().strip().lower() == "yes":
                return True
        self.stderr.write(
            "Not accepted: the accounts are kept but not used. To use them, run this with --accept-terms."
        )
        return False

    def _report(self, outcome: Outcome) -> None:
        reason = f": {outcome.reason}" if outcome.reason else ""
        self.stdout.write(f"{outcome.result:<8}{outcome.email}{reason}")

    def _summarise(self, outcomes: list[Outcome]) -> None:
        counts = [sum(o.result == result for o in outcomes) for result in ("added", "updated", "failed")]
        self.stdout.write("{} added, {} updated, {} failed".format(*counts))
        if counts[2]:
            raise CommandError("Some rows could not be imported; the others are in.")


def _read(file: str) -> bytes:
    """Raises ImportFileUnusable."""
    if file == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES)
    path = Path(file)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFileUnusable("it is larger than 50 MB")
        return path.read_bytes()
    except OSError as error:
        raise ImportFileUnusable(error.strerror or str(error)) from error
