from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from accounts.command_line import manage
from accounts.credentials.passphrases import PassphraseWrong
from accounts.management.commands.exportaccounts import ask_passphrase, read_passphrase
from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command
from accounts.transfer.documents import ImportFileUnusable
from accounts.transfer.files import FileUnusable, files_in, is_folder, read_file, read_whole
from accounts.transfer.formats.environment import NAMES, read_variables
from accounts.transfer.importing import (
    WOULD_BE_ADDED,
    WOULD_BE_UPDATED,
    WOULD_FAIL,
    checked,
    preview,
    store,
    summary,
)
from accounts.transfer.owners import find_owners, lacks_owner
from accounts.transfer.readers import parse_rows
from accounts.transfer.rows import ADDED, CLOUD_CODE, FAILED, UPDATED, ImportedRow, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MOST_FILE_BYTES = 32 * 1024 * 1024
MOST_FILES = 10_000
MOST_ASKED = 1_000
"""The largest number of rows whose e-mail is looked up at Google; more could look like an attack to it."""
PREVIEWED = 20
DONE = (ADDED, UPDATED, FAILED)
EXPECTED = (WOULD_BE_ADDED, WOULD_BE_UPDATED, WOULD_FAIL)


class Command(OperatorCommand):
    examples = ("accounts.json", "accounts.json --preview")
    help = (
        "Adds accounts from files, or updates those whose e-mail is known: what exportaccounts has written, "
        'a list of {"email", "refresh_token", "project_id"?}, a text with a refresh token on each line, and '
        "the files of CLIProxyAPI, Antigravity-Manager, gcli2api and opencode; keys from the configuration "
        "of CLIProxyAPI, LiteLLM, claude-code-router and Bifrost, and from .env files. All are only read. "
        "What a tool has switched off stays off. Where a file names no e-mail, Google is asked whose the "
        "sign-in is. At a terminal the rows are shown first. A running server uses the accounts within a "
        "second. Exit status 1: something could not be taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "paths",
            nargs="*",
            metavar="PATH",
            help="a file, or a folder for all files in it; - is standard input",
        )
        parser.add_argument(
            "--environment",
            action="store_true",
            help="the keys that this shell has in ANTHROPIC_API_KEY, GEMINI_API_KEY and the like",
        )
        parser.add_argument("--recursive", action="store_true", help="also the folders within a folder")
        self.add_terms_argument(parser)
        parser.add_argument(
            "--preview",
            "--dry-run",
            action="store_true",
            help="show what would happen, asking Google nothing",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--passphrase-file", metavar="PATH", help="for an encrypted file")

    def act(self, *, paths: list[str], accept_terms: bool, **options: Any) -> None:
        rows = self._read_environment() if options["environment"] else []
        if paths or not rows:
            rows += self._read_rows(paths, options["passphrase_file"], recursive=options["recursive"])
        if options["preview"]:
            self._report(preview(rows), EXPECTED)
            return
        if self.is_interactive and not options["yes"]:
            self._confirm_preview(rows)
        needs_notice = any(row.kind == CLOUD_CODE and not row.problem for row in rows)
        terms_accepted = not needs_notice or self.terms_are_accepted(accept_terms)
        outcomes = store(self._with_owners(checked(rows)), terms_accepted=terms_accepted)
        record_command(f"Imported accounts: {summary(outcomes, DONE)}")
        self._report(outcomes, DONE)
        failed = sum(outcome.result == FAILED for outcome in outcomes)
        if failed == len(outcomes):
            raise CommandError("Nothing could be imported.")
        self.info(f"Whether they work shows: {manage('verifyaccounts')}")
        if failed:
            raise CommandError("Some could not be imported; the others are in.")

    # Reading

    def _read_environment(self) -> list[ImportedRow]:
        """Read the accounts in environment variables. Raises CommandError."""
        rows = read_variables(os.environ)
        if not rows:
            raise CommandError(f"None of {', '.join(sorted(NAMES))} is set.")
        return [replace(row, place=place) for place, row in rows]

    def _read_rows(
        self, paths: list[str], passphrase_file: str | None, *, recursive: bool
    ) -> list[ImportedRow]:
        @cache
        def passphrase() -> str:
            return read_passphrase(passphrase_file) if passphrase_file else ask_passphrase()

        if not paths:
            raise CommandError("Name a file, or say --environment.")
        if len(paths) == 1 and not is_folder(paths[0]):
            try:
                return _parse(paths[0], passphrase)
            except (FileUnusable, ImportFileUnusable, PassphraseWrong) as error:
                raise CommandError(f"{paths[0]} {_why(error)}.") from error
        files = [file for path in paths for file in _files(path, recursive=recursive)]
        return self._read_files(files, passphrase)

    def _read_files(self, files: list[str], passphrase: Callable[[], str]) -> list[ImportedRow]:
        """Read the rows of all files; one that cannot be read becomes a row with a problem."""
        rows: list[ImportedRow] = []
        for number, file in enumerate(files, start=1):
            try:
                found = _parse(file, passphrase, name=Path(file).name)
            except (FileUnusable, ImportFileUnusable, PassphraseWrong) as error:
                found = [ImportedRow(problem=_why(error), file=Path(file).name)]
                self._progress(number, len(files), f"{Path(file).name} {_why(error)}", is_over=True)
            else:
                self._progress(number, len(files), f"{Path(file).name}: {_counted(len(found), 'account')}")
            rows += found
        self._end_progress()
        return rows

    def _with_owners(self, rows: list[ImportedRow]) -> list[ImportedRow]:
        nameless = sum(map(lacks_owner, rows))
        if not nameless:
            return rows
        if nameless > MOST_ASKED:
            raise CommandError(
                f"{nameless:,} rows have no e-mail. Google is asked for {MOST_ASKED:,} at most; import fewer."
            )
        self.info(f"Asking Google for the e-mail of {_counted(nameless, 'sign-in')} …")
        done: list[ImportedRow] = []

        def on_done(row: ImportedRow) -> None:
            done.append(row)
            self._progress(len(done), nameless, row.email or f"{row.file} {row.place}: {row.problem}".strip())

        try:
            return find_owners(rows, on_done)
        finally:
            self._end_progress()

    def _progress(self, number: int, total: int, text: str, *, is_over: bool = False) -> None:
        """Show progress: at a terminal in one line that is replaced, except with `is_over`; else line by
        line."""
        line = f"[{number}/{total}] {text}"
        if not self.is_interactive:
            self.info(line)
            return
        self.show_progress(line)
        if is_over:
            self.end_progress()
            self.info(line)

    def _end_progress(self) -> None:
        if self.is_interactive:
            self.end_progress()

    # Reporting

    def _confirm_preview(self, rows: list[ImportedRow]) -> None:
        outcomes = preview(rows)
        for outcome in outcomes[:PREVIEWED]:
            self.info(_line(outcome))
        if len(outcomes) > PREVIEWED:
            self.info(f"… and {len(outcomes) - PREVIEWED} more")
        if not self.confirm(f"{summary(outcomes, EXPECTED)}. Import them?"):
            raise CommandError("Nothing was imported.")

    def _report(self, outcomes: list[Outcome], results: Sequence[str]) -> None:
        rows = [asdict(outcome) for outcome in outcomes]
        self.report(rows, *map(_line, outcomes), summary(outcomes, results))


def _line(outcome: Outcome) -> str:
    name = outcome.name or outcome.email
    who = name or outcome.place
    if outcome.reason and name and outcome.place:
        who = f"{who} ({outcome.place})"
    return f"{outcome.result:<17}{who}" + (f": {outcome.reason}" if outcome.reason else "")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _files(path: str, *, recursive: bool) -> list[str]:
    """Return the path itself, or the files of a folder. Raises CommandError."""
    if path == "-" or not is_folder(path):
        return [path]
    try:
        files = files_in(Path(path), MOST_FILES, recursive=recursive)
    except FileUnusable as error:
        raise CommandError(f"{path} {error}.") from error
    if not files:
        raise CommandError(f"{path} holds no files. With --recursive the folders within it are read, too.")
    return [str(file) for file in files]


def _parse(file: str, passphrase: Callable[[], str], name: str = "") -> list[ImportedRow]:
    """Return the rows of a file, "-" for standard input. Raises FileUnusable, ImportFileUnusable and
    PassphraseWrong."""
    if file == "-":
        return parse_rows(read_whole(sys.stdin.buffer, MOST_FILE_BYTES), passphrase, name)
    return parse_rows(read_file(Path(file), MOST_FILE_BYTES), passphrase, name)


def _why(error: Exception) -> str:
    """Return the reason, as the continuation of a sentence that begins with the name of the file."""
    why = str(error).rstrip(".")
    return why if isinstance(error, FileUnusable) else f"cannot be imported: {why}"
