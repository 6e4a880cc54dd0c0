from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import DELETION, record_command


class Command(OperatorCommand):
    examples = ("ada@example.com",)
    accounts_argument: ClassVar = {"nargs": "+"}
    help = (
        "Removes accounts with their credentials and quota history. It asks first; in a script only --yes "
        "counts. The permission itself stays with Google until you take it back at "
        "https://myaccount.google.com/permissions."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, *, names: list[str], yes: bool, **options: Any) -> None:
        accounts = self.accounts(names)
        all_names = ", ".join(account.name for account in accounts)
        if not yes and not self.confirm(f"Remove {all_names}?"):
            raise CommandError("Nothing was removed. In a script, say --yes.")
        for account in accounts:
            record_command("Removed", account, DELETION)
            account.delete()
        rows = [{"name": account.name, "email": account.email, "removed": True} for account in accounts]
        self.report(rows, *(f"{account.name}: removed" for account in accounts))
