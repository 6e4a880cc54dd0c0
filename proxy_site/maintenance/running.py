"""Check that no server uses the database, for maintenance that must not run beside one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django.db.models.functions import Now

from gateway.ledger.instances import LEASE
from gateway.models import ServerInstance
from proxy_site.data_dir import AlreadyServing, sole_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_server() -> Iterator[None]:
    """Run the body while no server runs; with SQLite none can start meanwhile. Raises CommandError."""
    with ExitStack() as stack:
        if connection.vendor == "sqlite":
            try:
                stack.enter_context(sole_server(settings.DATA_DIR))
            except AlreadyServing as error:
                raise CommandError(str(error)) from error
        elif running := _seen_lately():
            raise CommandError(
                f"A server (process {running.process_id}) used this database less than a minute ago. Stop "
                "all servers first; one that was killed is forgotten after a minute."
            )
        yield


def _seen_lately() -> ServerInstance | None:
    if ServerInstance._meta.db_table not in connection.introspection.table_names():
        return None
    return ServerInstance.objects.filter(ended_at=None, seen_at__gte=Now() - LEASE).first()
