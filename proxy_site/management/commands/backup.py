from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection

from accounts.credentials.encryption import keys_are_in_a_file
from accounts.management.commands.exportaccounts import ask_passphrase, read_passphrase
from accounts.management.operator_command import OperatorCommand
from accounts.models import Account
from accounts.operators.audit import record_command
from proxy_site.maintenance.backup import back_up
from proxy_site.maintenance.copies import CopyFailed, reason


class Command(OperatorCommand):
    help = (
        "Writes the database and the settings into one file, also while servers run; restore reads it. "
        "With --keys the keys and the secret settings are in it, too, under a passphrase that it asks for."
    )
    examples = ("monday.backup --keys", "nightly.backup --passphrase-file passphrase")
    takes_demo_option = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="a new file, made readable for you only")
        parser.add_argument("--keys", action="store_true", help="put the keys in, under a passphrase")
        parser.add_argument(
            "--passphrase-file",
            metavar="PATH",
            help="the same with the first line of PATH; - reads standard input",
        )

    def _prepare_database(self) -> None:
        """Do not migrate: the backup has the database unchanged. Raises CommandError when there is none."""
        if Account._meta.db_table not in connection.introspection.table_names():
            raise CommandError("There is no database yet, so there is nothing to back up.")

    def act(self, *, file: str, json: bool, **options: Any) -> None:
        path = Path(file)
        if os.path.lexists(path):
            raise CommandError(f"{file} is there already. Nothing was written.")
        passphrase = self._passphrase(options["keys"], options["passphrase_file"])
        try:
            back_up(connection, path, passphrase)
        except FileExistsError as error:
            raise CommandError(f"{file} is there already. Nothing was written.") from error
        except (CopyFailed, OSError) as error:
            raise CommandError(f"{file} cannot be written: {reason(error)}.") from error
        what = "with the keys" if passphrase else "without the keys"
        record_command(f"Made a backup {what}")
        self.set_result([{"file": file, "bytes": path.stat().st_size, "keys": bool(passphrase)}])
        if json:
            return
        self.stdout.write(f"{file}: {path.stat().st_size:,} bytes, {what}")
        if not passphrase and keys_are_in_a_file():
            self.info(
                "Keep a copy of the file credentials_keys in DATA_DIR, in another place: without it nobody "
                "can use the accounts in this backup. With --keys it is in the backup, under a passphrase."
            )

    def _passphrase(self, ask: bool, path: str | None) -> str:
        """Return the passphrase; "" for a backup without keys."""
        if path is None and not ask:
            return ""
        passphrase = passphrase_from(path)
        if path is None and ask_passphrase("The same again: ") != passphrase:
            raise CommandError("The two are not the same. Nothing was written.")
        return passphrase


def passphrase_from(path: str | None) -> str:
    """Return the passphrase from a file, from standard input for "-", else from the terminal. Raises
    CommandError."""
    if path not in {None, "-"}:
        return read_passphrase(path)
    if path == "-":
        passphrase = sys.stdin.readline(1024 * 1024).rstrip("\r\n")
    elif sys.stdin.isatty():
        passphrase = ask_passphrase()
    else:
        raise CommandError("A passphrase is needed: say --passphrase-file PATH, or - for standard input.")
    if not passphrase:
        raise CommandError("The passphrase is empty.")
    return passphrase
