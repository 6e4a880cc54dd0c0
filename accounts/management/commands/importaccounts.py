from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from accounts.audit import record_command
from accounts.exporting import PassphraseWrong
from accounts.files import FileUnusable, read_file, read_whole
from accounts.importing import ImportFileUnusable, Outcome, Row, parse_rows, preview, store
from accounts.management.commands.exportaccounts import read_passphrase
from accounts.management.operator_command import OperatorCommand

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

MOST_FILE_BYTES = 32 * 1024 * 1024
PREVIEWED = 20


class Command(OperatorCommand):
    examples = ("accounts.json", "accounts.json --preview")
    help = (
        "Adds accounts from a JSON file, or updates those whose e-mail is known. The file is a list of "
        '{"email", "refresh_token", "project_id"?}, what exportaccounts has written, or the accounts.json of '
        "another tool of this kind; it is only read. At a terminal the rows are shown first. A running "
        "server uses the accounts within a second. Exit status 1: some rows could not be taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="the JSON file; - reads standard input")
        self.add_terms_argument(parser)
        parser.add_argument("--preview", action="store_true", help="show what would happen, and stop")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--passphrase-file", metavar="PATH", help="for an encrypted file")

    def act(self, *, file: str, accept_terms: bool, json: bool, **options: Any) -> None:
        rows = self._read_rows(file, options["passphrase_file"])
        if options["preview"]:
            self._report(preview(rows), json)
            return
        if self.somebody_is_there and not options["yes"]:
            self._let_see(rows)
        outcomes = store(rows, terms_accepted=self.terms_are_accepted(accept_terms))
        record_command(f"Imported accounts: {_summary(outcomes)}")
        self._report(outcomes, json)
        if any(outcome.result == "failed" for outcome in outcomes):
            raise CommandError("Some rows could not be imported; the others are in.")

    def _read_rows(self, file: str, passphrase_file: str | None) -> list[Row]:
        def ask_passphrase() -> str:
            return read_passphrase(passphrase_file) if passphrase_file else getpass.getpass("Passphrase: ")

        try:
            return parse_rows(_read(file), ask_passphrase)
        except FileUnusable as error:
            raise CommandError(f"{file} {error}.") from error
        except (ImportFileUnusable, PassphraseWrong) as error:
            raise CommandError(f"{file} cannot be imported: {str(error).rstrip('.')}.") from error

    def _let_see(self, rows: list[Row]) -> None:
        outcomes = preview(rows)
        for outcome in outcomes[:PREVIEWED]:
            self.say(_line(outcome))
        if len(outcomes) > PREVIEWED:
            self.say(f"… and {len(outcomes) - PREVIEWED} more")
        if not self.confirm(f"{_summary(outcomes)}. Import them?"):
            raise CommandError("Nothing was imported.")

    def _report(self, outcomes: list[Outcome], json: bool) -> None:
        if json:
            self.set_result([asdict(outcome) for outcome in outcomes])
            return
        for outcome in outcomes:
            self.stdout.write(_line(outcome))
        self.stdout.write(_summary(outcomes))


def _line(outcome: Outcome) -> str:
    return f"{outcome.result:<8}{outcome.email}" + (f": {outcome.reason}" if outcome.reason else "")


def _summary(outcomes: list[Outcome]) -> str:
    counts = [sum(o.result == result for o in outcomes) for result in ("added", "updated", "failed")]
    return "{} added, {} updated, {} failed".format(*counts)


def _read(file: str) -> bytes:
    """Raises FileUnusable."""
    if file == "-":
        return read_whole(sys.stdin.buffer, MOST_FILE_BYTES)
    return read_file(Path(file), MOST_FILE_BYTES)
