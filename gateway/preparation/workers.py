"""The pool of worker processes, which are started on demand and ended when idle.

Threads would not suffice, since parsing and writing JSON hold Python's global lock throughout. A thread waits
for each process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from gateway.errors import InvalidRequest, Unavailable
from gateway.preparation.worker import receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.bodies.shape import Body
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.base import RequestParser
    from gateway.preparation.worker import Job

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parent.parent.parent
MOST_WORKERS = 4
JOB_SECONDS = 20.0
MOST_WAITING = 50
WAIT_SECONDS = 20.0
RETRY_SECONDS = 5.0
IDLE_SECONDS = 60.0
# glibc keeps freed memory for later use, up to 32 MiB a piece, unless a size is given.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(1024 * 1024)}


class TranslationWorkers:
    """A pool of worker processes. It needs no event loop and no start; `stop` ends them even in the middle of
    a job."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(min(max(2, os.cpu_count() or 1), MOST_WORKERS))
        self._waiting = 0
        self._busy: set[_Worker] = set()
        self._idle: dict[_Worker, asyncio.TimerHandle] = {}
        self._is_stopped = False

    async def run(
        self,
        function: Callable[Concatenate[MessagesRequest, P], T],
        body: Body,
        parser: RequestParser,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run ``function`` in a worker on the request in ``body`` and return its result. Raises
        GatewayError."""
        result: T = await self._run((function, parser, args, kwargs), body)
        return result

    async def run_on_body(
        self,
        function: Callable[Concatenate[bytes, P], Any],
        body: Body,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Any:
        """Run ``function`` in a worker on the bytes of ``body`` and return its result. Raises
        GatewayError."""
        return await self._run((function, None, args, kwargs), body)

    async def _run(self, job: Job, body: Body) -> Any:
        async with self._turn():
            worker = self._take()
            is_well = False
            try:
                async with asyncio.timeout(JOB_SECONDS):
                    outcome = await worker.do(job, body)
                is_well = True
            except TimeoutError:
                raise InvalidRequest(
                    f"request body: cannot be read and translated within {JOB_SECONDS:.0f} s."
                ) from None
            except (EOFError, OSError) as error:
                logger.warning("A worker process has ended (%s)", type(error).__name__)
                raise _unavailable("The process that read the request has ended.") from None
            finally:
                self._put_back(worker, is_well=is_well)
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # an error whose traceback refers to itself would keep the body in memory

    async def stop(self) -> None:
        self._is_stopped = True
        for timer in self._idle.values():
            timer.cancel()
        # callers that wait for a worker get an error
        ended = [worker.end() for worker in (*self._busy, *self._idle)]
        self._idle.clear()
        await asyncio.gather(*ended)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a free worker. Raises Unavailable."""
        if self._waiting >= MOST_WAITING:
            raise _unavailable(f"{self._waiting} large requests wait already.")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise _unavailable(f"The request has waited {WAIT_SECONDS:.0f} s for others as large.") from None
        finally:
            self._waiting -= 1
        try:
            if self._is_stopped:
                raise _unavailable("The gateway is shutting down.")
            yield
        finally:
            self._free.release()

    def _take(self) -> _Worker:
        """Return the most recently used worker, or a new one."""
        worker = self._take_idle() or self._start()
        self._busy.add(worker)
        return worker

    def _take_idle(self) -> _Worker | None:
        while self._idle:
            worker, timer = self._idle.popitem()
            timer.cancel()
            if worker.process.poll() is None:
                return worker
            worker.end()  # was killed while idle
        return None

    def _start(self) -> _Worker:
        try:
            return _Worker()
        except OSError as error:
            logger.warning("No worker process could be started (%s)", error.strerror)
            raise _unavailable("The gateway cannot read large requests now.") from None

    def _put_back(self, worker: _Worker, *, is_well: bool) -> None:
        self._busy.discard(worker)
        if is_well and not self._is_stopped:
            loop = asyncio.get_running_loop()
            self._idle[worker] = loop.call_later(IDLE_SECONDS, self._end, worker)
        else:
            worker.end()

    def _end(self, worker: _Worker) -> None:
        del self._idle[worker]
        worker.end()


class _Worker:
    """A process, and the thread that waits for it."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-m", "gateway.preparation.worker", str(theirs.fileno())],
                cwd=PROJECT,
                env={**os.environ, **ENVIRONMENT},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="translation")
        self._ended: asyncio.Future[None] | None = None

    async def do(self, job: Job, body: Body) -> Any:
        """Run a job and return its result or exception. Raises EOFError or OSError when the process has
        ended."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._do, job, body)

    def _do(self, job: Job, body: Body) -> Any:
        self._connection.send(job)
        self._connection.send_bytes(body)
        return receive(self._connection)

    def end(self) -> asyncio.Future[None]:
        """Kill the process; its jobs have no state to lose. May be called again."""
        if self._ended is None:
            self.process.kill()
            self._ended = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)
        return self._ended

    def _close(self) -> None:
        self._connection.close()
        self.process.wait()


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"{why} Try again in a moment.", retry_after_seconds=RETRY_SECONDS)
