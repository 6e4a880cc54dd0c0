from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command
from accounts.values.times import minute
from proxy_site.maintenance.restore import Questions, restore
from proxy_site.maintenance.running import no_server
from proxy_site.management.commands.backup import passphrase_from

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(OperatorCommand):
    help = (
        "Puts a backup in the place of the database that is here, of which it keeps a copy in "
        "DATA_DIR/copies; those copies can be restored, too. No server may run meanwhile. It asks before it "
        "replaces anything; in a script only --yes counts."
    )
    examples = ("monday.backup",)
    takes_demo_option = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="written by backup, or a copy of a database")
        parser.add_argument(
            "--keys", action="store_true", help="use the keys in it; it asks for the passphrase"
        )
        parser.add_argument(
            "--passphrase-file",
            metavar="PATH",
            help="the same with the first line of PATH; - reads standard input",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def _prepare_database(self) -> None:
        """Do not migrate: the present database may be damaged."""

    def act(self, *, file: str, yes: bool, json: bool, **options: Any) -> None:
        source = options["passphrase_file"]
        with no_server():
            questions = Questions(
                passphrase=partial(passphrase_from, source),
                may_replace=lambda: yes or self.confirm(f"Replace the database that is here with {file}?"),
                wants_keys=options["keys"] or source is not None,
            )
            restored = restore(Path(file), questions)
            record_command(f"Restored the backup {Path(file).name}")
        self.set_result([asdict(restored)])
        if json:
            return
        of = _of_when(restored.made_at)
        self.stdout.write(f"Restored{of}. Accounts: {restored.accounts:,}, requests: {restored.requests:,}")
        for note in restored.notes:
            self.info(note)


def _of_when(made_at: str) -> str:
    """Return the time of the backup for the result line; "" for a bare copy of a database and an invalid
    time."""
    try:
        moment = datetime.fromisoformat(made_at)
    except ValueError:
        return ""
    return f" the backup of {minute(moment)}" if moment.tzinfo else ""
