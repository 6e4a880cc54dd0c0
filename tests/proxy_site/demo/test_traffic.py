"""The requests that the demo sends to itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from asgiref.sync import sync_to_async

from gateway.models import RequestLog
from gateway.telemetry.activity import Listener
from proxy_site.demo import quotas
from proxy_site.demo.accounts import store_accounts
from proxy_site.demo.traffic import MOST_AN_HOUR, Traffic
from tests.gateway.conftest import started_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer


@pytest.fixture
async def gateway(
    google_settings: Settings, emulator: EmulatorServer, transactional_db: None
) -> AsyncIterator[Gateway]:
    quotas.prepare(emulator)
    await sync_to_async(store_accounts)(emulator.state)
    async with started_gateway() as gateway:
        yield gateway


@asynccontextmanager
async def traffic(
    gateway: Gateway, emulator: EmulatorServer, most_an_hour: int = MOST_AN_HOUR
) -> AsyncIterator[None]:
    running = Traffic(
        gateway,
        emulator.state,
        pause_seconds=(0.005, 0.01),
        first_event_seconds=(0, 0.02),
        most_an_hour=most_an_hour,
    )
    task = asyncio.create_task(running.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def wait_for(emulator: EmulatorServer, count: int) -> None:
    async with asyncio.timeout(20):
        while sent(emulator) < count:
            await asyncio.sleep(0.02)


def sent(emulator: EmulatorServer) -> int:
    """With further attempts."""
    return len(emulator.state.log.generations())


async def stored(gateway: Gateway) -> list[RequestLog]:
    while gateway.ledger.waiting:
        await asyncio.sleep(0.05)
    return [row async for row in RequestLog.objects.all()]


async def test_requests_are_sent_only_while_a_page_watches(
    gateway: Gateway, emulator: EmulatorServer
) -> None:
    async with traffic(gateway, emulator):
        await asyncio.sleep(0.2)
        assert sent(emulator) == 0

        async with Listener():
            await wait_for(emulator, 15)
        while gateway.recorder.in_flight:
            await asyncio.sleep(0.02)
        before = sent(emulator)
        await asyncio.sleep(0.2)
        assert sent(emulator) == before

    rows = await stored(gateway)
    assert {row.client for row in rows} == {"claude-cli"}
    assert {row.status for row in rows} == {200}
    assert len({row.client_model for row in rows}) == len({row.session_id for row in rows}) > 1
    assert len({row.output_tokens for row in rows}) > 4
    assert any(row.cache_read_tokens for row in rows)


async def test_no_more_are_sent_in_an_hour_than_allowed(gateway: Gateway, emulator: EmulatorServer) -> None:
    async with Listener(), traffic(gateway, emulator, most_an_hour=3):
        await wait_for(emulator, 3)
        await asyncio.sleep(0.3)

    assert len(await stored(gateway)) == 3


async def test_what_is_under_way_ends_with_the_traffic(gateway: Gateway, emulator: EmulatorServer) -> None:
    emulator.state.fault("stall_before_headers", seconds=60, times=None)

    async with Listener(), traffic(gateway, emulator):
        await wait_for(emulator, 3)
        assert len(gateway.recorder.in_flight) == 3, "one for each conversation"

    assert not gateway.recorder.in_flight
    assert {row.outcome for row in await stored(gateway)} == {"hung_up"}


async def test_some_first_attempts_fail(
    gateway: Gateway, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy_site.demo.traffic.ONE_FAILURE_IN", 1)

    async with Listener(), traffic(gateway, emulator, most_an_hour=3):
        await wait_for(emulator, 6)
        while gateway.recorder.in_flight:
            await asyncio.sleep(0.02)

    rows = await stored(gateway)
    assert {row.status for row in rows} == {200}
    assert any(row.attempts > 1 for row in rows)
