"""What keys cost, and budgets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from accounts.models import Account, Cooldown
from gateway.models import HourlyUsage, RequestLog
from gateway.pricing.price_list import shipped_prices
from gateway.pricing.prices import NANO_DOLLARS, BilledTokens
from tests.gateway.conftest import a_body, a_client, in_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.service import Gateway
    from tests.gateway.kinds.conftest import OpenGateway


async def the_row(gateway: Gateway) -> RequestLog:
    async with asyncio.timeout(5):
        while gateway.ledger.waiting or not await RequestLog.objects.aexists():
            await asyncio.sleep(0.02)
    return await RequestLog.objects.aget()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_gemini_key_pays_by_tokens(stream: bool, open_gateway: OpenGateway) -> None:
    body = a_body(model="gemini-2.5-flash", stream=stream)
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        await client.post("/v1/messages", json=body)
        row = await the_row(gateway)

    assert row.account == "Gemini key 1"
    assert row.cost == row.input_tokens * 300 + row.output_tokens * 2_500 > 0


async def test_an_unpaid_key_pays_nothing(open_gateway: OpenGateway) -> None:
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        account = await Account.objects.aget()
        account.tier = "free"
        await account.asave()
        await gateway.accounts.poll_now()
        await client.post("/v1/messages", json=a_body(model="gemini-2.5-flash"))
        row = await the_row(gateway)

    assert (row.cost, row.unpriced) == (0, 0)


async def test_an_anthropic_key_pays_for_what_it_caches(open_gateway: OpenGateway) -> None:
    system = [{"type": "text", "text": "word " * 5_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    body = a_body(model="claude-sonnet-4-6", system=system)
    async with open_gateway("anthropic") as gateway, a_client(gateway) as client:
        answer = await client.post("/v1/messages", json=body)
        row = await the_row(gateway)

    used = answer.json()["usage"]
    price = shipped_prices().of("anthropic", "claude-sonnet-4-6")
    assert price is not None
    assert used["cache_creation"]["ephemeral_1h_input_tokens"] > 0
    assert row.cost == price.cost(
        BilledTokens(
            used["input_tokens"],
            used["output_tokens"],
            used["cache_read_input_tokens"],
            used["cache_creation"]["ephemeral_5m_input_tokens"],
            used["cache_creation"]["ephemeral_1h_input_tokens"],
        )
    )


async def test_a_server_without_a_price_costs_an_unknown_sum(open_gateway: OpenGateway) -> None:
    async with open_gateway("compatible") as gateway, a_client(gateway) as client:
        await client.post("/v1/messages", json=a_body())
        row = await the_row(gateway)

    assert (row.cost, row.unpriced) == (None, 1)


async def test_an_account_rests_when_its_budget_is_used_up(
    open_gateway: OpenGateway, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    body = a_body(model="gemini-2.5-flash")
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        await in_database(_spend)("Gemini key 1", 5)
        await gateway.budgets.check()
        refused = await client.post("/v1/messages", json=body)
        await Account.objects.aupdate(budget_day=6)
        await gateway.budgets.check()
        answered = await client.post("/v1/messages", json=body)

    assert refused.status_code == 429
    assert "budget of $5.00 a day used up" in refused.json()["error"]["message"]
    assert answered.status_code == 200
    assert not await Cooldown.objects.aexists()


def _spend(name: str, dollars: int) -> None:
    Account.objects.update(budget_day=dollars)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    HourlyUsage.objects.create(
        hour=hour, model="m", account=name, client="c", requests=1, cost=dollars * NANO_DOLLARS
    )
