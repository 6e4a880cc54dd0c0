"""Base class of the operator's commands: a migrated database, --json, questions, errors as one sentence.

Only results go to standard output; progress, questions and errors go to standard error, so that each command
can be used in a pipe.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import textwrap
from abc import ABC, abstractmethod
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts.command_line import manage
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.versions import refuse_newer_database
from accounts.inspection import Check, CheckResult, check_all
from accounts.management.gateway_command import NOTHING, GatewayCommand, as_json
from accounts.models import Account
from accounts.terms import NOTICE
from accounts.values.sanitize import escape_controls, escape_controls_but_line_ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


class OperatorCommand(GatewayCommand, ABC):
    accounts_argument: ClassVar[dict[str, Any]] = {}
    """`nargs` and `help` of the argument `names`; empty for a command that takes none."""
    _result = NOTHING
    _is_printed = False
    _as_json = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help='print {"ok", "rows", "error"?} as JSON, errors too'
        )
        if self.accounts_argument:
            parser.add_argument("names", metavar="ACCOUNT", **self.accounts_argument)

    def add_terms_argument(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--accept-terms",
            action="store_true",
            help="you have read the notice about Google's terms and accept the risk for these accounts",
        )

    @abstractmethod
    def act(self, *args: Any, **options: Any) -> None:
        """Run the command. Raises CommandError with a sentence for the operator."""

    def handle(self, *args: Any, **options: Any) -> None:
        self._as_json = options["json"]
        try:
            with timezone.override(settings.LOCAL_TIME_ZONE):
                self._act_or_explain(**options)
            if self._as_json and not self._is_printed:
                self.stdout.write(as_json(self._result))
            sys.stdout.flush()
        except CommandError as error:
            if self._as_json:
                self.stdout.write(as_json(self._result, error=str(error)))
            if not self._called_from_command_line or options["traceback"]:
                raise
            # Django would print the name of the class before the sentence.
            self.stderr.write(str(error))
            sys.exit(error.returncode)
        except KeyboardInterrupt:
            self.stderr.write("\nStopped.")
            sys.exit(130)
        except BrokenPipeError:
            # The reader of the pipe has closed it; nothing must be written to it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _act_or_explain(self, **options: Any) -> None:
        """Run the command on a migrated database. Raises CommandError with a sentence for known errors."""
        try:
            self._prepare_database()
            self.act(**options)
        except CommandError as error:
            # The text may quote an argument or a file.
            raise CommandError(
                escape_controls_but_line_ends(str(error)), returncode=error.returncode
            ) from error
        except CredentialsUnreadable as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {str(error).strip()}") from error

    def _prepare_database(self) -> None:
        """Migrate the database if needed, since a command may run before the first start of the server."""
        refuse_newer_database(connection)
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)

    # Output and questions

    def set_result(self, rows: Iterable[Any], **facts: Any) -> None:
        """Set what --json prints at the end, even when the command fails later; `facts` are further keys
        beside the rows."""
        self._result = {"rows": list(rows), **facts}

    def report(self, rows: Iterable[Any], *lines: str) -> None:
        """Print the result: `rows` with --json, else the lines of text."""
        self.set_result(rows)
        for line in lines if not self._as_json else ():
            self.stdout.write(line)

    def print_line(self, row: Any) -> None:
        """Print one row at once as a JSON line, for streamed output; --json then prints nothing more."""
        self.stdout.write(as_json({"rows": [row]}, in_one_line=True))
        self._is_printed = True

    def info(self, text: str = "", ending: str = "\n") -> None:
        # Django would print all of it in red.
        self.stderr.write(escape_controls_but_line_ends(text), style_func=str, ending=ending)
        self.stderr.flush()

    def show_progress(self, text: str) -> None:
        """Replace the progress line of the terminal. Call `end_progress` before the next other output."""
        room = shutil.get_terminal_size().columns - 1
        line = escape_controls(text)
        line = line if len(line) <= room else f"{line[: room - 1]}…"
        self.stderr.write(f"\r{line.ljust(room)}", style_func=str, ending="")
        self.stderr.flush()

    def end_progress(self) -> None:
        """Clear the progress line."""
        self.show_progress("")
        self.stderr.write("\r", style_func=str, ending="")

    @property
    def is_interactive(self) -> bool:
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask for yes or no at a terminal; False in a script and at the end of input."""
        while self.is_interactive:
            self.info(f"{question} (y/n) ", ending="")
            line = sys.stdin.readline()
            if not line:
                self.info()
                break
            answer = line.strip().lower()
            if answer in ANSWERS:
                return ANSWERS[answer]
            self.info("Please answer y or n.")
        return False

    def terms_are_accepted(self, by_option: bool) -> bool:
        """Return whether the operator accepts the terms, by --accept-terms or by an answer after the
        notice."""
        if by_option:
            return True
        self.info(textwrap.fill(NOTICE, min(shutil.get_terminal_size().columns, 110)))
        if self.confirm("Do you accept it?"):
            return True
        self.info("Not accepted: what is added is kept but not used, until --accept-terms is given.")
        return False

    # Accounts

    def accounts(self, names: Sequence[str]) -> list[Account]:
        """Return the named accounts, or all of them when no name is given. Raises CommandError for an unknown
        name."""
        accounts = list(Account.objects.all())
        if not names:
            return accounts
        wanted = [name.strip().lower() for name in names]
        known = {account.name.lower(): account for account in accounts}
        if unknown := [name for name in wanted if name not in known]:
            raise CommandError(
                f"There is no account {', '.join(unknown)}. To see which there are: {manage('listaccounts')}"
            )
        return [known[name] for name in dict.fromkeys(wanted)]

    def report_missing_accounts(self) -> bool:
        """Return True when there is no account, and print how to add one."""
        if Account.objects.exists():
            return False
        self.info(f"There is no account yet. Add one: {manage('addaccount')}")
        return True

    def check_all(self, accounts: Sequence[Account], check: Check) -> list[CheckResult]:
        """Check accounts concurrently, printing a line for each; results are in the order of `accounts`."""
        done = count(1)

        def report(result: CheckResult) -> None:
            self.info(f"[{next(done)}/{len(accounts)}] {result.name}: {result.problem or 'works'}")

        return asyncio.run(check_all(accounts, check, report))
