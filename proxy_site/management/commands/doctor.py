from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.management.gateway_command import GatewayCommand
from proxy_site.doctor import run

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(GatewayCommand):
    """The command for the help, and for calls with Django's own options; otherwise manage.py runs doctor
    without Django."""

    examples = ("", "--offline", "9000 --json")
    help = run.HELP

    def add_arguments(self, parser: CommandParser) -> None:
        run.add_arguments(parser)

    def handle(self, *args: Any, addrport: str, **options: Any) -> None:
        run.leave(run.examine(run.Options(options["json"], options["offline"], options["demo"], addrport)))
