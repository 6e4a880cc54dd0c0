"""Conversations that move between kinds of account."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import pytest

from proxy_site.emulator.anthropic_api import faults
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.gateway.conftest import a_client
from tests.gateway.kinds.conftest import sdk

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

SONNET = "claude-sonnet-4-6"
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class OneKindAtATime:
    """Lets the pool use only the accounts of one kind."""

    def __init__(self, gateway: Gateway) -> None:
        self._pool = gateway.accounts.pool
        self._all = list(self._pool.accounts)

    def use(self, kind: str) -> None:
        self._pool.replace([one for one in self._all if one.kind == kind])


async def turn(
    client: AsyncAnthropic, messages: list[Any], model: str, *, is_stream: bool
) -> list[dict[str, Any]]:
    options: Any = {
        "model": model, "max_tokens": 4000, "messages": messages, "tools": [TOOL],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }  # fmt: skip
    if is_stream:
        async with client.messages.stream(**options) as stream:
            message = await stream.get_final_message()
    else:
        message = await client.messages.create(**options)
    return [block.model_dump(exclude_none=True) for block in message.content]


def what_follows(content: list[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Sunny"}
        for block in content
        if block["type"] == "tool_use"
    ]
    return {"role": "user", "content": results or "And then?"}


@pytest.mark.parametrize("is_stream", [True, False])
async def test_thirty_turns_with_a_kind_after_the_other(
    is_stream: bool, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    kinds = ("google", "anthropic", "gemini", "compatible")
    models = {"gemini": "gemini-3-flash-preview"}
    async with open_gateway(*kinds) as gateway, sdk(gateway) as client:
        accounts = OneKindAtATime(gateway)
        messages: list[Any] = [{"role": "user", "content": "What is the weather like?"}]
        for number, kind in enumerate(islice(cycle(kinds), 30)):
            accounts.use(kind)
            if number % 3:
                emulator.state.reply(thinking("Let me see."), function_call("get_weather", {"city": "Oslo"}))
            else:
                emulator.state.reply(thinking("Well."), "It is fine.")
            content = await turn(client, messages, models.get(kind, SONNET), is_stream=is_stream)
            assert content, (number, kind)
            messages += [{"role": "assistant", "content": content}, what_follows(content)]

    assert len(messages) == 61


async def test_another_kind_answers_when_one_is_at_its_limit(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("anthropic", "compatible") as gateway, a_client(gateway) as client:
        emulator.state.fault(faults.anthropic_spend_limit(), account="anthropic-ada", times=None)
        body = {"model": SONNET, "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
        responses = [await client.post("/v1/messages", json=body) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 200]
    asked = [entry.provider for entry in emulator.state.log.entries("messages")]
    assert asked.count("anthropic") <= 1  # its limit lasts until the date it has named


async def test_an_overload_as_first_event_is_answered_by_another_kind(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("anthropic", "google") as gateway, a_client(gateway) as client:
        accounts = OneKindAtATime(gateway)
        accounts.use("anthropic")
        emulator.state.fault(faults.anthropic_overloaded_in_stream(), account="anthropic-ada", times=None)
        everyone = accounts._all
        gateway.accounts.pool.replace(everyone)
        body = {
            "model": SONNET, "max_tokens": 10, "stream": True,
            "messages": [{"role": "user", "content": "Hello"}],
        }  # fmt: skip
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200
    assert "overloaded" not in response.text


async def test_models_of_all_kinds_are_listed_with_their_owner(open_gateway: OpenGateway) -> None:
    async with open_gateway("anthropic", "ollama") as gateway, a_client(gateway) as client:
        listed = (await client.get("/v1/models?limit=100")).json()["data"]
        readiness = (await client.get("/health")).json()

    owners = {model["id"]: model["owned_by"] for model in listed}
    assert owners["qwen3-coder:30b"] == "compatible"
    assert owners["claude-opus-5-5"] == "anthropic"
    assert readiness["status"] == "ok"


async def test_a_name_that_no_kind_offers_is_unknown(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("ollama") as gateway, a_client(gateway) as client:
        body = {"model": "my-model", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 404
    assert "qwen3-coder:30b" in response.json()["error"]["message"]
    assert not emulator.state.log.entries("messages")
