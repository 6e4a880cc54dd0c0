"""The gateway under uvicorn in a process that counts: function calls, or what its event loop is asked for.

    python benchmarks/counted_gateway.py calls|loop PORT DESCRIPTOR

The descriptor is a socket: each line `begin` or `end` is answered with one line of JSON; the process ends
with it. Only the thread of the event loop is counted; the ledger's writer runs in another one.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import signal
import socket
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import uvloop

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from benchmarks.layers import ELSEWHERE, layer_of_file  # noqa: E402
from benchmarks.processes import LOOPBACK  # noqa: E402

if TYPE_CHECKING:
    from types import CodeType

Counts = dict[str, float]

ENDS_OF_WINDOWS = "/benchmarks/counted_gateway/"
"""The process asks for a file of this name, so that a trace of its system calls shows where a window begins
and ends."""


class WindowCounter(Protocol):
    """What counts between `begin` and `end`."""

    def begin(self) -> None: ...

    def end(self) -> Counts: ...


class CallCounter:
    """Counts function calls, those of built-in functions included, by layer; `urandom` are system calls for
    random bytes."""

    def begin(self) -> None:
        self._profile = cProfile.Profile()
        self._profile.enable()

    def end(self) -> Counts:
        self._profile.disable()
        entries = self._profile.getstats()
        counts: Counter[str] = Counter()
        placed = 0
        for entry in entries:
            layer = layer_of(entry.code)
            inner = [call for call in entry.calls or () if layer_of(call.code) is None]
            counted = sum(call.callcount for call in inner) + (entry.callcount if layer else 0)
            counts[layer or ELSEWHERE] += counted
            placed += counted
        total = sum(entry.callcount for entry in entries)
        counts[ELSEWHERE] += total - placed
        urandom = sum(entry.callcount for entry in entries if "urandom" in str(entry.code))
        return {**counts, "total": total, "urandom": urandom}


def layer_of(code: CodeType | str) -> str | None:
    """The layer of a function; None for one that belongs to no layer of its own."""
    if isinstance(code, str):
        return None
    return layer_of_file(code.co_filename)


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts the calls of its methods by requests, not those by periodic tasks. It is
    asyncio's, since uvloop's methods call each other in C."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._by_the_clock: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        self.counts.clear()
        self._by_the_clock = asyncio.all_tasks(self)

    def _count(self, name: str) -> None:
        if asyncio.current_task(self) not in self._by_the_clock:
            self.counts[name] += 1

    def end(self) -> Counts:
        return dict(self.counts)

    def create_task(self, *args: Any, **options: Any) -> Any:
        self._count("tasks")
        return super().create_task(*args, **options)

    def call_at(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        self._count("timers")
        return super().call_at(*args, **options)

    def call_soon(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        self._count("call_soon")
        return super().call_soon(*args, **options)

    def create_future(self) -> Any:
        self._count("futures")
        return super().create_future()


class Control:
    """Takes the commands that arrive at a socket."""

    def __init__(self, counter: WindowCounter, descriptor: int) -> None:
        self._counter = counter
        self._socket = socket.socket(fileno=descriptor)

    def listen(self) -> None:
        """Be ready for commands; say so."""
        asyncio.get_running_loop().add_reader(self._socket, self._take)
        self._answer({})

    def _take(self) -> None:
        command = self._socket.recv(100).strip().decode()
        if not command:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._socket)
            os.kill(os.getpid(), signal.SIGTERM)
        elif command == "begin":
            self._answer({})
            _mark("begin")
            self._counter.begin()
        else:
            counts = self._counter.end()
            _mark("end")
            self._answer(counts)

    def _answer(self, counts: Counts) -> None:
        self._socket.sendall(json.dumps(counts).encode() + b"\n")


def _mark(what: str) -> None:
    with suppress(FileNotFoundError):
        os.stat(ENDS_OF_WINDOWS + what)  # noqa: PTH116


def main() -> None:
    kind, port, descriptor = sys.argv[1:]
    loop = CountingLoop() if kind == "loop" else uvloop.new_event_loop()
    counter = loop if isinstance(loop, CountingLoop) else CallCounter()
    from django.conf import settings

    from proxy_site.asgi import application, gateway, requests_in_flight
    from proxy_site.serving.lifecycle import Lifecycle
    from proxy_site.serving.listener import bind
    from proxy_site.serving.uvicorn import GatewayServer

    async def serve() -> None:
        control = Control(counter, int(descriptor))
        lifecycle = Lifecycle(gateway, requests_in_flight, grace_seconds=0, on_ready=control.listen)
        listener = bind(LOOPBACK, int(port), "serve")
        seconds = settings.HEADER_TIMEOUT_SECONDS
        await GatewayServer(application, listener, lifecycle, header_seconds=seconds).serve()

    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve())


if __name__ == "__main__":
    main()
