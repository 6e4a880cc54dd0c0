from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from django.core.management.base import CommandError

from accounts.command_line import manage
from accounts.inspection import verify
from accounts.management.operator_command import OperatorCommand
from accounts.models import Account
from accounts.operators.audit import record_command

NOT_REACHED = (
    "A provider did not answer, so nothing was learnt about those accounts, and their states are as they "
    "were. Look at this machine's network and at the settings HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, then "
    "try again."
)


class Command(OperatorCommand):
    examples = ("", "ada@example.com")
    accounts_argument: ClassVar = {"nargs": "*", "help": "default: all accounts"}
    help = (
        "Tests accounts at their providers: of a key its models; of a Google account a new access token, the "
        "project, the models, and, where Google has refused to serve one, an answer. One that passes is "
        "usable again, whatever state it was in. Accounts that their provider has disabled are tested only "
        "when named. Exit status 0: all work; 1: some do not."
    )

    def act(self, *, names: list[str], **options: Any) -> None:
        accounts = self.accounts(names)
        if not names:
            accounts = [one for one in accounts if one.state != Account.State.DISABLED_BY_PROVIDER]
        self.report_missing_accounts()
        results = self.check_all(accounts, verify)
        for result, account in zip(results, accounts, strict=True):
            record_command(f"Verified: {result.problem or 'works'}", account)
        broken = sum(bool(result.problem) for result in results)
        rows = [asdict(result) for result in results]
        self.report(rows, f"{len(results) - broken} work, {broken} do not")
        if any(result.is_unreachable for result in results):
            raise CommandError(NOT_REACHED)
        if broken:
            raise CommandError(f"What to do about each: {manage('listaccounts')}")
