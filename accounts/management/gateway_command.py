"""What all commands of the gateway have in common: how their arguments are read, and how that is told."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from django.core.management.base import BaseCommand
from django.core.management.base import CommandParser as DjangoParser

from accounts.plain_text import neutralised

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping

NOTHING: Mapping[str, Any] = MappingProxyType({"rows": ()})


def as_json(result: Mapping[str, Any] = NOTHING, *, error: str = "", in_one_line: bool = False) -> str:
    """What --json prints of any command: {"ok": true, "rows": [...]}, or with an error {"ok": false, "error":
    "...", "rows": [...]} and what came of it until then. `result` may have more beside the rows."""
    outcome = {"ok": False, "error": error} if error else {"ok": True}
    option = 0 if in_one_line else orjson.OPT_INDENT_2
    return orjson.dumps({**outcome, **result}, option=option).decode()


class CommandParser(DjangoParser):
    """Has the arguments of the parser it is made from."""

    def __init__(self, made: ArgumentParser, **options: Any) -> None:
        super().__init__(
            prog=made.prog,
            description=made.description,
            parents=[made],
            add_help=False,
            allow_abbrev=False,  # manage.py looks for --demo and --debug before they come here
            **options,
        )

    def error(self, message: str) -> Any:
        """It quotes arguments, which a terminal must not obey."""
        message = neutralised(message)
        if "--json" in sys.argv:
            sys.stdout.write(as_json(error=message) + "\n")
        return super().error(message)


class GatewayCommand(BaseCommand):
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django's own type
    looks_at_demo = True
    """With --demo at the one that runs: manage.py has found it before the command begins."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        made = super().create_parser(prog_name, subcommand, **kwargs)
        if self.looks_at_demo:
            made.add_argument("--demo", action="store_true", help="look at the demo that runs")
        return CommandParser(
            made,
            formatter_class=made.formatter_class,
            called_from_command_line=getattr(self, "_called_from_command_line", False),
        )
