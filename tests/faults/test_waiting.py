"""When no account is free: who waits, for how long, and what the client sees meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from accounts import service
from accounts.models import Account
from accounts.pool import pool
from gateway.api import serve
from gateway.relay import answer, failover, model_call
from proxy_site.emulator.delivery.behaviour import combine, pace, quota_exhausted, stall_before_headers
from tests.faults.test_faults import assert_idle, assert_whole_stream, events_of
from tests.gateway.conftest import a_body, text_of
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer

    LiveSetting = Callable[[str, Any], None]

ADA, GRACE, LINUS = "ada@example.com", "grace@example.com", "linus@example.com"
MODEL = "claude-sonnet-4-6"
COOLDOWN_SECONDS = 1.0
LONGEST_TEST_SECONDS = 20


@pytest.fixture(autouse=True)
def _every_limit_begins_a_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise limits as short as these are waited out on the spot, with the same account."""
    monkeypatch.setattr(model_call, "SHORT_LIMIT_SECONDS", 0.0)


@pytest.fixture
def _frequent_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "KEEP_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(answer, "KEEP_ALIVE_SECONDS", 0.1)


@pytest.fixture
def only_ada(google: EmulatorServer) -> None:
    """The gateway, which starts after this, has one account."""
    Account.objects.exclude(email=ADA).delete()


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    async with asyncio.timeout(LONGEST_TEST_SECONDS):
        return await client.post("/v1/messages", json=a_body(**changes))


def limit_all(google: EmulatorServer, seconds: float = COOLDOWN_SECONDS) -> None:
    """Each account refuses once and cools down; then all of them answer."""
    for account in google.state.accounts:
        google.state.fault("rate_limited", delay=seconds, account=account.email, model=MODEL)


def most_at_once(entries: list[Entry]) -> int:
    """How many of these requests the emulator had open at the same time."""
    moments = [(entry.received_at, 1) for entry in entries]
    moments += [(entry.finished_at, -1) for entry in entries if entry.finished_at is not None]
    open_now = most = 0
    for _, change in sorted(moments):
        open_now += change
        most = max(most, open_now)
    return most


# All accounts cool down


async def test_a_stream_waits_for_the_first_account_to_return(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    limit_all(google)
    began_at = time.monotonic()

    response = await ask(client, stream=True)

    assert response.status_code == 200
    assert_whole_stream(response.text)
    assert COOLDOWN_SECONDS <= time.monotonic() - began_at < COOLDOWN_SECONDS + 1
    assert [entry.status for entry in google.state.log.generations()] == [429, 429, 429, 200]
    await assert_idle(gateway, google)


@pytest.mark.usefixtures("_frequent_pings")
async def test_a_stream_that_waits_long_is_kept_alive_with_pings(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    limit_all(google)

    response = await ask(client, stream=True)

    types = [event["type"] for event in events_of(response.text)]
    assert types.index("message_start") >= 5
    assert set(types[: types.index("message_start")]) == {"ping"}
    assert_whole_stream(response.text)


@pytest.mark.usefixtures("_frequent_pings")
async def test_a_plain_request_waits_without_output(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    limit_all(google)
    google.state.reply("Here I am.")

    response = await ask(client)

    assert response.status_code == 200
    assert text_of(response.json()) == "Here I am."
    assert "ping" not in response.text


async def test_all_waiting_requests_are_answered_after_the_cooldowns(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    limit_all(google)

    responses = await asyncio.gather(*(ask(client, stream=True) for _ in range(10)))

    for response in responses:
        assert_whole_stream(response.text)
    await assert_idle(gateway, google)


async def test_no_request_waits_for_a_cooldown_that_ends_too_late(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 1000)
    limit_all(google, seconds=5)
    began_at = time.monotonic()

    response = await ask(client)

    assert response.status_code == 429
    assert time.monotonic() - began_at < 0.8
    assert 4 <= int(response.headers["retry-after"]) <= 5


@pytest.mark.usefixtures("_frequent_pings")
async def test_an_error_in_an_open_stream_equals_the_plain_one(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    """The 200 and pings are sent before the last account turns out to cool down for hours."""
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    slowly_exhausted = combine(stall_before_headers(0.2), quota_exhausted())
    google.state.fault(slowly_exhausted, model=MODEL, times=3)

    streamed = await ask(client, stream=True)
    plain = await ask(client)

    types = [event["type"] for event in events_of(streamed.text)]
    assert streamed.status_code == 200
    assert types[0] == "ping"
    assert types.count("error") == 1
    assert types[-1] == "error"
    assert plain.status_code == 429
    assert events_of(streamed.text)[-1]["error"] == plain.json()["error"]


async def test_infinite_retry_waits_longer_than_the_longest_wait(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 100)
    live_setting("INFINITE_RETRY_MODE", True)
    limit_all(google)

    assert (await ask(client)).status_code == 200


async def test_the_wait_ends_at_the_deadline_whatever_it_waits_for(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 500)
    google.state.fault("stall_before_headers", seconds=30, times=None)
    began_at = time.monotonic()

    response = await ask(client)

    assert time.monotonic() - began_at < 1.5
    assert response.status_code == 504
    assert response.json()["error"]["type"] == "timeout_error"
    await assert_idle(gateway, google)


@pytest.mark.usefixtures("_frequent_pings")
async def test_the_deadline_of_an_open_stream_is_an_error_event(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 500)
    google.state.fault("stall_before_headers", seconds=30, times=None)

    response = await ask(client, stream=True)

    last = events_of(response.text)[-1]
    assert response.status_code == 200
    assert last["type"] == "error"
    assert last["error"]["type"] == "timeout_error"


# All accounts are busy


@pytest.mark.usefixtures("only_ada")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_requests_beyond_the_limit_of_one_account_are_answered_one_after_the_other(
    stream: bool,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: LiveSetting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.pace = pace(chunk_delay=0.02, chunk_count=4)

    responses = await asyncio.gather(*(ask(client, stream=stream) for _ in range(5)))

    assert [response.status_code for response in responses] == [200] * 5
    await assert_idle(gateway, google)
    assert len(google.state.log.generations()) == 5
    assert most_at_once(google.state.log.generations()) == 1
    places = [record.args[-1] for record in caplog.records if "waits for an account" in record.msg]  # type: ignore[index]
    assert places == [1, 2, 3, 4]


@pytest.mark.usefixtures("only_ada")
async def test_the_queue_length_is_bounded(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 500)
    google.state.fault("stall_mid_stream", seconds=4, after_chunks=1)
    first = asyncio.create_task(ask(client, stream=True))
    await until_sent(google)

    second = await ask(client)

    assert second.status_code == 429
    assert second.json()["error"]["message"].startswith("No answer began within")
    assert "no account became free" in second.json()["error"]["message"]
    assert second.headers["retry-after"] == "5"
    assert_whole_stream((await first).text)
    await assert_idle(gateway, google)


@pytest.mark.usefixtures("only_ada")
async def test_requests_beyond_the_queue_are_refused_at_once(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    live_setting: LiveSetting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "MAX_WAITING", 1)
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.pace = pace(chunk_delay=0.1, chunk_count=5)

    responses = await asyncio.gather(*(ask(client) for _ in range(4)))

    assert sorted(response.status_code for response in responses) == [200, 200, 529, 529]


@pytest.mark.usefixtures("only_ada")
async def test_with_no_wait_allowed_a_busy_account_is_not_waited_for(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    google.state.fault("stall_mid_stream", seconds=1.0, after_chunks=1)
    first = asyncio.create_task(ask(client, stream=True))
    await until_sent(google)

    second = await ask(client)
    was_still_running = not first.done()
    assert_whole_stream((await first).text)

    assert was_still_running
    assert second.status_code == 429
    assert "busy" in second.json()["error"]["message"]


async def test_a_freed_account_is_leased_at_once(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    """Waiters are woken at once, not at the end of a cooldown, when another account becomes free."""
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.fault("rate_limited", delay=30, account=ADA)
    google.state.fault("rate_limited", delay=30, account=GRACE)
    google.state.pace = pace(chunk_delay=0.05, chunk_count=4)
    began_at = time.monotonic()

    responses = await asyncio.gather(*(ask(client) for _ in range(5)))

    assert [response.status_code for response in responses] == [200] * 5
    assert time.monotonic() - began_at < 5


# The model has no capacity


async def test_the_request_that_begins_a_backoff_waits_briefly(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("capacity_exhausted", delay=COOLDOWN_SECONDS, times=2)
    began_at = time.monotonic()

    response = await ask(client)

    assert response.status_code == 200
    assert COOLDOWN_SECONDS <= time.monotonic() - began_at < COOLDOWN_SECONDS + 1
    assert [entry.status for entry in google.state.log.generations()] == [503, 503, 200]
    known = gateway.accounts.pool
    assert not [
        account for account in known.accounts if known.cooldowns.get((account.id, f"{MODEL}:antigravity"))
    ]


async def test_a_brief_backoff_is_waited_for_once(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.fault("capacity_exhausted", delay=COOLDOWN_SECONDS, times=None)
    began_at = time.monotonic()

    response = await ask(client)

    assert response.status_code == 529
    assert response.headers["retry-after"] == "1"
    assert COOLDOWN_SECONDS <= time.monotonic() - began_at < COOLDOWN_SECONDS + 1


async def test_with_infinite_retry_capacity_is_waited_for_however_long(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("INFINITE_RETRY_MODE", True)
    google.state.fault("capacity_exhausted", delay=6.0, times=2)
    first = asyncio.create_task(ask(client, stream=True))
    await asyncio.to_thread(google.state.log.wait_for, lambda entry: entry.status == 503)
    second = asyncio.create_task(ask(client, stream=True))

    for response in await asyncio.gather(first, second):
        assert_whole_stream(response.text)


@pytest.mark.usefixtures("only_ada")
async def test_a_single_account_waits_for_capacity_too(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("capacity_exhausted", delay=COOLDOWN_SECONDS)

    response = await ask(client, stream=True)

    assert_whole_stream(response.text)
    assert [entry.status for entry in google.state.log.generations()] == [503, 200]


async def test_capacity_is_waited_for_while_others_cool_down_for_hours(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account=ADA)
    google.state.fault("quota_exhausted", account=GRACE)
    google.state.fault("capacity_exhausted", delay=COOLDOWN_SECONDS, account=LINUS)

    response = await ask(client)

    assert response.status_code == 200
    assert google.state.log.generations()[-1].account == LINUS


# Another model before waiting


async def test_a_fallback_model_answers_before_any_wait(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("FALLBACK", True)
    limit_all(google, seconds=5)
    began_at = time.monotonic()

    response = await ask(client)

    assert response.status_code == 200
    assert response.json()["model"] == MODEL
    assert response.headers["x-upstream-model"] != MODEL
    assert time.monotonic() - began_at < 2


async def test_without_a_fallback_the_first_model_is_waited_for(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("FALLBACK", True)
    limit_all(google)
    for account in google.state.accounts:
        for model in ("gemini-3-flash", "gemini-3.1-pro-high", "gemini-3-pro-preview", "gemini-2.5-pro"):
            google.state.fault("quota_exhausted", account=account.email, model=model, times=None)

    response = await ask(client)

    assert response.status_code == 200
    assert response.json()["model"] == MODEL


# The clock is set while a request waits


class Clock:
    """The pool's: the time of day, as far as it has been set."""

    def __init__(self) -> None:
        self.set_forward_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.set_forward_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Comes before the gateway, whose pool goes by it."""
    clock = Clock()
    monkeypatch.setattr(service, "Pool", lambda: pool.Pool(clock))
    return clock


async def test_a_clock_set_forward_ends_the_wait(
    clock: Clock, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    limit_all(google, seconds=30)
    waiting = asyncio.create_task(ask(client))
    await until_waiting(gateway)
    set_at = time.monotonic()

    clock.set_forward_seconds = 60

    assert (await waiting).status_code == 200
    assert time.monotonic() - set_at < pool.LONGEST_SLEEP_SECONDS + 0.5


async def test_a_clock_set_back_does_not_make_a_wait_longer_than_allowed(
    clock: Clock,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: LiveSetting,
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 2000)
    limit_all(google)
    began_at = time.monotonic()
    waiting = asyncio.create_task(ask(client))
    await until_waiting(gateway)

    clock.set_forward_seconds = -3600

    assert (await waiting).status_code in {200, 429}
    assert time.monotonic() - began_at < 2.5
    await assert_idle(gateway, google)


# Google cannot be reached


async def test_when_google_cannot_be_reached_a_few_tries_are_made(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.01)
    settings.CLOUDCODE_ENDPOINTS = [f"http://127.0.0.1:{free_port()}"]

    response = await ask(client)

    assert response.status_code == 502
    assert response.json()["error"]["type"] == "api_error"
    assert "the connection could not be made" in response.json()["error"]["message"]
    await assert_idle(gateway, google)


async def test_the_next_address_is_tried_without_a_cooldown(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [f"http://127.0.0.1:{free_port()}", *settings.CLOUDCODE_ENDPOINTS]

    responses = [await ask(client, stream=True) for _ in range(7)]

    for response in responses:
        assert_whole_stream(response.text)
    known = gateway.accounts.pool
    assert not [
        account for account in known.accounts if known.cooldowns.get((account.id, f"{MODEL}:antigravity"))
    ]


async def until_waiting(gateway: Gateway) -> None:
    async with asyncio.timeout(10):
        while not gateway.accounts.pool.waiting:
            await asyncio.sleep(0.005)


async def until_sent(google: EmulatorServer) -> None:
    await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.model is not None and entry.chunks_sent > 0
    )
