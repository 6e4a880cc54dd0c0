"""A fallback model of another kind of account answers when all accounts of the first are at their limit."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from gateway.models import ModelRoute, RequestAttempt, RequestLog
from proxy_site.emulator.anthropic_api.faults import anthropic_rate_limited
from proxy_site.emulator.gemini_api.faults import gemini_per_day
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.gateway.conftest import a_client
from tests.gateway.kinds.conftest import sdk
from tests.gateway.kinds.test_moving_conversations import TOOL, what_follows

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

OPUS = "claude-opus-4-6-thinking"
"""Of Cloud Code; each of the others is offered by one further kind."""
CHAIN = {
    OPUS: "gemini-3.5-flash",
    "gemini-3.5-flash": "claude-opus-5-5",
    "claude-opus-5-5": "qwen3-coder:30b",
}
KINDS = ("google", "gemini", "anthropic", "ollama")
ACCOUNTS = ("ada@example.com", "Gemini key 1", "Anthropic key 1", "Compatible server 1")
MODELS = (OPUS, *CHAIN.values())
OPTIONS: dict[str, Any] = {
    "model": OPUS,
    "max_tokens": 4000,
    "tools": [TOOL],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}


@pytest.fixture
def chain(transactional_db: None, live_setting: Callable[[str, Any], None]) -> None:
    live_setting("FALLBACK", True)
    for name, fallback in CHAIN.items():
        ModelRoute.objects.create(client_name=name, fallback=fallback)


def exhaust(emulator: EmulatorServer, hops: int) -> None:
    """Let all accounts of the first kinds of the chain be at their limits."""
    faults: tuple[dict[str, Any], ...] = (
        {"fault": "quota_exhausted", "model": OPUS},
        {"fault": gemini_per_day(CHAIN[OPUS]), "provider": "gemini"},
        {"fault": anthropic_rate_limited(600), "provider": "anthropic"},
    )
    for fault in faults[:hops]:
        emulator.state.fault(**fault, times=None)


async def the_rows(gateway: Gateway, count: int) -> list[RequestLog]:
    async with asyncio.timeout(5):
        while gateway.ledger.waiting or await RequestLog.objects.acount() < count:
            await asyncio.sleep(0.02)
    return [row async for row in RequestLog.objects.order_by("id")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("hops", [1, 2, 3])
async def test_the_next_kind_answers_and_is_named(
    hops: int,
    stream: bool,
    chain: None,
    emulator: EmulatorServer,
    open_gateway: OpenGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = {
        "model": OPUS,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": stream,
    }
    exhaust(emulator, hops)
    with caplog.at_level(logging.INFO):
        async with open_gateway(*KINDS) as gateway, a_client(gateway) as client:
            answer = await client.post("/v1/messages", json=body)
            (row,) = await the_rows(gateway, 1)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-upstream-model"] == MODELS[hops]
    assert f'"model":"{OPUS}"' in answer.text.replace('": "', '":"')
    assert (row.account, row.upstream_model, row.client_model) == (ACCOUNTS[hops], MODELS[hops], OPUS)
    assert (row.fallback, row.outcome, row.status) == (True, "answered", 200)
    tries = [one async for one in RequestAttempt.objects.order_by("number")]
    assert [one.model for one in tries] == [OPUS] * 3 + list(MODELS[1 : hops + 1])
    assert {one.account for one in tries[3:]} == set(ACCOUNTS[1 : hops + 1])
    assert [one.reason for one in tries][-1] == "answered"
    assert f"{OPUS} falls back to {CHAIN[OPUS]}" in caplog.text
    assert f"{OPUS} → {MODELS[hops]}, {ACCOUNTS[hops]}: 200 end_turn" in caplog.text


async def test_a_kind_in_cooldown_is_not_asked_again(
    chain: None, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    body = {"model": OPUS, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    exhaust(emulator, 2)
    async with open_gateway(*KINDS) as gateway, a_client(gateway) as client:
        await client.post("/v1/messages", json=body)
        emulator.state.log.clear()
        answer = await client.post("/v1/messages", json=body)

    assert answer.headers["x-upstream-model"] == "claude-opus-5-5"
    assert [entry.provider for entry in emulator.state.log.entries() if entry.method in ASKED] == [
        "anthropic"
    ]


ASKED = ("messages", "generateContent", "streamGenerateContent")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_with_tools_and_signatures_crosses_and_goes_on(
    stream: bool, chain: None, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather like?"}]
    answered: list[str] = []
    async with open_gateway(*KINDS) as gateway, sdk(gateway) as client:
        for hops in range(len(MODELS)):
            exhaust(emulator, hops)
            for reply in (
                [thinking(f"Let {MODELS[hops]} see."), function_call("get_weather", {"city": "Oslo"})],
                ["Sunny."],
            ):
                emulator.state.reply(*reply, model=MODELS[hops])
                options = {**OPTIONS, "messages": messages}
                if stream:
                    async with client.messages.stream(**options) as opened:
                        message = await opened.get_final_message()
                        headers = opened.response.headers
                else:
                    raw = await client.messages.with_raw_response.create(**options)
                    message, headers = await raw.parse(), raw.headers
                content = [block.model_dump(exclude_none=True) for block in message.content]
                messages += [{"role": "assistant", "content": content}, what_follows(content)]
                answered.append(headers["x-upstream-model"])

    assert answered == [MODELS[hops] for hops in (0, 0, 1, 1, 2, 2, 3, 3)]
    refused = [entry.message for entry in emulator.state.log.entries() if entry.status == 400]
    assert refused == []
    thoughts = [one for message in messages[1::2] for one in message["content"] if one["type"] == "thinking"]
    assert len(thoughts) == 4
    assert all(thought["signature"] for thought in thoughts[:3])  # Ollama signs nothing
