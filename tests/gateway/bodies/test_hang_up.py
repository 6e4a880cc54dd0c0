from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.bodies.hang_up import ON_GONE, HangUp


class Server:
    """Tells of a hang-up by a call, or by a message as any ASGI server."""

    def __init__(self, *, calls: bool) -> None:
        self.on_gone: list[Any] = []
        self.scope: dict[str, Any] = {ON_GONE: self.on_gone} if calls else {}
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def hang_up(self) -> None:
        self._gone.set()
        for tell in self.on_gone:
            tell()


@pytest.fixture(params=[True, False])
async def server(request: pytest.FixtureRequest) -> Server:
    return Server(calls=request.param)


async def work(server: Server, stopped: list[bool], *, stops_first: bool) -> bool:
    hang_up = HangUp(server.scope, server.receive)
    hang_up.watch()
    try:
        if stops_first:
            hang_up.stop()
        await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        stopped.append(hang_up.has_come)
    finally:
        hang_up.stop()
    return hang_up.has_come


async def test_a_hang_up_cancels_the_work(server: Server) -> None:
    stopped: list[bool] = []
    task = asyncio.create_task(work(server, stopped, stops_first=False))
    await asyncio.sleep(0)

    server.hang_up()

    assert await task
    assert stopped == [True]


async def test_the_end_of_a_response_is_no_hang_up(server: Server) -> None:
    stopped: list[bool] = []
    task = asyncio.create_task(work(server, stopped, stops_first=True))
    await asyncio.sleep(0)

    server.hang_up()

    assert not await task
    assert stopped == []


async def test_a_server_that_calls_needs_no_task() -> None:
    server = Server(calls=True)
    before = asyncio.all_tasks()

    HangUp(server.scope, server.receive).watch()

    assert asyncio.all_tasks() == before
