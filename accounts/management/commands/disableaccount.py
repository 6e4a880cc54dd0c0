from __future__ import annotations

from typing import Any, ClassVar

from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command


class Command(OperatorCommand):
    examples = ("ada@example.com",)
    accounts_argument: ClassVar = {"nargs": "+"}
    help = (
        "Switches accounts off: they are kept, but no request is sent with them. Answers that are on their "
        "way are finished. A server that runs has switched them off when the command returns."
    )

    def act(self, *, names: list[str], **options: Any) -> None:
        accounts = self.accounts(names)
        for account in accounts:
            account.enabled = False
            account.save(update_fields=["enabled"])
            record_command("Disabled", account)
        rows = [{"name": account.name, "email": account.email, "enabled": False} for account in accounts]
        self.report(rows, *(f"{account.name}: off" for account in accounts))
