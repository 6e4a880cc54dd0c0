"""Detection of a client that hangs up before its response is complete.

The gateway's own servers report it at once by calling a function (ON_GONE in the scope). Other ASGI servers
report it only to a task that waits for the next message, so each request needs such a task.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive = Callable[[], Awaitable[dict[str, Any]]]

ON_GONE = "gateway.on_gone"
"""The scope's key for a list of functions, which the server calls when the client has hung up."""
TASK = "gateway.task"
"""The ASGI scope's key for the asyncio task that runs the request. The gateway's own servers set it, since
asyncio.current_task makes a system call in Python 3.11; under others it is missing."""


class HangUp:
    """Cancels the running task when the client hangs up, between `watch` and `stop`. Call `watch` once the
    body has been read."""

    __slots__ = ("_on_gone", "_receive", "_waiting", "_work", "has_come")

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        self.has_come = False
        self._on_gone: list[Callable[[], None]] | None = scope.get(ON_GONE)
        self._receive = receive
        self._work = scope.get(TASK) or asyncio.current_task()
        self._waiting: asyncio.Task[None] | None = None

    def watch(self) -> None:
        if self._on_gone is not None:
            self._on_gone.append(self._cancel)
        else:
            self._waiting = asyncio.create_task(self._wait())

    def stop(self) -> None:
        """Ignore it from now on: servers report the end of the response as a disconnect, too."""
        if self._on_gone:
            self._on_gone.clear()
        elif self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel(self) -> None:
        self.has_come = True
        if self._work is not None:
            self._work.cancel()
