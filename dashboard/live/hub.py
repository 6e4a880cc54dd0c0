"""All live sockets of one process, served from one listener.

The listener starts with the first socket and ends with the last. Each row and line is encoded once for all
sockets. Lost events lead to a snapshot, at most one in GAP_SECONDS. Events are lost when a source skips a
number or reports `missed`, when a server restarts, or when a socket is too slow for all rows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from channels.db import database_sync_to_async
from django.contrib.auth import user_logged_out
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.database.watch import DatabaseDown
from dashboard.live.outbox import WaitingLine
from dashboard.live.protocol import (
    LEVELS,
    REVISIONS,
    WHAT_CHANGED,
    Row,
    Snapshot,
    line_text,
    merge,
    row_text,
    rows_of_events,
)
from dashboard.live.stored_rows import OtherServers, newest_and_open, read_rows, row_of_record
from gateway.ledger.search import Search
from gateway.telemetry.activity import Listener
from gateway.telemetry.log_ring import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from django.http import HttpRequest

    from dashboard.live.consumer import LiveSocket
    from dashboard.live.protocol import Totals, Watch
    from gateway.service import Gateway
    from gateway.telemetry.activity import Batch

Asked = TypeVar("Asked")

logger = logging.getLogger(__name__)

MOST_SOCKETS = 50
GAP_SECONDS = 5.0
LATE_SECONDS = 1.5
"""How long after a snapshot the rows are read again, since they reach the database up to half a second
late."""
RETRY_SECONDS = 1.0
TOTALS_SECONDS = 2.0
OTHERS_SECONDS = 2.0
"""The pause between two reads of the ledger for requests of other servers on the same PostgreSQL database."""
RATE_SECONDS = 10.0
RECENT_ROWS = 300
"""The rows of events that are kept in memory until the ledger has them."""
FAREWELL_SECONDS = 1.0


class Hub:
    """Serves the sockets. It is created outside of an event loop and runs in it, except for the handler of
    sign-outs."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.sockets: set[LiveSocket] = set()
        self.is_stopping = False
        self._events = Events()
        self._others = OtherServers(0)
        self._due: set[LiveSocket] = set()
        """The sockets that wait for a snapshot."""
        self._snapshot_is_due = asyncio.Event()
        self._gap_at: float | None = None
        self._snapshot_at = -GAP_SECONDS
        self._have_left = asyncio.Event()
        self._have_left.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        user_logged_out.connect(self._on_sign_out)

    # Sockets

    @property
    def is_full(self) -> bool:
        return len(self.sockets) >= MOST_SOCKETS

    def join(self, socket: LiveSocket) -> None:
        self.sockets.add(socket)
        if len(self.sockets) == 1:
            self._begin()

    def leave(self, socket: LiveSocket) -> None:
        self.sockets.discard(socket)
        self._due.discard(socket)
        if not self.sockets:
            self._end()

    def watch(self, socket: LiveSocket, watch: Watch) -> None:
        """Send the socket a snapshot, and from now on the rows and lines that match."""
        socket.outbox.begin(watch, Search(**watch.filter).matches if watch.filter else None)
        self._due.add(socket)
        self._snapshot_is_due.set()

    async def stop(self) -> None:
        """Close all sockets, which would not end by themselves, and wait a moment for them to leave."""
        self.is_stopping = True
        for socket in self.sockets:
            socket.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._have_left.wait()

    def _on_sign_out(self, request: HttpRequest | None, **kwargs: object) -> None:
        """End the sockets of a session that signs out, before it is deleted. Called in any thread."""
        key = getattr(getattr(request, "session", None), "session_key", None)
        if key and self._loop is not None:
            self._loop.call_soon_threadsafe(self._sign_out, key)

    def _sign_out(self, session_key: str) -> None:
        for socket in self.sockets:
            if socket.session_key == session_key:
                socket.sign_out()

    # Work while somebody watches

    def _begin(self) -> None:
        self._have_left.clear()
        self._loop = asyncio.get_running_loop()
        self._events = Events()
        self._gap_at = None
        self._others = OtherServers(self.gateway.ledger.instance_id)
        for work in (self._listen, self._keep_totals, self._keep_making_snapshots, self._follow_others):
            self._start(asyncio.create_task(work()))

    def _end(self) -> None:
        self._have_left.set()
        self._loop = None
        for task in self._tasks:
            task.cancel()

    def _start(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Live pages are not served any more", exc_info=error)
            for socket in self.sockets:
                socket.stop()

    async def _listen(self) -> None:
        async with Listener() as listener:
            while (batch := await listener.next()) is not None:
                self._pass_on(batch)

    def _pass_on(self, batch: Batch) -> None:
        """Encode the events of a batch once, and put them into the outbox of each socket."""
        happened = self._events.of(batch)
        lines = self._waiting_lines(happened.lines, batch.source) if self._has_log_watcher else []
        rows = [(row, row_text(row)) for row in happened.rows]
        totals = self.totals()
        for socket in self.sockets:
            socket.outbox.put_rows(rows)
            socket.outbox.put_lines(lines)
            socket.outbox.put_totals(totals)
            socket.outbox.put_changed(happened.changed)
            socket.wake()
        if happened.has_gap or any(socket.outbox.misses_rows for socket in self.sockets):
            self._note_gap()

    def _waiting_lines(self, lines: Iterable[LogLine], source: str) -> list[WaitingLine]:
        is_ours = source == str(self.gateway.ledger.instance_id)
        return [WaitingLine(line.number if is_ours else 0, line.level, line_text(line)) for line in lines]

    @property
    def _has_log_watcher(self) -> bool:
        return any("log" in socket.outbox.watch.topics for socket in self.sockets)

    def totals(self) -> Totals:
        pool = self.gateway.accounts.pool
        return {
            "in_flight": len(self.gateway.recorder.in_flight) + self._others.in_flight,
            "waiting": pool.waiting,
            "rate": self._events.rate(),
            "accounts": {str(account_id): count for account_id, count in pool.state.in_flight.items()},
        }

    async def _keep_totals(self) -> None:
        while True:
            await asyncio.sleep(TOTALS_SECONDS)
            self._put_totals()

    def _put_totals(self) -> None:
        totals = self.totals()
        for socket in self.sockets:
            socket.outbox.put_totals(totals)
            socket.wake()

    async def _follow_others(self) -> None:
        while connection.vendor != "sqlite":
            await asyncio.sleep(OTHERS_SECONDS)
            with suppress(DatabaseDown, DatabaseError):
                self._put_rows(self.sockets, await self._read(self._others.news, timezone.now()))
                self._put_totals()

    async def _read(self, read: Callable[[Asked], list[Row]], asked: Asked) -> list[Row]:
        """Read rows from the database. Raises DatabaseDown."""
        return await self.gateway.accounts.database.unless_down(database_sync_to_async(read)(asked))

    def _put_rows(self, sockets: Iterable[LiveSocket], rows: Iterable[Row]) -> None:
        encoded = [(row, row_text(row)) for row in rows]
        for socket in sockets:
            socket.outbox.put_rows(encoded)
            socket.wake()

    # Snapshots

    def _note_gap(self) -> None:
        if self._gap_at is None:
            self._gap_at = max(time.monotonic(), self._snapshot_at + GAP_SECONDS)
            assert self._loop is not None
            self._loop.call_later(self._gap_at - time.monotonic(), self._close_gap)

    def _close_gap(self) -> None:
        self._gap_at, self._snapshot_at = None, time.monotonic()
        self._due |= {socket for socket in self.sockets if socket.outbox.watch.topics}
        self._snapshot_is_due.set()

    async def _keep_making_snapshots(self) -> None:
        while True:
            await self._snapshot_is_due.wait()
            self._snapshot_is_due.clear()
            due, self._due = self._due, set()
            try:
                await self._make_snapshots(due)
            except DatabaseDown:
                await asyncio.sleep(RETRY_SECONDS)
                self._due |= due & self.sockets
                self._snapshot_is_due.set()

    async def _make_snapshots(self, due: set[LiveSocket]) -> None:
        """Read the rows once for all sockets with the same filters. Raises DatabaseDown."""
        by_search: dict[Search, list[LiveSocket]] = {}
        for socket in due & self.sockets:
            by_search.setdefault(Search(**socket.outbox.watch.filter), []).append(socket)
        for search, sockets in by_search.items():
            is_for_rows = any("requests" in socket.outbox.watch.topics for socket in sockets)
            rows = await self._rows(search) if is_for_rows else []
            encoded = [row_text(row) for row in rows]
            for socket in sockets:
                self._give(socket, encoded)
            if is_for_rows:
                self._start(asyncio.create_task(self._look_again(search, sockets, rows)))

    def _give(self, socket: LiveSocket, rows: list[bytes]) -> None:
        topics, level = socket.outbox.watch.topics, LEVELS[socket.outbox.watch.level]
        ring = self.gateway.log_ring.lines() if "log" in topics else []
        lines = [line_text(line) for line in ring if LEVELS.get(line.level, level) >= level]
        snapshot = Snapshot(rows if "requests" in topics else [], self.totals(), lines)
        socket.outbox.put_snapshot(snapshot, ring[-1].number if ring else 0)
        socket.wake()

    async def _rows(self, search: Search) -> list[Row]:
        """Read the rows of a snapshot. Raises DatabaseDown."""
        stored = await self._read(read_rows, search)
        recent = filter(search.matches, self._events.recent.values())
        here = filter(search.matches, map(row_of_record, self.gateway.recorder.in_flight))
        return newest_and_open(stored, here, recent)

    async def _look_again(self, search: Search, sockets: Sequence[LiveSocket], sent: Iterable[Row]) -> None:
        """Read the rows again, and send those that have reached the database since."""
        known = {row.id: row.rev for row in sent}
        await asyncio.sleep(LATE_SECONDS)
        with suppress(DatabaseDown):
            rows = [row for row in await self._rows(search) if known.get(row.id, -1) < row.rev]
            self._put_rows(self.sockets.intersection(sockets), rows)


class Happened:
    """What a batch of events contains."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.lines: list[LogLine] = []
        self.changed: set[str] = set()
        self.has_gap = False


class Events:
    """Reads batches: rows in order, gaps, and the number of requests that begin each second."""

    def __init__(self) -> None:
        self.recent: dict[str, Row] = {}
        self._numbers: dict[str, int] = {}
        """The number of the last batch of each source."""
        self._began: deque[tuple[float, int]] = deque()

    def of(self, batch: Batch) -> Happened:
        happened = Happened()
        happened.has_gap = self._is_gap(batch)
        events: list[dict[str, Any]] = orjson.loads(batch.events)
        for event in events:
            kind = event["kind"]
            if kind == "log":
                happened.lines.append(_line_of(event))
            elif kind in WHAT_CHANGED:
                happened.changed.add(WHAT_CHANGED[kind])
        happened.rows = rows_of_events(event for event in events if event["kind"] in REVISIONS)
        self._remember(happened.rows)
        self._began.append((time.monotonic(), sum(event["kind"] == "request_started" for event in events)))
        return happened

    def rate(self) -> float:
        """Return the number of requests that began per second, averaged over the last RATE_SECONDS."""
        since = time.monotonic() - RATE_SECONDS
        while self._began and self._began[0][0] < since:
            self._began.popleft()
        return round(sum(count for _, count in self._began) / RATE_SECONDS, 1)

    def _is_gap(self, batch: Batch) -> bool:
        before = self._numbers.get(batch.source)
        is_first_of_all = not self._numbers
        self._numbers[batch.source] = batch.number
        if before is None:
            return not is_first_of_all or batch.missed > 0
        return batch.number != before + 1 or batch.missed > 0

    def _remember(self, rows: Iterable[Row]) -> None:
        merge(self.recent, rows)
        while len(self.recent) > RECENT_ROWS:
            del self.recent[next(iter(self.recent))]


def _line_of(event: dict[str, Any]) -> LogLine:
    names = ("number", "at", "level", "request_id", "message")
    return LogLine(*(event[name] for name in names))
