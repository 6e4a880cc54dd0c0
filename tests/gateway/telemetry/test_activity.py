"""Activity events for listeners, through the real channel layer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.telemetry import activity
from gateway.telemetry.activity import Activity, Batch, Listener
from tests.gateway.conftest import a_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"


@pytest.fixture
async def source() -> AsyncIterator[Activity]:
    source = Activity()
    await source.start("7")
    yield source
    await source.stop()


async def next_batch(listener: Listener) -> Batch:
    async with asyncio.timeout(5):
        batch = await listener.next()
    assert batch is not None
    return batch


async def events_until(listener: Listener, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not any(event["kind"] == kind for event in events):
        events += orjson.loads((await next_batch(listener)).events)
    return events


async def until_heard(source: Activity) -> None:
    async with asyncio.timeout(5):
        while not source.has_listeners:
            await asyncio.sleep(0.01)


async def test_without_listeners_nothing_is_collected(source: Activity) -> None:
    source.publish("log", {"message": "into the void"})

    async with Listener() as listener:
        await until_heard(source)
        source.publish("log", {"message": "heard"})
        batch = await next_batch(listener)

    [event] = orjson.loads(batch.events)
    assert (event["message"], batch.number) == ("heard", 1)


async def test_events_that_come_together_leave_together(source: Activity) -> None:
    async with Listener() as listener:
        await until_heard(source)
        for number in range(50):
            source.publish("log", {"number": number})
        batch = await next_batch(listener)

    assert [event["number"] for event in orjson.loads(batch.events)] == list(range(50))
    assert (batch.source, batch.missed) == ("7", 0)


async def test_too_many_events_at_once_are_counted_as_missed(source: Activity) -> None:
    async with Listener() as listener:
        await until_heard(source)
        for _ in range(activity.LARGEST_BATCH + 30):
            source.publish("log", {})
        batch = await next_batch(listener)

    assert len(orjson.loads(batch.events)) == activity.LARGEST_BATCH
    assert batch.missed == 30


async def test_a_listener_that_does_not_read_sees_the_gap(
    source: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "BATCH_SECONDS", 0.0)
    async with Listener() as listener:
        await until_heard(source)
        for _ in range(130):  # the layer holds a hundred for each listener
            source.publish("log", {})
            await asyncio.sleep(0.002)
        numbers = [(await next_batch(listener)).number for _ in range(100)]
        source.publish("log", {})
        after = (await next_batch(listener)).number

    assert numbers == list(range(1, 101))
    assert after > 110  # 131, unless a busy machine sent two events in one batch


async def test_each_listener_gets_all_events(source: Activity) -> None:
    async with Listener() as one, Listener() as other:
        await until_heard(source)
        source.publish("log", {"message": "for all"})

        assert (await next_batch(one)).events == (await next_batch(other)).events


async def test_it_may_be_told_from_another_thread(source: Activity) -> None:
    async with Listener() as listener:
        await until_heard(source)
        await asyncio.to_thread(source.publish, "log", {"message": "from afar"})

        assert "from afar" in (await next_batch(listener)).events


async def test_without_a_listener_nothing_is_published(
    source: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "LISTENER_SECONDS", 0.1)

    async with Listener():
        await until_heard(source)
    await asyncio.sleep(0.2)

    assert not source.has_listeners


async def test_a_requests_events_come_in_order(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("quota_exhausted", account=ADA)

    async with Listener() as listener:
        await until_heard(gateway.activity)
        await client.post("/v1/messages", json=a_body(), headers={"x-request-id": "req-7"})
        events = await events_until(listener, "request_finished")

    of_requests = [event for event in events if "request" in event]
    kinds = [event["kind"] for event in of_requests]
    assert kinds == ["request_started", "attempt_failed", "first_event", "request_finished"]
    assert {event["request"]["request_id"] for event in of_requests} == {"req-7"}
    attempt, last = of_requests[1]["attempt"], of_requests[-1]["request"]
    assert (attempt["account"], attempt["reason"], attempt["decision"]) == (ADA, "quota", "next account")
    assert (last["status"], last["outcome"], last["attempts"]) == (200, "answered", 2)
    assert last["output_tokens"] > 0


async def test_account_changes_and_log_lines_are_events(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    google.state.fault("quota_exhausted", account=ADA)

    async with Listener() as listener:
        await until_heard(gateway.activity)
        await client.post("/v1/messages", json=a_body())
        events = await events_until(listener, "request_finished")

    changes = [event for event in events if event["kind"] == "accounts_changed"]
    [ada] = [one for one in changes[-1]["accounts"] if one["account"] == ADA]
    assert "claude-sonnet-4-6:antigravity" in ada["cooldowns"]
    lines = [event["message"] for event in events if event["kind"] == "log"]
    assert any(line.endswith("→ next account") for line in lines)
