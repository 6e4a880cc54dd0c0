from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway.telemetry import heartbeat
from gateway.telemetry.log_format import formatter
from tests.gateway.conftest import a_body, a_client, started_gateway

if TYPE_CHECKING:
    import httpx
    import pytest

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer


async def test_the_heartbeat_logs_a_line(
    google: EmulatorServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.05)

    async with started_gateway():
        await asyncio.sleep(0.2)

    beats = [line for line in caplog.messages if line.startswith("Heartbeat")]
    assert len(beats) >= 2
    assert beats[-1] == (
        "Heartbeat: 0 requests in flight, 0 waiting for an account; of 3 accounts 3 at no limit, "
        "0 at a limit for some model, 0 cannot be used; 0 rows of the ledger to be written"
    )


async def test_grep_leaves_the_heartbeat_out_in_both_formats(
    google: EmulatorServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.05)

    async with started_gateway() as gateway, a_client(gateway) as client:
        await client.post("/v1/messages", json=a_body())
        await asyncio.sleep(0.1)

    for log_format in ("text", "json"):
        written = [formatter(log_format, "stdout").format(record) for record in caplog.records]
        left = [line for line in "\n".join(written).split("\n") if "Heartbeat" not in line]
        assert len(left) < len(written)
        assert [line for line in left if "200 end_turn; " in line]
        assert not [line for line in left if "in flight" in line]


async def test_requests_under_way_are_counted_and_forgotten_when_they_end(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("stall_before_headers", seconds=0.3)

    asking = asyncio.create_task(client.post("/v1/messages", json=a_body()))
    await asyncio.sleep(0.15)
    meanwhile = (await client.get("/health")).json()["requests"]
    said = gateway._heartbeat.heartbeat()
    await asking

    assert meanwhile == {"inFlight": 1, "waiting": 0}
    assert said.startswith("Heartbeat: 1 request in flight, ")
    assert not gateway.recorder.in_flight


async def test_each_request_is_one_line_when_it_has_ended(
    client: httpx.AsyncClient, google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    google.state.fault("quota_exhausted", account="ada@example.com")

    await client.post("/v1/messages", json=a_body())

    [line] = [line for line in caplog.messages if "end_turn" in line]
    assert line.startswith("loopback claude-sonnet-4-6 → claude-sonnet-4-6, ")
    assert ": 200 end_turn; " in line
    assert line.endswith("2 attempts")
