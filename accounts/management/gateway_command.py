"""Base class of all commands of the gateway: argument parser, help with examples, JSON output."""

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
    """Return the output of --json, the same for all commands: {"ok": true, "rows": [...]}, or with an error
    {"ok": false, "error": "...", "rows": [...]} with the rows until then. `result` may have more keys."""
    outcome = {"ok": False, "error": error} if error else {"ok": True}
    option = 0 if in_one_line else orjson.OPT_INDENT_2
    return orjson.dumps({**outcome, **result}, option=option).decode()


class CommandParser(DjangoParser):
    """A parser with the arguments of `made` and with examples, which are command lines, in its help."""

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
        """Escape control characters: the message quotes arguments."""
        message = escape_controls(message)
        if "--json" in sys.argv:
            sys.stdout.write(as_json(error=message) + "\n")
        return super().error(message)


class GatewayCommand(BaseCommand):
    examples: tuple[str, ...] = ("",)
    """Arguments for the examples in the help; the most useful first."""
    # Django's own options work, but are not listed in the help.
    suppressed_base_arguments = {  # noqa: RUF012  # Django's own type
        *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"),
        "--force-color",
    }
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django's own type
    _called_from_command_line = False  # Django's attribute, missing in its types
    takes_demo_option = True
    """Whether the command takes --demo, which uses the running demo's settings (manage.py applies them)."""

    def get_version(self) -> str:
        return str(settings.VERSION)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        made = super().create_parser(prog_name, subcommand, **kwargs)
        if self.takes_demo_option:
            made.add_argument("--demo", action="store_true", help="use the demo that runs")
        return CommandParser(
            made,
            [manage(f"{subcommand} {example}") for example in self.examples],
            formatter_class=made.formatter_class,
            called_from_command_line=self._called_from_command_line,
        )
