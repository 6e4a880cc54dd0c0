"""Whether the database is still there, looked at beside the requests, so that none finds out by waiting.

A SQLite file that is removed or replaced goes on existing for whoever has it open: what is written then is
lost without an error. A PostgreSQL server that is frozen accepts connections and never answers, for hours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from channels.db import database_sync_to_async
from django.db import DatabaseError, connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
ANSWER_SECONDS = 1.0
TIMES_IN_A_ROW = 2
"""A busy machine may be late once."""
REMINDER_SECONDS = 60.0
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""The shortest question of the protocol: every server answers one byte, before it asks who calls, and logs
nothing (postgresql.org, Message Formats)."""

Result = TypeVar("Result")


class DatabaseDown(Exception):
    """The database does not answer, or is another one; the text has no path and no address."""


class DatabaseWatch:
    """Start and stop it inside the event loop."""

    def __init__(self) -> None:
        self.problem = ""
        """What is wrong with the database, without paths and addresses; empty while nothing is."""
        self._down = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        look = await database_sync_to_async(_way_to_look)()
        if look is not None:
            self._task = asyncio.create_task(self._keep_looking(look))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def unless_down(self, work: Coroutine[Any, Any, Result] | asyncio.Future[Result]) -> Result:
        """The result of what needs the database; when that is gone meanwhile, the work goes on without us.

        Raises DatabaseDown.
        """
        task = asyncio.ensure_future(work)
        down = asyncio.ensure_future(self._down.wait())
        try:
            await asyncio.wait({task, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            if not task.done():
                task.add_done_callback(_ignore_result)
        if not task.done():
            raise DatabaseDown(self.problem)
        try:
            return task.result()
        except DatabaseError as error:
            raise DatabaseDown("The gateway's database cannot be used.") from error

    async def wait_until_down(self) -> None:
        await self._down.wait()

    async def _keep_looking(self, look: Callable[[], Awaitable[str]]) -> None:
        failed, said_at = 0, 0.0
        while True:
            problem = await look()
            failed = failed + 1 if problem else 0
            if failed >= TIMES_IN_A_ROW:
                now = time.monotonic()
                if not self.problem or now - said_at >= REMINDER_SECONDS:
                    said_at = now
                    logger.error("%s Until then nothing is stored or changed.", problem)
                self.problem = problem
                self._down.set()
            elif not problem and self.problem:
                self.problem = ""
                self._down.clear()
                logger.warning("The database is there again.")
            await asyncio.sleep(LOOK_SECONDS)


def _ignore_result(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _way_to_look() -> Callable[[], Awaitable[str]] | None:
    """For the database in use; None for one in memory, which cannot get lost."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        path = Path(name)
        return SqliteFile(path).look if path.is_file() else None
    connection.ensure_connection()
    info = connection.connection.info
    return PostgresqlServer(name, info.host, info.port).look


class SqliteFile:
    """Made while the file is the right one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    async def look(self) -> str:
        now = _identity(self._path)
        if now == self._identity:
            return ""
        what = "was removed" if now is None else "was replaced by another one"
        return (
            f"The database file {self._path.name} {what} while the gateway runs. Stop the gateway, put the "
            "right file back, and start it again."
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class PostgresqlServer:
    """`host` is an address, or the folder of its socket."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self._name, self._host, self._port = name, host, port

    async def look(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ask()
        except TimeoutError:
            return f"The PostgreSQL database {self._name} does not answer."
        except (OSError, EOFError):
            return f"The PostgreSQL database {self._name} cannot be reached."
        return ""

    async def _ask(self) -> None:
        if self._host.startswith("/"):
            opening = asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            opening = asyncio.open_connection(self._host, self._port)
        reader, writer = await opening
        try:
            writer.write(SSL_REQUEST)
            await reader.readexactly(1)
        finally:
            writer.close()
