"""Start, drain and stop of the gateway, the same under any server.

The first SIGINT or SIGTERM begins the drain: no connection is accepted any more, and requests whose bodies
are complete may finish within the grace period. After that, or on a second signal, they are cancelled, and
their clients are told why. The remaining rows of the ledger are stored last.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.db import DatabaseError, connection

from accounts.command_line import manage
from gateway.bodies.arrival import WHOLE_BODY
from gateway.bodies.hang_up import TASK
from proxy_site.data_dir import AlreadyServing, sole_server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.service import Gateway
    from proxy_site.serving.proxy_headers import Receive, Scope, Send

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
CANCEL_SECONDS = 1.0
"""How long cancelled requests may take to send their clients an error."""
STOP_SECONDS = 5.0
"""How long the gateway may take to store what it has in memory."""
QUIET_SECONDS = 1.0
FEW_OBJECTS = 1_000
M_MMAP_THRESHOLD = -3
"""The option's number in malloc.h."""
LARGE_MEMORY_BYTES = 1024 * 1024


class Server(Protocol):
    """The interface of a server for its lifecycle."""

    def stop_accepting(self) -> None:
        """Close the listening socket. Open connections stay open while they are in use."""

    def has_unsent(self) -> bool:
        """Return whether bytes of a complete response have not been sent yet."""


class RequestsInFlight:
    """ASGI middleware for HTTP that knows the running requests, under any server.

    A shutdown waits for those whose bodies are complete; nothing has been done yet for the others.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._tasks: set[asyncio.Task[Any]] = set()
        self._whole: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = scope.get(TASK) or asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if WHOLE_BODY in scope:
            self._whole.add(task)
        else:
            receive = self._noting_the_end_of_the_body(task, receive)
        try:
            await self._application(scope, receive, send)
        finally:
            self._tasks.discard(task)
            self._whole.discard(task)

    def _noting_the_end_of_the_body(self, task: asyncio.Task[Any], receive: Receive) -> Receive:
        async def receive_and_note() -> dict[str, Any]:
            message = await receive()
            # Django's handler may still listen for the client's end when the request itself has ended.
            if not message.get("more_body") and task in self._tasks:
                self._whole.add(task)
            return message

        return receive_and_note

    def __len__(self) -> int:
        """Return the number of running requests whose bodies are complete."""
        return len(self._whole)

    async def cancel(self) -> None:
        """Cancel all of them, and wait at most CANCEL_SECONDS for their end."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(set(self._tasks), timeout=CANCEL_SECONDS)


class Lifecycle:
    """The lifecycle of one gateway in one process. `start` and `serve` run in the event loop; `on_ready` is
    called there once connections are accepted, and `while_serving` runs from then on until the signal."""

    def __init__(
        self,
        gateway: Gateway,
        requests: RequestsInFlight,
        *,
        grace_seconds: float,
        on_ready: Callable[[], None],
        while_serving: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._gateway = gateway
        self._requests = requests
        self._grace_seconds = grace_seconds
        self._on_ready = on_ready
        self._while_serving = while_serving
        self._stop_requested = asyncio.Event()

    async def start(self) -> None:
        """Start the gateway, before connections are accepted."""
        await self._gateway.start()
        _settle_garbage_collector()
        _give_back_large_memory()

    async def serve(self, server: Server) -> None:
        """Run until a signal arrives, all requests have ended, and everything is stored."""
        loop = asyncio.get_running_loop()
        # Under --reload this is another thread, and the reloader handles signals in the main one.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._on_signal)
        loop.call_later(QUIET_SECONDS, self._free_memory_when_quiet, False)
        loop.call_soon(self._on_ready)
        beside = asyncio.create_task(self._while_serving()) if self._while_serving is not None else None
        await self._stop_requested.wait()
        self._gateway.is_draining = True
        server.stop_accepting()
        if beside is not None:
            beside.cancel()
            await asyncio.wait({beside})
        await self._gateway.close_listeners()
        await self._drain(server)
        await self._stop()

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._grace_seconds = 0
        self._stop_requested.set()

    async def _drain(self, server: Server) -> None:
        waited = 0.0
        while (self._requests or server.has_unsent()) and waited < self._grace_seconds:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        self._gateway.is_stopping = True
        if self._requests:
            logger.warning("%d requests are cut short by the shutdown", len(self._requests))
        await self._requests.cancel()

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._gateway.stop()
        except Exception:
            logger.exception("Not everything could be stored at the end")

    def _free_memory_when_quiet(self, was_quiet: bool) -> None:
        """Free memory when no request has run for QUIET_SECONDS. Under load the garbage collector runs seldom
        (`_settle_garbage_collector`), so objects in cycles accumulate, such as errors with tracebacks; and
        malloc keeps what was freed."""
        is_quiet = not self._gateway.recorder.in_flight
        youngest, *older = gc.get_count()
        if is_quiet and was_quiet and (youngest > FEW_OBJECTS or any(older)):
            gc.collect()
            give_back_free_memory()
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self._free_memory_when_quiet, is_quiet)


class Lifespan:
    """ASGI's lifespan protocol, for servers that this project does not start itself, such as
    `uvicorn proxy_site.asgi:application` (asgi.readthedocs.io, Lifespan Protocol)."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.ExitStack() as stack:
            await receive()
            if problem := await self._start(stack):
                await send({"type": "lifespan.startup.failed", "message": problem})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if problem := await self._stop():
                await send({"type": "lifespan.shutdown.failed", "message": problem})
            else:
                await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, stack: contextlib.ExitStack) -> str:
        """Start the gateway; returns why that failed, or "". The lock of DATA_DIR is held until `stack`
        ends."""
        try:
            if connection.vendor == "sqlite":
                stack.enter_context(sole_server(settings.DATA_DIR))
            await self._gateway.start()
        except AlreadyServing as error:
            return str(error)
        except DatabaseError as error:
            return f"The database cannot be used: {error}. `{manage('migrate')}` brings it up to date."
        except Exception as error:
            logger.exception("The gateway cannot start")
            return str(error)
        return ""

    async def _stop(self) -> str:
        """Stop the gateway; returns why not everything could be stored, or ""."""
        self._gateway.is_draining = self._gateway.is_stopping = True
        try:
            await self._gateway.close_listeners()
            await self._gateway.stop()
        except Exception as error:
            logger.exception("Not everything could be stored at the end")
            return str(error)
        return ""


def _settle_garbage_collector() -> None:
    """Exclude present objects from garbage collection, and collect less often. Cuts the longest pauses under
    load to a tenth (docs/performance.md)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _give_back_large_memory() -> None:
    """Make glibc return the memory of large bodies at once; by default it keeps it for later use. Other C
    libraries have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY_BYTES)


def give_back_free_memory() -> None:
    """Return free memory between used pieces to the system: after a burst most of what glibc holds. A
    gigabyte takes 0.15 s. Other C libraries have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
