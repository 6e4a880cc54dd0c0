"""A client that is gone holds nothing: no account, no place in the queue, no call to Google.

Here the application is called as the server calls it, so that the pool can be looked into; the same with real
sockets is in tests/test_hang_up.py.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson
import pytest

from accounts.models import Account
from gateway.api.application import Api
from gateway.relay import failover
from tests.clients.raw_http import ask as ask_raw
from tests.clients.raw_http import request_bytes
from tests.faults.test_faults import assert_idle
from tests.gateway.conftest import a_body, body_limits
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

    LiveSetting = Callable[[str, Any], None]

ADA = "ada@example.com"
NOTICED_WITHIN_SECONDS = 1.0
LONG = 30.0
MIB = 1024 * 1024
ANSWER_CHUNKS = 20_000
SLOW_SECONDS = 4
SHAPES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


class Caller:
    """One client of the application. Leaving the block hangs up, and waits until that has been noticed."""

    def __init__(self, gateway: Gateway, *, stream: bool, **fields: Any) -> None:
        self.received = b""
        self.hung_up_at = 0.0
        self._api = Api(gateway, body_limits())
        self._body = orjson.dumps(a_body(stream=stream, **fields))
        self._asked = False
        self._gone = asyncio.Event()
        self._something_came = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._work = asyncio.create_task(self._api(self._scope(), self._receive, self._send))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        self.hung_up_at = self.hung_up_at or time.time()
        self._gone.set()
        async with asyncio.timeout(NOTICED_WITHIN_SECONDS):
            with suppress(asyncio.CancelledError):
                await self._work

    async def until_something_came(self) -> None:
        async with asyncio.timeout(10):
            await self._something_came.wait()

    def _scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "method": "POST",
            "path": "/v1/messages",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8672"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8672),
        }

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if body := message.get("body", b""):
            self.received += body
            self._something_came.set()


async def assert_nothing_is_held(caller: Caller, gateway: Gateway, google: EmulatorServer) -> None:
    await assert_idle(gateway, google)
    closed = await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.closed_by_peer_at is not None
    )
    assert closed.closed_by_peer_at is not None
    assert closed.closed_by_peer_at - caller.hung_up_at < NOTICED_WITHIN_SECONDS


async def until_asked(google: EmulatorServer) -> None:
    await asyncio.to_thread(google.state.log.wait_for, lambda entry: entry.model is not None)


async def until_answering(google: EmulatorServer) -> None:
    await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.model is not None and entry.chunks_sent > 0
    )


async def until_waiting(gateway: Gateway, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while gateway.accounts.pool.waiting < count:
            await asyncio.sleep(0.005)


@pytest.fixture
def only_ada(google: EmulatorServer) -> None:
    """The gateway, which starts after this, has one account."""
    Account.objects.exclude(email=ADA).delete()


@SHAPES
async def test_before_the_first_byte(stream: bool, google: EmulatorServer, gateway: Gateway) -> None:
    google.state.fault("stall_before_headers", seconds=LONG)

    async with Caller(gateway, stream=stream) as caller:
        await until_asked(google)

    await assert_nothing_is_held(caller, gateway, google)
    assert caller.received == b""


@SHAPES
async def test_in_the_middle_of_the_answer(stream: bool, google: EmulatorServer, gateway: Gateway) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=2)

    async with Caller(gateway, stream=stream) as caller:
        await until_answering(google)
        if stream:
            await caller.until_something_came()

    await assert_nothing_is_held(caller, gateway, google)
    assert b"message_stop" not in caller.received


@pytest.mark.usefixtures("only_ada")
@SHAPES
async def test_during_the_retry_after_an_empty_answer(
    stream: bool, google: EmulatorServer, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", LONG)
    monkeypatch.setattr(failover, "LONGEST_PAUSE_SECONDS", LONG)
    google.state.fault("empty_answer")

    async with Caller(gateway, stream=stream):
        await asyncio.to_thread(
            google.state.log.wait_for,
            lambda entry: entry.model is not None and entry.outcome == "answered",
        )
        await asyncio.sleep(0.05)

    await assert_idle(gateway, google)
    assert len(google.state.log.generations()) == 1


@pytest.mark.usefixtures("only_ada")
@SHAPES
async def test_while_it_waits_in_the_queue(
    stream: bool, google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=1)

    async with Caller(gateway, stream=True) as first:
        await first.until_something_came()
        async with Caller(gateway, stream=stream):
            await until_waiting(gateway)
        assert gateway.accounts.pool.waiting == 0

    await assert_nothing_is_held(first, gateway, google)
    assert len(google.state.log.generations()) == 1


@SHAPES
async def test_while_it_waits_for_a_cooldown_to_end(
    stream: bool, google: EmulatorServer, gateway: Gateway
) -> None:
    for account in google.state.accounts:
        google.state.fault("rate_limited", delay=LONG, account=account.email)

    async with Caller(gateway, stream=stream):
        await until_waiting(gateway)

    await assert_idle(gateway, google)
    assert [entry.status for entry in google.state.log.generations()] == [429, 429, 429]


@pytest.mark.usefixtures("only_ada")
async def test_waiters_move_up_when_one_leaves_the_queue(
    google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=1)

    async with Caller(gateway, stream=True) as first:
        await first.until_something_came()
        async with Caller(gateway, stream=False) as last:
            async with Caller(gateway, stream=False):
                await until_waiting(gateway, 2)
            assert gateway.accounts.pool.waiting == 1
            await first.hang_up()
            await last.until_something_came()
            assert b'"type":"message"' in last.received

    await assert_idle(gateway, google)


# A slow reader


def resident_mib(gateway: LiveGateway) -> float:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_a_slow_reader_slows_only_its_own_upstream(emulator: EmulatorServer, tmp_path: Path) -> None:
    """One reads a kilobyte a second of an answer of many megabytes; the gateway does not keep the rest."""
    text = "word " * 200
    chunk = {"response": {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}}
    emulator.state.lift_quotas()
    with LiveGateway(emulator, tmp_path) as gateway:
        assert ask_raw(gateway.url, a_request(stream=True)).status == 200
        before = resident_mib(gateway)
        emulator.state.reply_chunks([chunk] * ANSWER_CHUNKS)

        with slow_connection(gateway) as connection:
            connection.sendall(a_request(stream=True))
            for _ in range(SLOW_SECONDS):
                assert connection.recv(1024)
                time.sleep(0.5)
                assert ask_raw(gateway.url, a_request(stream=True)).status == 200
                time.sleep(0.5)
            grown = resident_mib(gateway) - before

        emulator.state.log.wait_until_idle()
    assert grown < ANSWER_CHUNKS * len(text) / MIB / 2


def a_request(*, stream: bool) -> bytes:
    return request_bytes(body=orjson.dumps(a_body(stream=stream)), content_type="application/json")


def slow_connection(gateway: LiveGateway) -> socket.socket:
    """With a small buffer of its own, so that what is not read stays with the sender."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", gateway.port))
    return connection
