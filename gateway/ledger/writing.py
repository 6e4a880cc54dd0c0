"""The ledger while the server runs: records wait in memory, one thread writes them, none is ever dropped.

A record is noted when its request is accepted, when its first content is there, and when it has ended; what
happens within a quarter of a second becomes one row written once. When the database does not take rows, they
wait; when too many wait, new requests do; and when that lasts, new requests are refused.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, connection

from accounts.live_settings import live
from gateway.errors import Unavailable
from gateway.ledger import instances, retention, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ledger.record import RequestRecord

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.25
BATCH_ROWS = 200
LARGEST_BATCH = 500
QUEUE_ROWS = 20_000
PATIENCE_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5.0
BUSY_MILLISECONDS = 2_000
"""How long SQLite itself waits for a lock, before we say that we wait."""
PAUSE_SECONDS = 0.5
REMINDER_SECONDS = 10.0
TOUCH_SECONDS = 5.0
SWEEP_SECONDS = 15.0
PRUNE_SECONDS = 60.0
PRUNE_STEPS = 20
PRUNE_PAUSE_SECONDS = 0.05

DATABASE_IN_TROUBLE = (InterfaceError, InternalError, OperationalError)
"""What may be over the next time: locked, full, gone. Any other error would come again and again."""

Result = TypeVar("Result")


class Ledger:
    """Start and stop it inside the event loop; `open`, `note` and `close` belong there, too."""

    def __init__(self, queue_rows: int = QUEUE_ROWS, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.instance_id = 0
        self._queue_rows = queue_rows
        self._patience_seconds = patience_seconds
        self._unsaved: dict[int, RequestRecord] = {}
        self._in_hand: dict[int, RequestRecord] = {}
        """What the writer is writing at the moment."""
        self._next_id = 0
        self._is_stopping = False
        self._work = asyncio.Event()
        self._much_work = asyncio.Event()
        self._room = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._trouble = Trouble()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        instance = await self._in_thread(instances.register, _lock())
        self.instance_id, self._next_id = instance.pk, instance.first_request_id
        self._writer = asyncio.create_task(self._keep_writing())
        self._keeper = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Writes what is left, for as long as the caller lets it."""
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper
        self._is_stopping = True
        self._work.set()
        self._much_work.set()
        try:
            await self._writer
            await self._in_thread(instances.end, self.instance_id)
        finally:
            if waiting := self.waiting:
                logger.error("%d rows of the ledger could not be written before the end", waiting)
            self._thread.submit(connection.close)
            self._thread.shutdown(wait=False)

    # What requests do

    @property
    def waiting(self) -> int:
        """Rows that the database does not have yet."""
        return len(self._unsaved) + len(self._in_hand)

    async def open(self, record: RequestRecord) -> None:
        """Raises Unavailable when too much waits to be written, and has for a while."""
        if not live("LEDGER_RETENTION_DAYS"):
            return
        if self.waiting >= self._queue_rows:
            await self._wait_for_room()
        record.id = self._next_id = self._next_id + 1
        self.note(record)

    def note(self, record: RequestRecord) -> None:
        """Something about it has changed that should not be lost with this process."""
        if not record.id:
            return
        self._unsaved[record.id] = record
        self._work.set()
        if len(self._unsaved) >= BATCH_ROWS:
            self._much_work.set()

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                while self.waiting >= self._queue_rows:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise Unavailable(
                "The gateway cannot write its ledger at the moment, and refuses requests rather than serve "
                "them unrecorded. Try again in a moment; its log says what is wrong with the database.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None

    # What the writer does

    async def _keep_writing(self) -> None:
        while not (self._is_stopping and not self._unsaved):
            await self._work.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._much_work.wait()
            if not self._is_stopping:
                self._work.clear()
                self._much_work.clear()
            while self._unsaved:
                await self._write_some()

    async def _write_some(self) -> None:
        ids = list(self._unsaved)[:LARGEST_BATCH]
        self._in_hand = {each: self._unsaved.pop(each) for each in ids}
        # What has not ended goes on changing, while the thread reads it.
        batch = [one if one.has_ended else copy(one) for one in self._in_hand.values()]
        try:
            await self._in_thread(self._store, batch)
        except DATABASE_IN_TROUBLE as error:
            self._unsaved = {**self._in_hand, **self._unsaved}
            self._in_hand = {}
            self._trouble.note(error, self.waiting)
            await asyncio.sleep(PAUSE_SECONDS)
            return
        self._in_hand = {}
        self._trouble.is_over()
        self._room.set()

    def _store(self, batch: Sequence[RequestRecord]) -> None:
        try:
            tables.store(batch, self.instance_id)
        except DATABASE_IN_TROUBLE:
            raise
        except Exception:
            if len(batch) == 1:
                logger.exception("Not in the ledger: %s, %s", batch[0].request_id, batch[0].outcome)
                return
            # One of them is what no database would take: a mistake of ours. The others must not suffer.
            for record in batch:
                self._store([record])

    async def _keep_house(self) -> None:
        next_sweep = next_prune = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                await self._in_thread(instances.touch, self.instance_id)
                if now >= next_sweep:
                    next_sweep = now + SWEEP_SECONDS
                    await self._sweep()
                if now >= next_prune and await self._prune():
                    next_prune = now + PRUNE_SECONDS
            except DatabaseError as error:
                self._trouble.note(error, self.waiting)
            except Exception:
                logger.exception("The ledger could not be looked after; the next try is in a moment")
            await asyncio.sleep(TOUCH_SECONDS)

    async def _sweep(self) -> None:
        closed = await self._in_thread(instances.close_rows_of_the_dead, self.instance_id)
        if closed:
            logger.warning("Another server has died: %d requests of its were interrupted", closed)

    async def _prune(self) -> bool:
        """False when there is more, which waits for the next time: nobody must take us for dead meanwhile."""
        before = retention.oldest_kept()
        if before is None:
            return True
        for _ in range(PRUNE_STEPS):
            if await self._in_thread(retention.prune_step, before) < retention.STEP_ROWS:
                return True
            await asyncio.sleep(PRUNE_PAUSE_SECONDS)
        return False

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """All the ledger does to the database, one thing after the other, on a connection of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _connected, work, *arguments)


class Trouble:
    """The database does not take rows: said at once, again now and then, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said_at = 0.0

    def note(self, error: Exception, waiting: int) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._said_at >= REMINDER_SECONDS:
            self._said_at = now
            logger.warning(
                "The ledger cannot be written for %.0f s now, %d rows wait in memory: %s",
                now - self._since,
                waiting,
                str(error).strip(),
            )

    def is_over(self) -> None:
        if self._since is not None:
            logger.warning("The ledger is written again, after %.0f s", time.monotonic() - self._since)
        self._since, self._said_at = None, 0.0


def _connected(work: Callable[..., Result], *arguments: object) -> Result:
    try:
        if connection.connection is None:
            connection.ensure_connection()
            if connection.vendor == "sqlite":
                with connection.cursor() as cursor:
                    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        return work(*arguments)
    except DatabaseError:
        connection.close_if_unusable_or_obsolete()
        raise


def _lock() -> str:
    """What proxy_site/data_dir.py holds while a server with SQLite runs."""
    return f"{socket.gethostname()}:{settings.DATA_DIR}" if connection.vendor == "sqlite" else ""
