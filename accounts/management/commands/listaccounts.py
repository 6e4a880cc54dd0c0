from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from accounts.models import ClientProblem
from accounts.overview import describe
from accounts.times import minute

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

ROW = "{email:<34} {status:<26} {tier:<8} {lowest:>7}  {used}"


class Command(OperatorCommand):
    examples = ("", "--json")
    help = (
        "Lists the accounts: state, tier, what is left of the emptiest quota, last use, and what to do about "
        "those that cannot be used. Reads what the server has stored; asks Google nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("emails", nargs="*", metavar="EMAIL", help="default: all accounts")

    def act(self, *, emails: list[str], json: bool, **options: Any) -> None:
        rows = describe(self.accounts(emails))
        if json:
            self.set_result(rows)
            return
        if problem := ClientProblem.objects.first():
            self.say(f"Since {minute(problem.since)}: {problem.reason} No account is to blame.")
        if not rows:
            self.say(f"There is no account yet. Add one: {manage('addaccount')}")
            return
        heading = ROW.format(email="E-MAIL", status="STATE", tier="TIER", lowest="LEFT", used="LAST USED")
        self.stdout.write(heading)
        for row in rows:
            self._print_row(row)

    def _print_row(self, row: dict[str, Any]) -> None:
        advice = row["advice"]
        fractions = [quota["remaining_fraction"] for quota in row["quotas"]]
        known = [fraction for fraction in fractions if fraction is not None]
        dry = row["dry"]
        used = row["last_used_at"]
        self.stdout.write(
            ROW.format(
                email=row["email"],
                status=advice["problem"] if advice else dry if dry.startswith("dry") else "OK",
                tier=row["tier"],
                lowest=f"{min(known):.0%}" if known else "unknown",
                used=minute(used) if used else "never",
            ).rstrip()
        )
        if advice:
            self._print_advice(advice)
        elif dry and not dry.startswith("dry"):
            self.stdout.write(f"    {dry}")

    def _print_advice(self, advice: dict[str, Any]) -> None:
        since = f" (since {minute(advice['since'])})" if advice["since"] else ""
        for line in (advice["reason"] + since, advice["what_to_do"], advice["link"]):
            if line.strip():
                self.stdout.write(f"    {line.strip()}")
        self.stdout.write(f"    {manage(advice['command'])}")
