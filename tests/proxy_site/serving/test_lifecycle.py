"""ASGI's lifespan, the requests that a shutdown waits for, and the drain."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.db import OperationalError

from proxy_site.data_dir import sole_server
from proxy_site.serving.lifecycle import Lifecycle, Lifespan, RequestsInFlight

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from gateway.service import Gateway


class StandIn:
    """For a gateway whose start or end may fail."""

    def __init__(self, start: Exception | None = None, stop: Exception | None = None) -> None:
        self.is_stopping = False
        self.recorder = SimpleNamespace(in_flight=set())
        self._failures = {"start": start, "stop": stop}
        self.calls: list[str] = []

    async def start(self) -> None:
        self._note("start")

    async def close_listeners(self) -> None:
        self._note("close_listeners")

    async def stop(self) -> None:
        self._note("stop")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if failure := self._failures.get(call):
            raise failure


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


async def live(gateway: StandIn) -> list[dict[str, Any]]:
    """What a server is told when it sends both of its messages."""
    told: list[dict[str, Any]] = []
    messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> dict[str, Any]:
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await Lifespan(cast("Gateway", gateway))({"type": "lifespan"}, receive, send)
    return told


async def test_a_server_starts_and_stops_the_gateway() -> None:
    gateway = StandIn()

    told = await live(gateway)

    assert [message["type"] for message in told] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert gateway.calls == ["start", "close_listeners", "stop"]
    assert gateway.is_stopping


async def test_a_database_without_tables_is_told_to_the_server() -> None:
    gateway = StandIn(start=OperationalError("no such table: accounts_account"))

    (told,) = await live(gateway)

    assert told["type"] == "lifespan.startup.failed"
    assert told["message"].startswith("The database cannot be used: no such table: accounts_account.")
    assert "manage.py migrate" in told["message"]
    assert gateway.calls == ["start"]


async def test_a_start_that_fails_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    told = await live(StandIn(start=OSError("no network")))

    assert told == [{"type": "lifespan.startup.failed", "message": "no network"}]
    assert "The gateway cannot start" in caplog.text


async def test_a_second_server_on_the_same_data_is_refused(data_dir: Path) -> None:
    gateway = StandIn()

    with sole_server(data_dir):
        (told,) = await live(gateway)

    assert told["type"] == "lifespan.startup.failed"
    assert "already uses" in told["message"]
    assert gateway.calls == []


async def test_an_end_that_fails_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    told = await live(StandIn(stop=OperationalError("the disk is full")))

    assert told[-1] == {"type": "lifespan.shutdown.failed", "message": "the disk is full"}
    assert "Not everything could be stored" in caplog.text


async def in_its_task(requests: RequestsInFlight, receive: Any) -> None:
    await requests({"type": "http"}, receive, cast("Any", None))


async def test_a_request_counts_from_the_end_of_its_body_to_its_own() -> None:
    counts: list[int] = []
    body = [{"type": "http.request", "more_body": False}, {"type": "http.request", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return body.pop()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        counts.append(len(requests))
        await receive()
        counts.append(len(requests))
        await receive()
        counts.append(len(requests))

    requests = RequestsInFlight(application)
    await asyncio.create_task(in_its_task(requests, receive))
    await asyncio.sleep(0)

    assert [*counts, len(requests)] == [0, 0, 1, 0]


async def test_a_message_that_is_received_after_the_end_of_a_request_does_not_count() -> None:
    listening: list[asyncio.Task[Any]] = []
    has_gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await has_gone.wait()
        return {"type": "http.disconnect"}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        listening.append(asyncio.create_task(receive()))

    requests = RequestsInFlight(application)
    await asyncio.create_task(in_its_task(requests, receive))
    has_gone.set()
    await listening[0]

    assert len(requests) == 0


async def test_cancelling_reaches_requests_whose_bodies_are_still_arriving() -> None:
    ended: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")

    requests = RequestsInFlight(application)
    running = asyncio.create_task(in_its_task(requests, cast("Any", None)))
    await asyncio.sleep(0)

    await requests.cancel()
    await running

    assert ended == ["cancelled"]


async def test_cancelling_nothing_does_not_wait() -> None:
    async with asyncio.timeout(0.5):
        await RequestsInFlight(None).cancel()


class Listening:
    """A server with an application of its own, whose last response is unsent at first."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls
        self._unsent = 1

    def stop_accepting(self) -> None:
        self._calls.append("stop_accepting")

    def has_unsent(self) -> bool:
        self._unsent -= 1
        return self._unsent >= 0


@pytest.mark.parametrize(("signals", "ends"), [(1, "answered"), (2, "cancelled")])
async def test_the_first_signal_waits_for_requests_and_the_second_does_not(signals: int, ends: str) -> None:
    gateway = StandIn()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.sleep(0.3)
            gateway.calls.append("answered")
        except asyncio.CancelledError:
            gateway.calls.append("cancelled")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    requests = RequestsInFlight(application)
    loop = asyncio.get_running_loop()
    for number in range(signals):
        loop.call_later(0.1 * (number + 1), os.kill, os.getpid(), signal.SIGTERM)
    lifecycle = Lifecycle(cast("Gateway", gateway), requests, grace_seconds=30, on_ready=lambda: None)
    running = asyncio.create_task(in_its_task(requests, receive))
    await lifecycle.serve(Listening(gateway.calls))
    await running

    assert gateway.calls == ["stop_accepting", "close_listeners", ends, "stop"]
    assert gateway.is_stopping


async def test_what_cannot_be_stored_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    gateway = StandIn(stop=OperationalError("the disk is full"))
    lifecycle = Lifecycle(
        cast("Gateway", gateway),
        RequestsInFlight(None),
        grace_seconds=0,
        on_ready=lambda: os.kill(os.getpid(), signal.SIGINT),
    )

    await lifecycle.serve(Listening([]))

    assert "Not everything could be stored" in caplog.text


@pytest.mark.parametrize("fails", [False, True])
async def test_what_runs_while_it_serves_ends_before_the_gateway(fails: bool) -> None:
    gateway = StandIn()

    async def run() -> None:
        gateway.calls.append("runs")
        try:
            await asyncio.sleep(60)
        finally:
            gateway.calls.append("ended")
            if fails:
                raise RuntimeError("it cannot end")

    def interrupt_soon() -> None:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)

    lifecycle = Lifecycle(
        cast("Gateway", gateway),
        RequestsInFlight(None),
        grace_seconds=0,
        on_ready=interrupt_soon,
        while_serving=run,
    )

    await lifecycle.serve(Listening(gateway.calls))

    assert gateway.calls == ["runs", "stop_accepting", "ended", "close_listeners", "stop"]
