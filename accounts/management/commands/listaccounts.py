from __future__ import annotations

from typing import Any, ClassVar

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from accounts.management.tables import Layout
from accounts.models import ClientProblem
from accounts.status.overview import describe, how_long_it_lasts
from accounts.status.unpaid_keys import STANDS_BY
from accounts.values.times import minute

COLUMNS = ("ACCOUNT", "STATE", "TIER", "LEFT", "LAST USED")


class Command(OperatorCommand):
    examples = ("", "--json")
    accounts_argument: ClassVar = {"nargs": "*", "help": "default: all accounts"}
    help = (
        "Lists the accounts: state, tier, its lowest remaining quota, last use, how long all quotas last "
        "together, and what to do about those that cannot be used. Reads what the server has stored; sends "
        "nothing to Google."
    )

    def act(self, *, names: list[str], json: bool, **options: Any) -> None:
        rows = describe(self.accounts(names))
        if json:
            self.set_result(rows)
            return
        if problem := ClientProblem.objects.first():
            self.info(f"Since {minute(problem.since)}: {problem.reason} No account is to blame.")
        if not rows:
            self.report_missing_accounts()
            return
        if not names and (sentences := how_long_it_lasts()):
            self.info(" ".join(sentences))
        cells = [_cells(row) for row in rows]
        layout = Layout(COLUMNS, cells, names=3, optional=("TIER",), whole=("STATE", "TIER"), enough=20)
        self.stdout.write(layout.head)
        for row, line in zip(rows, layout.lines(cells), strict=True):
            self.stdout.write(line)
            if row["required_action"]:
                self._print_action(row["required_action"])
                continue
            if row["stands_by"]:
                self.stdout.write(f"    {STANDS_BY}")
            if row["empty"] and not _are_all_empty(row):
                self.stdout.write(f"    {row['empty']}")
            for quota in row["quotas"]:
                if quota["windows"]:
                    self.stdout.write(f"    {quota['pool']}: {_of_windows(quota['windows'])}")

    def _print_action(self, action: dict[str, Any]) -> None:
        since = f" (since {minute(action['since'])})" if action["since"] else ""
        for line in (action["reason"] + since, action["what_to_do"], action["link"]):
            if line.strip():
                self.stdout.write(f"    {line.strip()}")
        self.stdout.write(f"    {manage(action['command'])}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    action, used = row["required_action"], row["last_used_at"]
    quotas = [one for quota in row["quotas"] for one in (quota, *quota["windows"])]
    known = [one["remaining_fraction"] for one in quotas if one["remaining_fraction"] is not None]
    return (
        row["name"],
        action["problem"] if action else _state_of_usable(row),
        row["tier"],
        f"{min(known):.0%}" if known else "unknown",
        minute(used) if used else "never",
    )


def _state_of_usable(row: dict[str, Any]) -> str:
    if row["stands_by"]:
        return "stands by"
    return str(row["empty"]) if _are_all_empty(row) else "OK"


def _are_all_empty(row: dict[str, Any]) -> bool:
    """Return True when all quotas that requests use are empty. Text about a single quota begins with its name
    instead."""
    return str(row["empty"]).startswith("empty")


def _of_windows(windows: list[dict[str, Any]]) -> str:
    """Return the windows as text: "60% of 5 hours, empty at 16:40 CET; 92% of the week"."""
    return "; ".join(
        f"{one['left']} of {one['name']}" + (f", {one['forecast']}" if one["forecast"] else "")
        for one in windows
    )
