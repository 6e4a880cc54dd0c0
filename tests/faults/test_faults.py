"""Each fault of tests/faults/cases.py, while other streams are running, and what must hold afterwards."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from accounts.models import Account
from gateway.relay import failover
from proxy_site.emulator.delivery.behaviour import pace, stall_before_headers, truncated_json
from tests.faults.cases import BEFORE_THE_ANSWER, IN_THE_ANSWER, Fault
from tests.gateway.conftest import a_body, in_database, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx
    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"
OTHER_MODEL = "gemini-2.5-flash"
BYSTANDERS = 3

pytestmark = pytest.mark.usefixtures("_quick_pauses")


@dataclass(frozen=True)
class Asked:
    """A model in one header mode: as clients and accounts know it, and as it is sent."""

    header_mode: str
    listed_id: str
    sent_id: str


MODELS = [
    Asked("antigravity", "claude-sonnet-4-6", "claude-sonnet-4-6"),
    Asked("cli", "gemini-3-flash", "gemini-3-flash-preview"),
]


@pytest.fixture(params=MODELS, ids=lambda asked: asked.header_mode)
def asked(request: pytest.FixtureRequest, live_setting: Callable[[str, Any], None]) -> Asked:
    model: Asked = request.param
    live_setting("GEMINI_HEADER_MODE", model.header_mode)
    return model


@pytest.fixture
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are short so that waits are short; what is waited for stays the same."""
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture(autouse=True)
async def _ada_is_asked_first(google: EmulatorServer, live_setting: Callable[[str, Any], None]) -> None:
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    await in_database(Account.objects.filter(email=ADA).update)(priority=-1)


@asynccontextmanager
async def running_streams(client: httpx.AsyncClient, google: EmulatorServer) -> AsyncIterator[None]:
    """Other people's streams, which must notice nothing."""
    google.state.reply(
        "a b c d e f g h",
        behaviour=pace(chunk_delay=0.02, chunk_count=8),
        model=OTHER_MODEL,
        times=BYSTANDERS,
    )
    body = a_body(model=OTHER_MODEL, stream=True)
    streams = [asyncio.create_task(client.post("/v1/messages", json=body)) for _ in range(BYSTANDERS)]
    async with asyncio.timeout(10):
        while len(google.state.log.entries(model=OTHER_MODEL)) < BYSTANDERS:
            await asyncio.sleep(0.005)
    yield
    for response in await asyncio.gather(*streams):
        assert_whole_stream(response.text)
        assert "a b c d e f g h" in text_of(as_message(response.text))


def events_of(stream: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    return [orjson.loads(line) for line in lines]


def as_message(stream: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    for event in events_of(stream):
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            blocks[-1]["text"] += event["delta"]["text"]
    return {"content": blocks}


def assert_whole_stream(stream: str) -> None:
    """Begun once and ended once."""
    types = [event["type"] for event in events_of(stream)]
    assert types.count("message_start") == 1
    assert types.count("message_stop") == 1
    assert types[-1] == "message_stop"
    assert "error" not in types


async def assert_idle(gateway: Gateway, google: EmulatorServer) -> None:
    """Nothing is held any more."""
    pool = gateway.accounts.pool
    assert [pool.in_flight(account.id) for account in pool.accounts] == [0] * len(pool.accounts)
    assert pool.waiting == 0
    await asyncio.to_thread(google.state.log.wait_until_idle)


def switch_on(case: Fault, asked: Asked, google: EmulatorServer) -> None:
    model = asked.sent_id if case.method is None else None
    account = ADA if case.method is None else None
    if case.method == "token":
        google.state.expire_tokens(ADA)
    google.state.fault(
        case.fault, account=account, model=model, method=case.method, times=case.times, **case.parameters
    )


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("case", BEFORE_THE_ANSWER + IN_THE_ANSWER, ids=lambda case: case.name)
async def test_one_failure_of_one_account(
    case: Fault,
    asked: Asked,
    stream: bool,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
) -> None:
    async with running_streams(client, google):
        switch_on(case, asked, google)
        response = await client.post("/v1/messages", json=a_body(model=asked.listed_id, stream=stream))

    if case.outcome == "answered" and stream:
        assert_whole_stream(response.text)
    assert response.status_code == case.status
    if case.outcome == "error":
        assert response.json()["error"]["type"] == case.error_type
    account = await in_database(Account.objects.get)(email=ADA)
    assert account.state == case.account_state
    cooldowns = gateway.accounts.pool.cooldowns.of_account(account.pk)
    assert (f"{asked.sent_id}:{asked.header_mode}" in cooldowns) is case.cooldowns
    await assert_idle(gateway, google)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_an_answer_that_is_cut_in_the_middle_ends_once(
    asked: Asked, stream: bool, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault(truncated_json(), pace(chunk_delay=0.05, chunk_count=6), model=asked.sent_id)

    async with running_streams(client, google):
        response = await client.post("/v1/messages", json=a_body(model=asked.listed_id, stream=stream))

    if stream:
        types = [event["type"] for event in events_of(response.text)]
        assert types.count("message_start") == 1
        assert types.count("error") + types.count("message_stop") == 1
    else:
        assert response.status_code in {200, 502}
    await assert_idle(gateway, google)


async def test_the_next_account_answers_for_a_silent_one(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, settings: Settings
) -> None:
    gateway.relay._caller._upstreams["google"]._first_byte_seconds = 0.2
    google.state.fault(stall_before_headers(5), account=ADA)

    response = await client.post("/v1/messages", json=a_body(stream=True))

    assert_whole_stream(response.text)
    await assert_idle(gateway, google)


async def test_an_account_disabled_in_use_finishes_its_requests(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.reply("a b c d e f g h", behaviour=pace(chunk_delay=0.2, chunk_count=8), account=ADA)
    answering = asyncio.create_task(client.post("/v1/messages", json=a_body(stream=True)))
    await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.purpose is not None and entry.chunks_sent > 0
    )

    ada = await in_database(Account.objects.get)(email=ADA)
    ada.enabled = False
    await in_database(ada.save)()
    await asyncio.sleep(0.7)
    next_one = await client.post("/v1/messages", json=a_body())

    assert_whole_stream((await answering).text)
    assert next_one.status_code == 200
    assert google.state.log.generations()[-1].account != ADA
    await assert_idle(gateway, google)


async def test_an_account_removed_in_use_finishes_its_requests(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.reply("a b c d e f g h", behaviour=pace(chunk_delay=0.2, chunk_count=8), account=ADA)
    answering = asyncio.create_task(client.post("/v1/messages", json=a_body(stream=True)))
    await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.purpose is not None and entry.chunks_sent > 0
    )

    ada = await in_database(Account.objects.get)(email=ADA)
    await in_database(ada.delete)()
    await asyncio.sleep(0.7)

    assert_whole_stream((await answering).text)
    await assert_idle(gateway, google)


async def test_the_last_account_fails_in_the_middle_of_a_request(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("account_disabled", times=None)

    response = await client.post("/v1/messages", json=a_body())

    assert response.status_code == 503
    assert response.headers["x-should-retry"] == "false"
    assert "3 accounts tried" in response.json()["error"]["message"]
    assert gateway.accounts.pool.accounts == []


async def test_attempts_are_recorded_with_what_was_done_next(
    asked: Asked, client: httpx.AsyncClient, google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    google.state.fault("quota_exhausted", account=ADA)
    body = a_body(model=asked.listed_id)

    await client.post("/v1/messages", json=body, headers={"x-request-id": "req-1"})

    line = next(line for line in caplog.messages if "next account" in line)
    assert line.startswith(f"{ADA} for {asked.listed_id} at http://127.0.0.1:")
    assert "quota, back at" in line
    assert line.endswith("→ next account")
