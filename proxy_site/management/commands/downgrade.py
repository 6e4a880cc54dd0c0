from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from accounts.command_line import manage
from accounts.database.versions import refuse_newer_database, release, written
from accounts.management.operator_command import OperatorCommand
from proxy_site.maintenance.migrating import FIRST, copy_first, go_back, is_older
from proxy_site.maintenance.running import no_server


class Command(OperatorCommand):
    examples = ("0.1.0",)
    help = (
        "Takes the database back to the state that an older version knows, and keeps all rows. Run it with "
        "the newer code, while no server runs, before you check out the older one."
    )
    takes_demo_option = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # Django's own option of this name prints the version.
        parser.add_argument("to", metavar="VERSION", help="such as 0.1.0")

    def _prepare_database(self) -> None:
        """Do not migrate forward first."""
        refuse_newer_database(connection)

    def act(self, *, to: str, **options: Any) -> None:
        try:
            version = release(to)
        except ValueError as error:
            raise CommandError(f"{error}.") from error
        name = written(version)
        if not FIRST <= version <= release(settings.VERSION):
            raise CommandError(
                f"{name} is not a version that {settings.VERSION} can go back to: those are "
                f"{written(FIRST)} to {written(release(settings.VERSION))}."
            )
        with ExitStack() as stack:
            stack.enter_context(no_server())
            if is_older(connection, version):
                raise CommandError(
                    f"The database is as a version before {name} knows it already. The next start of "
                    f"{settings.VERSION} takes it forward: {manage('runserver')}"
                )
            if version < release(settings.VERSION):
                copy_first(connection, f"downgrade-to-{name}")
            count = go_back(connection, version)
        self.report(
            [{"version": name, "migrations_taken_back": count}],
            f"The database is as version {name} knows it ({count} migrations taken back). "
            "Check out that version now, and start it.",
        )
