"""Health check of the database in the background, so that no request has to time out to find it down.

A SQLite file that is removed or replaced still exists for a process that has it open, which then loses its
writes without an error. A frozen PostgreSQL server accepts connections and never answers, for hours.
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

POLL_SECONDS = 0.5
ANSWER_SECONDS = 1.0
TIMES_IN_A_ROW = 2
"""Failed checks in a row before the database counts as down; a busy machine may be late once."""
REMINDER_SECONDS = 60.0
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""The SSLRequest message: a server answers it with one byte before authentication, and does not log it
(postgresql.org, Message Formats)."""

Result = TypeVar("Result")


class DatabaseDown(Exception):
    """The database does not answer, or its file was removed or replaced. The text has no address."""


class DatabaseWatch:
    """Polls the database in the background. Start and stop it inside the event loop."""

    def __init__(self) -> None:
        self.problem = ""
        """The problem as a sentence without folders and addresses; empty while the database works."""
        self._down = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        check = await database_sync_to_async(_check_for_database)()
        if check is not None:
            self._task = asyncio.create_task(self._poll(check))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def unless_down(self, work: Coroutine[Any, Any, Result] | asyncio.Future[Result]) -> Result:
        """Await work that needs the database. Raises DatabaseDown as soon as the database is down; the work
        then continues in the background."""
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

    async def _poll(self, check: Callable[[], Awaitable[str]]) -> None:
        failed, logged_at = 0, 0.0
        while True:
            problem = await check()
            failed = failed + 1 if problem else 0
            if failed >= TIMES_IN_A_ROW:
                now = time.monotonic()
                if not self.problem or now - logged_at >= REMINDER_SECONDS:
                    logged_at = now
                    logger.error("%s Until then nothing is stored or changed.", problem)
                self.problem = problem
                self._down.set()
            elif not problem and self.problem:
                self.problem = ""
                self._down.clear()
                logger.warning("The database can be used again.")
            await asyncio.sleep(POLL_SECONDS)


def _ignore_result(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _check_for_database() -> Callable[[], Awaitable[str]] | None:
    """Return the check for the database in use, which returns a problem or ""; None for a database in
    memory."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        path = Path(name)
        return SqliteFile(path).check if path.is_file() else None
    connection.ensure_connection()
    info = connection.connection.info
    return PostgresqlServer(name, info.host, info.port).check


class SqliteFile:
    """Detects that the file is no longer the one it was when this object was created."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    async def check(self) -> str:
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
    """Checks that a PostgreSQL server answers. `host` is an address, or the folder of a Unix socket."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self._name, self._host, self._port = name, host, port

    async def check(self) -> str:
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
