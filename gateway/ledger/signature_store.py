"""Gemini's signatures for clients that do not send them back: in memory, backed by the database.

The database is read only for signatures that memory cannot have: of calls before a restart, or on another
server with the same database. It is the only read before a first byte, runs in a thread for at most half a
second, and when it fails the call is sent unsigned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.db import connection

from gateway.ledger import signature_rows as table
from gateway.ledger.writer import connected
from gateway.translation.signature_families import TEXT_KEY, SignatureCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

READ_SECONDS = 0.5
ASK_AGAIN_SECONDS = 1.0
"""How soon a lookup without a result is repeated; another server writes twice a second."""
WARM_ROWS = 2_000
READ_ROWS = 200
"""How many of the newest calls of a tool loop are looked up."""
REMEMBERED_MISSES = 10_000


class StoredSignatures:
    """A SignatureStore; until it is started, it only caches. `keep` is called with each signature to be
    stored."""

    def __init__(self, keep: Callable[[str, str], None]) -> None:
        self._keep = keep
        self._cache = SignatureCache()
        self._asked_at: OrderedDict[str, float] = OrderedDict()
        self._thread: ThreadPoolExecutor | None = None
        self._overdue: asyncio.Future[dict[str, str]] | None = None
        """A lookup that has timed out; until it returns, no other is started."""

    def get(self, key: str) -> str | None:
        return self._cache.get(key)

    def put(self, key: str, signature: str, *, is_carried: bool = False) -> None:
        """Keep a signature. Those of texts stay in memory: no model requires them."""
        self._cache.put(key, signature)
        if not is_carried and not key.startswith(TEXT_KEY):
            self._keep(key, signature)

    async def start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signatures")
        loop = asyncio.get_running_loop()
        try:
            newest = await loop.run_in_executor(self._thread, connected, table.newest, WARM_ROWS)
        except Exception:
            logger.warning("Signatures of earlier tool calls could not be read", exc_info=True)
        else:
            self._remember(newest)

    async def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(connection.close)
            thread.shutdown(wait=False)

    async def recall(self, calls: Iterable[str]) -> None:
        """Look up the signatures of these calls, newest first, so that `get` returns them."""
        if self._thread is None:
            return
        missing = [call for call in calls if self._may_ask(call)][:READ_ROWS]
        if not missing or (self._overdue is not None and not self._overdue.done()):
            return
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._thread, connected, table.find, missing)
        reading.add_done_callback(self._cache_result)
        try:
            found = await asyncio.wait_for(asyncio.shield(reading), READ_SECONDS)
        except Exception as error:
            self._overdue = reading
            logger.warning("Signatures of tool calls could not be read: %s", str(error) or "no answer")
        else:
            self._note_misses([key for key in missing if key not in found])

    def _cache_result(self, reading: asyncio.Future[dict[str, str]]) -> None:
        """Cache the result of a lookup, also after its timeout: the next turn needs it, too. A failure was
        logged before."""
        if not reading.cancelled() and reading.exception() is None:
            self._remember(reading.result())

    def _remember(self, found: dict[str, str]) -> None:
        for key, signature in found.items():
            self._cache.put(key, signature)

    def _may_ask(self, key: str) -> bool:
        return time.monotonic() - self._asked_at.get(key, -ASK_AGAIN_SECONDS) >= ASK_AGAIN_SECONDS

    def _note_misses(self, keys: list[str]) -> None:
        now = time.monotonic()
        for key in keys:
            self._asked_at[key] = now
            self._asked_at.move_to_end(key)
        while len(self._asked_at) > REMEMBERED_MISSES:
            self._asked_at.popitem(last=False)
