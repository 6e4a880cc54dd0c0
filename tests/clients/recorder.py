"""A relay between a client and the gateway that writes down what passes: paths, statuses and bodies.

The emulator only sees what the gateway sends on; a refused key or a burst of count_tokens is seen here.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    status: int
    user_agent: str
    asked: bytes = b""
    answered: bytearray = field(default_factory=bytearray)
    """As much as has come so far."""


class Recorder:
    """A context manager. `exchanges` holds each request that has been answered, in that order."""

    def __init__(self, target: str) -> None:
        self.exchanges: list[Exchange] = []
        self.url = ""
        self._target = target
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="recorder")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def of(self, path: str) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.path == path]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._relay)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        asked = await request.read()
        async with self._session.request(
            request.method,
            f"{self._target}{request.path_qs}",
            headers=_passed_on(request.headers),
            data=asked,
            allow_redirects=False,
        ) as answer:
            agent = request.headers.get("User-Agent", "")
            exchange = Exchange(request.method, request.path, answer.status, agent, asked)
            self.exchanges.append(exchange)
            response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                exchange.answered.extend(piece)
                await response.write(piece)
            await response.write_eof()
            return response


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
