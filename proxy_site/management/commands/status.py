from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from proxy_site.data_dir import running_server
from proxy_site.operation.running_server import Answer, ask
from proxy_site.operation.status import as_lines, as_row, read_stored
from proxy_site.serving.address import NotAnAddress, parse_address, url_on_this_machine

if TYPE_CHECKING:
    from proxy_site.data_dir import RunningServer

NOT_RUNNING = 3
NOT_KNOWN = 4
"""Exit statuses like those of `systemctl status` (systemd.io, and the LSB's init scripts)."""


class Command(OperatorCommand):
    examples = ("", "127.0.0.1:9000 --json")
    help = (
        "Prints the state of the running server. Exit status 0: it runs, perhaps degraded; 3: none runs; 4: "
        "one runs that does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "addrport",
            nargs="?",
            default="",
            metavar="[HOST:]PORT",
            help="where it listens; default: the server of this DATA_DIR, or the settings HOST and PORT",
        )

    def _prepare_database(self) -> None:
        """Do nothing, since looking at a server must not migrate a database."""

    def act(self, *, addrport: str, **options: Any) -> None:
        holder = running_server(settings.DATA_DIR)
        url = _address(addrport, holder)
        answer = ask(url)
        if answer is None or not answer.is_ours:
            raise _explained(url, answer, holder)
        is_holders = holder is not None and holder.url in {"", url}
        process_id = holder.process_id if holder is not None and is_holders else 0
        has_database = is_holders or connection.vendor != "sqlite"
        stored = read_stored() if has_database else None
        self.report([as_row(url, process_id, answer, stored)], *as_lines(url, process_id, answer, stored))


def _address(addrport: str, holder: RunningServer | None) -> str:
    if holder is not None and holder.url and not addrport:
        return holder.url
    try:
        return url_on_this_machine(*parse_address(addrport, settings.HOST, settings.PORT))
    except NotAnAddress as error:
        raise CommandError(str(error)) from error


def _explained(url: str, answer: Answer | None, holder: RunningServer | None) -> CommandError:
    found = f"Nothing answers at {url}" if answer is None else f"What answers at {url} is not this gateway"
    if holder is None:
        start = manage("runserver")
        return CommandError(f"No server runs. {found}. Start one: `{start}`.", returncode=NOT_RUNNING)
    return CommandError(
        f"Process {holder.process_id or 'unknown'} uses {settings.DATA_DIR}. {found}: it may still start, or "
        f"listen elsewhere, which `{manage('status HOST:PORT')}` asks.",
        returncode=NOT_KNOWN,
    )
