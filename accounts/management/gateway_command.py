"""What all commands of the gateway have in common: how their arguments are read, and how that is told."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand
from django.core.management.base import CommandParser as DjangoParser

from accounts.command_line import manage
from accounts.values.sanitize import escape_controls

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping, Sequence

NOTHING: Mapping[str, Any] = MappingProxyType({"rows": ()})


def as_json(result: Mapping[str, Any] = NOTHING, *, error: str = "", in_one_line: bool = False) -> str:
    """What --json prints of any command: {"ok": true, "rows": [...]}, or with an error {"ok": false, "error":
    "...", "rows": [...]} and what came of it until then. `result` may have more beside the rows."""
    outcome = {"ok": False, "error": error} if error else {"ok": True}
    option = 0 if in_one_line else orjson.OPT_INDENT_2
    return orjson.dumps({**outcome, **result}, option=option).decode()


class CommandParser(DjangoParser):
    """Has the arguments of the parser it is made from. The examples are command lines."""

    def __init__(self, made: ArgumentParser, examples: Sequence[str], **options: Any) -> None:
        self._examples = [f"  {example}" for example in examples]
        super().__init__(
            prog=made.prog,
            description=made.description,
            parents=[made],
            add_help=False,
            allow_abbrev=False,  # manage.py looks for --demo and --debug before they come here
            **options,
        )

    def format_help(self) -> str:
        title = "example:" if len(self._examples) == 1 else "examples:"
        return "\n".join([super().format_help(), title, *self._examples, ""])

    def error(self, message: str) -> Any:
        """It quotes arguments, which a terminal must not obey."""
        message = escape_controls(message)
        if "--json" in sys.argv:
            sys.stdout.write(as_json(error=message) + "\n")
        return super().error(message)


class GatewayCommand(BaseCommand):
    examples: tuple[str, ...] = ("",)
    """What may follow the command's name: the most useful one first."""
    # Django's own options work, and stand in no help of ours.
    suppressed_base_arguments = {  # noqa: RUF012  # Django's own type
        *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"),
        "--force-color",
    }
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django's own type
    _called_from_command_line = False  # as Django has it, of which its types do not tell
    looks_at_demo = True
    """With --demo at the one that runs: manage.py has found it before the command begins."""

    def get_version(self) -> str:
        return str(settings.VERSION)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        made = super().create_parser(prog_name, subcommand, **kwargs)
        if self.looks_at_demo:
            made.add_argument("--demo", action="store_true", help="look at the demo that runs")
        return CommandParser(
            made,
            [manage(f"{subcommand} {example}") for example in self.examples],
            formatter_class=made.formatter_class,
            called_from_command_line=self._called_from_command_line,
        )
