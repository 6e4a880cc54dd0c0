"""The ledger while the server runs: records wait in memory, and one thread writes them; none is ever dropped.

A record is noted when its request is accepted, when its first content arrives, and when it has ended. Changes
within half a second become one row that is written once. While the database accepts no rows, they wait in
memory; when too many wait, new requests wait, too, and after LONGEST_WAIT_SECONDS they are refused.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.db import DataError, Error, IntegrityError, InterfaceError, ProgrammingError, connection

from accounts import live_settings
from gateway.errors import Unavailable
from gateway.ledger import instances, retention, rows_and_sums, signature_rows
from gateway.ledger.rows_and_sums import Entry, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.ledger.record import RequestRecord

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
BATCH_ROWS = 1000
LARGEST_BATCH = 1000
QUEUE_ROWS = 20_000
LONGEST_WAIT_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5.0
LOCK_WAITS = {
    "sqlite": ["PRAGMA busy_timeout = 2000"],
    "postgresql": ["SET lock_timeout = '2s'", "SET statement_timeout = '20s'"],
}
"""How long the database waits for a lock before the write fails."""
PAUSE_SECONDS = 0.5
REMINDER_SECONDS = 10.0
TOUCH_SECONDS = 5.0
SWEEP_SECONDS = 15.0
PRUNE_SECONDS = 60.0
PRUNE_STEPS = 20
WAITING_SIGNATURES = 10_000
"""The most signatures that wait. Further ones are dropped, since an unsigned call is answered, too."""
PRUNE_PAUSE_SECONDS = 0.05
NOT_KEPT = "Not in the ledger: row %d"
"""A bug in the record. Other rows of the batch are written."""

Result = TypeVar("Result")
Records = dict[int, "RequestRecord"]
"""Records by their ids in the ledger."""


class Ledger:
    """The queue and its writer. All methods run in the event loop."""

    def __init__(
        self, queue_rows: int = QUEUE_ROWS, longest_wait_seconds: float = LONGEST_WAIT_SECONDS
    ) -> None:
        self.instance_id = 0
        self._queue_rows = queue_rows
        self._longest_wait_seconds = longest_wait_seconds
        self._open: Records = {}
        self._ended: Records = {}
        """Unwritten records: `_open` of requests under way, `_ended` of requests that have ended."""
        self._signatures: dict[str, str] = {}
        """Signatures of tool calls, by tool_use id; written with the rows
        (gateway/ledger/signature_store.py)."""
        self._in_hand: set[int] = set()
        """The ids that are being written now, without those whose records have changed meanwhile."""
        self._is_replay = False
        """True when the next rows may have been stored already: the outcome of the last transaction is
        unknown."""
        self._lease_expired = False
        self._next_id = 0
        self._is_stopping = False
        self._work = asyncio.Event()
        self._much_work = asyncio.Event()
        self._room = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.also_store: list[Callable[[], None]] = []
        """Further functions that write, called in the ledger's thread every few seconds and at the end."""
        self._outage = OutageLog()

    async def start(self) -> None:
        instance = await self._in_thread(instances.register, _lock())
        self.instance_id, self._next_id = instance.pk, instance.first_request_id
        self._writer = asyncio.create_task(self._keep_writing())
        self._keeper = asyncio.create_task(self._maintain())

    async def stop(self) -> None:
        """Write what is left, until the caller cancels."""
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper
        self._is_stopping = True
        self._work.set()
        self._much_work.set()
        try:
            await self._writer
            await self._in_thread(instances.end, self.instance_id)
            await self._store_the_rest()
        finally:
            if waiting := self.waiting:
                logger.error("%d rows of the ledger could not be written before the end", waiting)
            self._thread.submit(connection.close)
            self._thread.shutdown(wait=False)

    # For requests

    @property
    def waiting(self) -> int:
        """Number of rows not yet in the database."""
        return len(self._open) + len(self._ended) + len(self._in_hand)

    @property
    def is_behind(self) -> bool:
        """True since a write has failed, until one succeeds."""
        return self._outage.is_lasting

    async def open(self, record: RequestRecord) -> None:
        """Note a new record. Raises Unavailable when too many rows have been waiting for too long."""
        if not live_settings.current["LEDGER_RETENTION_DAYS"]:
            return
        waiting = self.waiting
        if waiting >= self._queue_rows:
            await self._wait_for_room()
        record.id = self._next_id = self._next_id + 1
        self._open[record.id] = record
        # While other records wait, the writer is awake, or looks for them after its current batch.
        if not waiting or waiting >= BATCH_ROWS:
            self._wake_writer()

    def note(self, record: RequestRecord) -> None:
        """Write the record's present state soon."""
        if record.id and record.id not in self._open:  # its state before has been written, or is in hand
            self._in_hand.discard(record.id)
            self._open[record.id] = record
            self._wake_writer()

    def close(self, record: RequestRecord) -> None:
        """Write the record, which has ended and will not change."""
        if record.id:
            self._ended[record.id] = record
            if self._open.pop(record.id, None) is None:
                self._in_hand.discard(record.id)
                self._wake_writer()

    def keep_signature(self, tool_use_id: str, signature: str) -> None:
        if len(self._signatures) < WAITING_SIGNATURES:
            self._signatures[tool_use_id] = signature
            self._work.set()

    def _wake_writer(self) -> None:
        self._work.set()
        if len(self._open) + len(self._ended) >= BATCH_ROWS:
            self._much_work.set()

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                while self.waiting >= self._queue_rows:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise Unavailable(
                "The gateway cannot write its ledger at the moment, and refuses requests rather than serve "
                "them unrecorded. Try again in a moment; its log says what is wrong with the database.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None

    # The writer

    async def _keep_writing(self) -> None:
        while self.waiting or self._signatures or not self._is_stopping:
            await self._work.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._much_work.wait()
            if self._open or self._ended:
                await self._write_some()
            if self._signatures and not self._is_replay:
                await self._write_signatures()
            if not self._is_stopping:
                _set(self._work, bool(self.waiting or self._signatures))
                _set(self._much_work, self.waiting >= BATCH_ROWS)

    async def _write_some(self) -> None:
        ended, self._ended = _split(self._ended, LARGEST_BATCH)
        opened, self._open = _split(self._open, LARGEST_BATCH)
        known = _entries_of(opened.values(), self.instance_id)
        self._in_hand = {*opened, *ended}
        is_replay, self._is_replay = self._is_replay or self._lease_expired, False
        try:
            expired = await self._in_thread(_store_all, known, ended.values(), self.instance_id, is_replay)
        except BaseException as error:
            self._put_back(opened, ended)
            if not isinstance(error, Exception):
                raise
            self._outage.note(error, self.waiting)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            self._in_hand.clear()
            self._outage.is_over()
            if expired:
                self._lease_expired = True
                logger.warning("The lease of this server had expired; its requests are corrected")
        finally:
            self._room.set()

    async def _write_signatures(self) -> None:
        """Write signatures, once the rows, which matter more, have been written."""
        batch, self._signatures = self._signatures, {}
        try:
            await self._in_thread(signature_rows.store, batch)
        except Exception as error:
            if not isinstance(error, Error) or isinstance(error, _about_values()):
                logger.exception("%d signatures of tool calls could not be stored", len(batch))
                return
            if not self._is_stopping:
                self._signatures = {**batch, **self._signatures}
            self._outage.note(error, self.waiting)
            await asyncio.sleep(PAUSE_SECONDS)

    def _put_back(self, opened: Records, ended: Records) -> None:
        """Queue the batch again before newer records; a record that has ended meanwhile stays in `_ended`."""
        self._in_hand.clear()
        self._is_replay = True
        self._ended = {**ended, **self._ended}
        self._open = {**{key: one for key, one in opened.items() if not one.has_ended}, **self._open}

    async def _maintain(self) -> None:
        next_sweep = next_prune = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                await self._in_thread(instances.touch, self.instance_id)
                await self._store_the_rest()
                self._outage.is_over()
                if now >= next_sweep:
                    next_sweep = now + SWEEP_SECONDS
                    await self._sweep()
                if now >= next_prune and await self._prune():
                    next_prune = now + PRUNE_SECONDS
            except Error as error:
                self._outage.note(error, self.waiting)
            except Exception:
                logger.exception("Maintenance of the ledger failed; it is tried again in a moment")
            await asyncio.sleep(TOUCH_SECONDS)

    async def _store_the_rest(self) -> None:
        for store in self.also_store:
            await self._in_thread(store)

    async def _sweep(self) -> None:
        closed = await self._in_thread(instances.close_rows_of_expired, self.instance_id)
        if closed:
            logger.warning("The lease of another server expired: %d of its requests were interrupted", closed)

    async def _prune(self) -> bool:
        """Delete old rows. Returns False when some are left for the next time, since the lease must be
        renewed in between."""
        before = retention.oldest_kept()
        expired_gone = await self._prune_with(signature_rows.prune_step)
        return (before is None or await self._prune_with(retention.prune_step, before)) and expired_gone

    async def _prune_with(self, step: Callable[..., int], *arguments: object) -> bool:
        for _ in range(PRUNE_STEPS):
            if await self._in_thread(step, *arguments) < retention.STEP_ROWS:
                return True
            await asyncio.sleep(PRUNE_PAUSE_SECONDS)
        return False

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run `work` in the ledger's thread, which makes all its database calls in order, on one
        connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, connected, work, *arguments)


class OutageLog:
    """Logs an outage of the database: at once, again every REMINDER_SECONDS, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._logged_at = 0.0

    @property
    def is_lasting(self) -> bool:
        return self._since is not None

    def note(self, error: Exception, waiting: int) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._logged_at >= REMINDER_SECONDS:
            self._logged_at = now
            lasting = f" (for {now - self._since:.0f} s now)" if now > self._since else ""
            what = str(error).strip()
            logger.warning(
                "The ledger cannot be written%s, %d rows wait in memory: %s", lasting, waiting, what
            )

    def is_over(self) -> None:
        if self._since is not None:
            logger.warning("The ledger is written again, after %.0f s", time.monotonic() - self._since)
        self._since, self._logged_at = None, 0.0


def _store_all(
    opened: Sequence[Entry], ended: Iterable[RequestRecord], instance_id: int, is_replay: bool
) -> bool:
    """Store a batch. Ended records no longer change, so they are turned into rows here, outside the event
    loop."""
    return _store([*opened, *_entries_of(ended, instance_id)], instance_id, is_replay)


def _entries_of(records: Iterable[RequestRecord], instance_id: int) -> list[Entry]:
    entries = []
    for record in records:
        try:
            entries.append(entry_of(record, instance_id))
        except Exception:
            logger.exception(NOT_KEPT, record.id)
    return entries


def _store(entries: Sequence[Entry], instance_id: int, is_replay: bool) -> bool:
    try:
        return rows_and_sums.store(entries, instance_id, is_replay=is_replay)
    except Exception as error:
        if isinstance(error, Error) and not isinstance(error, _about_values()):
            raise  # locked, full, gone or broken: the next try may succeed
        if len(entries) == 1:
            logger.exception(NOT_KEPT, entries[0].request.id)
            return False
    # The database refuses one of them.
    had_expired = False
    for entry in entries:
        had_expired |= _store([entry], instance_id, is_replay=True)
    return had_expired


def _about_values() -> tuple[type[Error], ...]:
    """Return the errors caused by a value. SQLite's class for a value of an unknown type is PostgreSQL's for
    a lost connection."""
    strange = (InterfaceError, ProgrammingError) if connection.vendor == "sqlite" else ()
    return (DataError, IntegrityError, *strange)


def _split(waiting: Records, count: int) -> tuple[Records, Records]:
    """Return the first `count` records, and the others."""
    items = iter(waiting.items())
    return dict(islice(items, count)), dict(items)


def _set(event: asyncio.Event, is_set: bool) -> None:
    (event.set if is_set else event.clear)()


def connected(work: Callable[..., Result], *arguments: object) -> Result:
    try:
        if connection.connection is None:
            _connect()
        return work(*arguments)
    except Error:
        connection.close_if_unusable_or_obsolete()
        raise


def _connect() -> None:
    with connection.cursor() as cursor:
        for statement in LOCK_WAITS[connection.vendor]:
            cursor.execute(statement)


def _lock() -> str:
    """Return the name of the lock that proxy_site/data_dir.py holds while a server with SQLite runs."""
    return f"{socket.gethostname()}:{settings.DATA_DIR}" if connection.vendor == "sqlite" else ""
