"""A thousand complete streams over five accounts that reach their limits all the time."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from proxy_site.emulator.accounts import sample_account, sample_accounts
from proxy_site.emulator.delivery.behaviour import Behaviour, pace, quota_exhausted, rate_limited
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.faults.test_faults import as_message, assert_idle, assert_whole_stream
from tests.gateway.conftest import a_body, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from gateway.service import Gateway
    from proxy_site.emulator.log import Entry

SEED = 5
STREAMS = 1_000
AT_ONCE = 40
REQUESTS_BETWEEN_LIMITS = (30, 70)
COOLDOWN_SECONDS = 4.0
"""Longer than what is waited out with the same account (model_call.SHORT_LIMIT_SECONDS)."""
LONGEST_SECONDS = 60
MODEL = "claude-sonnet-4-6"


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    accounts = [
        *sample_accounts(),
        sample_account("mary@example.com", "Mary Jackson", "g1-pro-tier"),
        sample_account("niklaus@example.com", "Niklaus Wirth", "g1-pro-tier"),
    ]
    with EmulatorServer(EmulatorState(accounts=accounts, log_size=10 * STREAMS)) as server:
        server.state.lift_quotas()
        server.state.pace = pace(chunk_delay=0.005, chunk_count=5)
        yield server


LIMITS: list[Callable[[], Behaviour]] = [
    lambda: rate_limited(delay=COOLDOWN_SECONDS),
    lambda: quota_exhausted(reset_after=COOLDOWN_SECONDS),
]


def limit_each_account_now_and_then(google: EmulatorServer) -> None:
    """After thirty to seventy answers each account refuses one request, again and again."""
    choice = random.Random(SEED)
    for account in google.state.accounts:
        for _ in range(STREAMS // REQUESTS_BETWEEN_LIMITS[0]):
            answered = choice.randint(*REQUESTS_BETWEEN_LIMITS)
            google.state.fault(Behaviour(), account=account.email, model=MODEL, times=answered)
            google.state.fault(choice.choice(LIMITS)(), account=account.email, model=MODEL)


def assert_unused_during_cooldown(refused: Entry, calls: list[Entry]) -> None:
    """Requests that were on their way together with the refused one may have come just after it."""
    assert refused.finished_at is not None
    cools_from, cools_until = refused.finished_at + 0.5, refused.finished_at + COOLDOWN_SECONDS - 0.1
    asked = [call for call in calls if call.account == refused.account]
    assert not [call for call in asked if cools_from < call.received_at < cools_until]


async def test_a_thousand_streams_over_five_accounts_at_their_limits(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: Callable[[str, Any], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 10)
    limit_each_account_now_and_then(google)
    free = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int) -> httpx.Response:
        text = f"This is stream number {number}."
        async with free:
            return await client.post(
                "/v1/messages", json=a_body(stream=True, messages=[{"role": "user", "content": text}])
            )

    async with asyncio.timeout(LONGEST_SECONDS):
        responses = await asyncio.gather(*(ask(number) for number in range(STREAMS)))

    for number, response in enumerate(responses):
        assert response.status_code == 200
        assert_whole_stream(response.text)
        assert f"This is stream number {number}." in text_of(as_message(response.text))
    calls = google.state.log.generations()
    refused = [call for call in calls if call.status == 429]
    assert len(calls) == STREAMS + len(refused)
    assert len(refused) >= STREAMS / REQUESTS_BETWEEN_LIMITS[1]
    assert {call.account for call in refused} == {account.email for account in google.state.accounts}
    switches = [line for line in caplog.messages if line.endswith("→ next account")]
    assert len(switches) == len(refused)
    assert all(MODEL in line and "back at" in line for line in switches)
    for call in refused:
        assert_unused_during_cooldown(call, calls)
    await assert_idle(gateway, google)
