"""What the ledger says of a request, however it went."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.api import serve
from gateway.ledger import usage
from gateway.ledger.recorder import facts
from gateway.ledger.search import attempts_of
from gateway.models import RequestLog
from proxy_site.emulator.delivery.behaviour import pace
from tests.faults.test_hang_ups import Caller
from tests.gateway.conftest import a_body, in_database
from tests.gateway.ledger.builders import a_record

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"
SHAPES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


async def the_row(gateway: Gateway) -> RequestLog:
    async with asyncio.timeout(5):
        while gateway.ledger.waiting or not await RequestLog.objects.aexists():
            await asyncio.sleep(0.02)
    return await RequestLog.objects.aget()


async def attempts() -> list[tuple[str, str]]:
    tries = await in_database(attempts_of)(await RequestLog.objects.aget())
    return [(one.reason, one.decision) for one in tries]


@SHAPES
async def test_an_answer(stream: bool, client: httpx.AsyncClient, gateway: Gateway) -> None:
    headers = {"x-request-id": "req-1", "x-claude-code-session-id": "session-1"}

    response = await client.post("/v1/messages", json=a_body(stream=stream), headers=headers)

    row = await the_row(gateway)
    assert (row.request_id, row.session_id, row.client) == ("req-1", "session-1", "loopback")
    assert (row.client_model, row.upstream_model) == ("claude-sonnet-4-6", "claude-sonnet-4-6")
    assert (row.status, row.problem, row.stop_reason, row.is_stream) == (200, None, "end_turn", stream)
    assert row.account.endswith("@example.com")
    assert row.input_tokens > 0
    assert row.output_tokens > 0
    assert row.response_bytes == len(response.content)
    assert row.first_event_seconds is not None
    assert row.duration_seconds is not None
    assert 0 < row.first_event_seconds <= row.duration_seconds
    assert await attempts() == [("answered", "")]


@SHAPES
async def test_a_failover(
    stream: bool, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("quota_exhausted", account=ADA)
    google.state.fault("rate_limited", delay=0.5)

    await client.post("/v1/messages", json=a_body(stream=stream))

    row = await the_row(gateway)
    assert (row.status, row.problem, row.attempts) == (200, None, 3)
    assert row.waited_seconds >= 0.4
    assert await attempts() == [
        ("quota", "next account"),
        ("rate limit", "same account again, after a wait"),
        ("answered", ""),
    ]


async def test_the_last_error_is_recorded_as_returned_to_the_client(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("quota_exhausted", times=None)

    response = await client.post("/v1/messages", json=a_body())

    await the_row(gateway)
    assert response.status_code == 429
    assert await attempts() == [
        ("quota", "next account"),
        ("quota", "next account"),
        ("quota", "returned to the client"),
    ]


async def test_a_failure_that_is_not_tried_again_was_told_to_the_client(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: Callable[[str, Any], None],
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    google.state.fault("html_502", times=None)

    await client.post("/v1/messages", json=a_body())

    await the_row(gateway)
    assert (await attempts())[-1][1] == "returned to the client"


async def test_unknown_names_are_one_model_in_the_sums(client: httpx.AsyncClient, gateway: Gateway) -> None:
    for number in range(5):
        await client.post("/v1/messages", json=a_body(model=f"nobody-has-this-{number}"))

    async with asyncio.timeout(5):
        while gateway.ledger.waiting or await RequestLog.objects.acount() < 5:
            await asyncio.sleep(0.02)
    rows = [row async for row in RequestLog.objects.order_by("id")]
    assert [row.client_model for row in rows] == [f"nobody-has-this-{number}" for number in range(5)]
    assert {(row.status, row.upstream_model) for row in rows} == {(404, "(unknown names)")}
    used = await in_database(usage.totals_by)("model", rows[0].started_at)
    assert {name: one.requests for name, one in used.items()} == {"(unknown names)": 5}


@SHAPES
async def test_a_refusal_is_kept_without_googles_words(
    stream: bool, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("claude_invalid_request", message="this quotes your prompt")

    await client.post("/v1/messages", json=a_body(stream=stream))

    row = await the_row(gateway)
    assert (row.status, row.problem, row.error) == (400, "invalid_request_error", "")
    assert await attempts() == [("bad request", "returned to the client")]


async def test_a_body_that_cannot_be_read(client: httpx.AsyncClient, gateway: Gateway) -> None:
    await client.post("/v1/messages", content=b"{", headers={"content-type": "application/json"})

    row = await the_row(gateway)
    assert (row.status, row.problem, row.client_model) == (400, "invalid_request_error", "")
    assert row.error.startswith("The body is not valid JSON")
    assert row.request_bytes == 1
    assert await attempts() == []


@SHAPES
async def test_an_answer_that_breaks_off(
    stream: bool, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.pace = pace(chunk_delay=0.05)  # the beginning leaves before the end is known
    google.state.fault("error_mid_stream", after_chunks=2)

    await client.post("/v1/messages", json=a_body(stream=stream))

    row = await the_row(gateway)
    assert row.problem is not None
    assert row.status is not None
    assert row.status >= 500
    assert await attempts() == [("broke off", "")]


@SHAPES
async def test_a_client_that_hangs_up(stream: bool, google: EmulatorServer, gateway: Gateway) -> None:
    google.state.fault("stall_mid_stream", seconds=30, after_chunks=2)

    async with Caller(gateway, stream=stream):
        await asyncio.to_thread(
            google.state.log.wait_for, lambda entry: entry.purpose is not None and entry.chunks_sent > 0
        )

    row = await the_row(gateway)
    assert (row.status, row.problem) == (499, "hung_up")
    assert await attempts() == [("the client hung up", "")]


async def test_a_client_that_hangs_up_before_anybody_was_asked(
    gateway: Gateway, live_setting: Callable[[str, Any], None]
) -> None:
    async with Caller(gateway, stream=True):
        pass

    row = await the_row(gateway)
    assert row.problem == "hung_up"


async def test_a_failure_of_our_own(
    client: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_upstream_headers", lambda answer: 1 / 0)

    response = await client.post("/v1/messages", json=a_body())

    row = await the_row(gateway)
    assert (response.status_code, row.status, row.problem) == (500, 500, "api_error")


async def test_a_caller_without_the_key_leaves_no_row(
    client: httpx.AsyncClient, gateway: Gateway, settings: Settings
) -> None:
    settings.AUTH_TOKEN = "a-key-of-ours"

    await client.post("/v1/messages", json=a_body(), headers={"x-api-key": "another"})
    await client.post("/v1/messages", json=a_body(), headers={"x-api-key": "a-key-of-ours"})

    assert (await the_row(gateway)).client == "AUTH_TOKEN"


async def test_the_model_that_steps_in(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: Callable[[str, Any], None],
) -> None:
    live_setting("FALLBACK", True)
    google.state.fault("quota_exhausted", model="claude-sonnet-4-6", times=None)

    response = await client.post("/v1/messages", json=a_body())

    row = await the_row(gateway)
    assert row.fallback
    assert row.client_model == "claude-sonnet-4-6"
    assert row.upstream_model == response.headers["x-upstream-model"] != "claude-sonnet-4-6"


async def test_nothing_is_kept_when_the_operator_wants_nothing(
    client: httpx.AsyncClient, gateway: Gateway, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("LEDGER_RETENTION_DAYS", 0)

    response = await client.post("/v1/messages", json=a_body())

    assert response.status_code == 200
    assert gateway.ledger.waiting == 0
    assert not await RequestLog.objects.aexists()


def test_log_and_events_use_the_ledgers_names() -> None:
    columns = {column.attname for column in RequestLog._meta.concrete_fields}

    others = {"instance_id", "problem", "cache_read_tokens", "cost"}
    assert set(facts(a_record())) == columns - others | {"outcome", "cached_tokens", "cost_dollars"}
