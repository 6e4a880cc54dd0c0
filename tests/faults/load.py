"""A steady load on a gateway: so many requests a second, however long each takes. Each has an id of its own,
`load-17`, which is in its prompt as well, so that client, ledger and Google can be compared."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.gateway.conftest import a_body

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.log import Entry

GIVE_UP_SECONDS = 60.0
NAME = re.compile(r"load-\d+")


@dataclass(slots=True)
class Asked:
    """What one client saw. Times are of the wall clock; status 0: the connection broke."""

    sent_at: float
    ended_at: float | None = None
    status: int | None = None


@dataclass
class Load:
    url: str
    per_second: int
    first: int = 0
    """The number its names begin with, so that two loads can be told apart."""
    asked: dict[str, Asked] = field(default_factory=dict)
    is_over: bool = False

    async def run(self, seconds: float) -> None:
        """Returns when each request has ended, one way or the other."""
        timeout = aiohttp.ClientTimeout(total=GIVE_UP_SECONDS)
        started = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            for number in range(round(seconds * self.per_second)):
                if self.is_over:
                    break
                tasks.append(asyncio.create_task(self._ask(session, f"load-{self.first + number}")))
                await asyncio.sleep(max(0.0, started + (number + 1) / self.per_second - time.monotonic()))
            await asyncio.gather(*tasks)

    async def _ask(self, session: aiohttp.ClientSession, name: str) -> None:
        asked = self.asked[name] = Asked(time.time())
        message = {"role": "user", "content": f"This is {name}."}
        try:
            async with session.post(
                f"{self.url}/v1/messages",
                json=a_body(stream=True, messages=[message]),
                headers={"x-request-id": name},
            ) as response:
                await response.read()
                asked.status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            asked.status = 0
        asked.ended_at = time.time()


def name_in(entry: Entry) -> str | None:
    """Which of the load's requests Google was asked to answer."""
    found = NAME.search(entry.body.decode())
    return found[0] if found else None


def rows_of(data_dir: Path) -> list[dict[str, Any]]:
    """Of the ledger's requests."""
    connection = sqlite3.connect(data_dir / "proxy.sqlite3")
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM gateway_requestlog")]
    finally:
        connection.close()
