"""What errors tell of limits, tier and project, and how the pool uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from accounts.models import Account
from proxy_site.emulator.delivery.behaviour import error_response
from proxy_site.emulator.gemini_api import errors
from tests.gateway.conftest import a_body, a_client, in_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

FLASH = "gemini-2.5-flash"
BODY = a_body(model=FLASH)


@pytest.fixture(autouse=True)
def do_not_wait(live_setting: Callable[[str, Any], None]) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 3_000)


def a_quota(limit: int, delay: float = 1, **more: Any) -> Any:
    violation = errors.Violation("requests", errors.REQUESTS_PER_MINUTE.id, limit)
    return error_response(errors.quota_exceeded(FLASH, delay, violation, **more))


async def test_a_learned_limit_is_kept_without_a_refusal(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    emulator.state.fault(a_quota(2))
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        answers = [await client.post("/v1/messages", json=BODY) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "learned limit of 2 requests a minute" in answers[3].json()["error"]["message"]
    assert [call.status for call in emulator.state.log.generations()] == [429, 200, 200, 200]


async def test_another_model_has_limits_of_its_own(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    emulator.state.fault(a_quota(1))
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        for _ in range(2):
            await client.post("/v1/messages", json=BODY)

        answer = await client.post("/v1/messages", json=a_body(model="gemini-2.5-flash-lite"))

    assert answer.status_code == 200


async def test_tokens_are_counted_when_they_are_known(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    violation = errors.Violation("input_token_count", errors.TOKENS_PER_MINUTE.id, 50)
    emulator.state.fault(error_response(errors.quota_exceeded(FLASH, 1, violation)))
    long = a_body(model=FLASH, messages=[{"role": "user", "content": "word " * 200}])
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        answers = [await client.post("/v1/messages", json=body) for body in (long, BODY)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert "50 input tokens a minute" in answers[1].json()["error"]["message"]


@pytest.mark.parametrize(("free", "tier"), [(True, "free"), (False, "unknown")])
async def test_the_free_tier_is_learned(
    free: bool, tier: str, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    emulator.state.fault(a_quota(5, free=free))
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        await client.post("/v1/messages", json=BODY)

    assert (await Account.objects.aget()).tier == tier


@pytest.mark.parametrize(("named", "group"), [("", "77"), ("my project", "my project")])
async def test_a_named_project_is_the_quota_group(
    named: str, group: str, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    emulator.state.fault(error_response(errors.service_disabled("77")))
    async with open_gateway("gemini") as gateway, a_client(gateway) as client:
        await in_database(_name_group)(named)
        await gateway.accounts.poll_now()
        await client.post("/v1/messages", json=BODY)

    assert (await Account.objects.aget()).quota_group == group


def _name_group(name: str) -> None:
    account = Account.objects.get()
    account.quota_group = name
    account.save()
