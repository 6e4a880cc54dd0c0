from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command
from accounts.transfer.exporting import export
from accounts.transfer.files import FileUnusable, read_file

MOST_PASSPHRASE_BYTES = 1024 * 1024


class Command(OperatorCommand):
    examples = ("accounts.json --encrypt",)
    help = (
        "Writes accounts WITH THEIR SECRETS to a file that importaccounts reads: whoever has it can use the"
        " accounts. It asks first; in a script only --yes counts. With --encrypt it asks for a passphrase, "
        "with --passphrase-file it takes the first line of a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "file", metavar="FILE", help="a new file, made readable for you only; - prints it"
        )
        # Without a default argparse would say that EMAIL is required, too.
        parser.add_argument("names", nargs="*", default=[], metavar="ACCOUNT", help="default: all accounts")
        parser.add_argument("--encrypt", action="store_true", help="encrypt with a passphrase")
        parser.add_argument("--passphrase-file", metavar="PATH", help="encrypt with the first line of PATH")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, *, file: str, names: list[str], json: bool, **options: Any) -> None:
        if json and file == "-":
            raise CommandError("--json and - exclude each other: what is exported is JSON already.")
        accounts = self.accounts(names)
        if not options["yes"] and not self.confirm(f"Write the secrets of {len(accounts)} accounts?"):
            raise CommandError("Nothing was written. In a script, say --yes.")
        passphrase = _passphrase(options["encrypt"], options["passphrase_file"])
        content = export(accounts, passphrase)
        if file == "-":
            sys.stdout.buffer.write(content + b"\n")
        else:
            _write(Path(file), content)
        how = "encrypted" if passphrase else "plain"
        record_command(f"Exported {len(accounts)} accounts, {how}")
        if json:
            self.set_result([{"file": file, "accounts": len(accounts), "encrypted": bool(passphrase)}])
        else:
            self.info(f"Exported, {how}: {', '.join(account.name for account in accounts)}")


def _passphrase(ask: bool, path: str | None) -> str:
    """Return the passphrase; "" for no encryption. Raises CommandError."""
    if path is not None:
        return read_passphrase(path)
    if not ask:
        return ""
    passphrase = ask_passphrase()
    if not passphrase or ask_passphrase("The same again: ") != passphrase:
        raise CommandError("The two are not the same. Nothing was written.")
    return passphrase


def ask_passphrase(question: str = "Passphrase: ") -> str:
    """Ask for a passphrase at the terminal. Raises CommandError without one."""
    try:
        return getpass.getpass(question)
    except EOFError as error:
        raise CommandError("A passphrase is needed: say --passphrase-file PATH.") from error


def read_passphrase(path: str) -> str:
    """Return the first line of a file. Raises CommandError."""
    try:
        passphrase = read_file(Path(path), MOST_PASSPHRASE_BYTES).decode().partition("\n")[0].rstrip("\r")
    except FileUnusable as error:
        raise CommandError(f"{path} {error}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} cannot be read: it is not UTF-8.") from error
    if not passphrase:
        raise CommandError(f"The first line of {path} is empty.")
    return passphrase


def _write(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600; an existing one is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content + b"\n")
        except OSError:
            path.unlink()
            raise
    except FileExistsError as error:
        raise CommandError(f"{path} is there already. Nothing was written.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
