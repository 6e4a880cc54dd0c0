from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandError

from accounts.command_line import manage
from accounts.inspection import refresh_quota
from accounts.management.operator_command import OperatorCommand
from accounts.models import Account
from accounts.operators.audit import record_command
from accounts.status.overview import describe


class Command(OperatorCommand):
    examples = ("ada@example.com",)
    accounts_argument: ClassVar = {"nargs": "*", "help": "default: all usable accounts"}
    help = (
        "Reads the remaining quota of accounts from Google now, and prints it. A running server does that "
        "by itself every few minutes. Without names: all accounts that can be used."
    )

    def act(self, *, names: list[str], **options: Any) -> None:
        accounts = self.accounts(names) if names else list(Account.objects.usable())
        if not accounts and not self.report_missing_accounts():
            self.info(f"No account can be used now. What to do about each: {manage('listaccounts')}")
        results = self.check_all(accounts, refresh_quota)
        for account in accounts:
            record_command("Refreshed the quota", account)
        rows = describe(accounts)
        lines = [line for row in rows for line in _lines(row)]
        self.report([{fact: row[fact] for fact in ("name", "email", "quotas")} for row in rows], *lines)
        if any(result.problem for result in results):
            raise CommandError(
                "The quota of some accounts could not be read; what is shown for them is the last known. "
                f"What to do about each: {manage('listaccounts')}"
            )


def _lines(row: dict[str, Any]) -> list[str]:
    quotas = [f"  {one['pool']:<20} {one['left']:>7}  {one['forecast']}".rstrip() for one in row["quotas"]]
    return [row["name"], *quotas]
