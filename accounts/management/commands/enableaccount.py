from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.utils import timezone

from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command
from accounts.status.required_action import required_action

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from accounts.models import Account


class Command(OperatorCommand):
    examples = ("ada@example.com",)
    accounts_argument: ClassVar = {"nargs": "+"}
    help = (
        "Switches accounts on: requests are sent with them again. A server that runs uses them when the "
        "command returns."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_terms_argument(parser)

    def act(self, *, names: list[str], accept_terms: bool, **options: Any) -> None:
        accounts = self.accounts(names)
        for account in accounts:
            self._enable(account, accept_terms)
        rows = [{"name": one.name, "email": one.email, "usable": one.is_usable} for one in accounts]
        self.report(rows, *map(_line, accounts))

    def _enable(self, account: Account, accept_terms: bool) -> None:
        account.switch_on()
        if accept_terms:
            account.terms_accepted_at = account.terms_accepted_at or timezone.now()
        account.save(update_fields=["enabled", "state_reason", "terms_accepted_at"])
        record_command("Enabled" + (", terms accepted" if accept_terms else ""), account)


def _line(account: Account) -> str:
    action = required_action(account)
    return f"{account.name}: on" + (f", but: {action.problem}" if action else "")
