"""Requests that pass through to Anthropic's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from proxy_site.emulator.anthropic_api import faults
from tests.gateway.conftest import a_client
from tests.gateway.kinds.conftest import sdk

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

SONNET = "claude-sonnet-4-6"
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]


def sent(emulator: EmulatorServer) -> Any:
    return emulator.state.log.entries("messages", provider="anthropic")[-1]


async def test_a_whole_message_comes_back_as_it_was_sent(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        message = await client.messages.create(model=SONNET, max_tokens=1000, messages=HELLO)

    assert (message.model, message.stop_reason) == (SONNET, "end_turn")
    assert message.content[0].type == "text"
    assert message.usage.cache_creation is not None  # only the upstream's own usage has it
    assert sent(emulator).headers["anthropic-version"] == "2026-10-21"


async def test_the_body_is_sent_byte_for_byte(emulator: EmulatorServer, open_gateway: OpenGateway) -> None:
    body = (
        b'{ "model":"claude-sonnet-4-6","max_tokens" : 1000,"stream":true, "metadata":{"user_id":"u\\u00e9"},'
        b'"messages":[{"role":"user","content":[{"type":"text","text":"Hello \\ud83d\\ude00 1.0"}]}] }'
    )
    async with open_gateway("anthropic") as gateway, a_client(gateway) as client:
        response = await client.post(
            "/v1/messages?beta=true",
            content=body,
            headers={
                "content-type": "application/json",
                "anthropic-version": "2026-10-21",
                "anthropic-beta": "context-management-2025-06-27, oauth-2025-04-20",
                "x-api-key": "client",
                "x-claude-code-session-id": "s",
                "x-forwarded-for": "192.0.2.1",
            },
        )

    assert response.status_code == 200, response.text
    entry = sent(emulator)
    assert entry.body == body
    assert entry.account == "anthropic-ada"
    assert entry.headers["anthropic-beta"] == "context-management-2025-06-27"
    assert "Authorization" not in entry.headers
    assert b'"type":"message_stop"' in response.content
    assert response.headers["x-upstream-request-id"].startswith("req_01")


async def test_a_stream_of_thinking_and_calls_is_understood(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    tool: Any = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        messages = list(HELLO)
        for _ in range(3):
            async with client.messages.stream(
                model=SONNET,
                max_tokens=4000,
                messages=messages,
                tools=[tool],
                thinking={"type": "enabled", "budget_tokens": 2000},
            ) as stream:
                message = await stream.get_final_message()
            answer: list[Any] = [block.model_dump(exclude_none=True) for block in message.content]
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "Sunny"}
                for block in answer
                if block["type"] == "tool_use"
            ]
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": results or "More."},
            ]

    assert len(emulator.state.log.entries("messages", provider="anthropic")) == 3


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (faults.anthropic_invalid_request("max_tokens: too many"), anthropic.BadRequestError, "too many"),
        (faults.anthropic_model_not_found(), anthropic.NotFoundError, "model"),
        (faults.anthropic_conflict(), anthropic.ConflictError, "conflicts"),
        (faults.anthropic_too_large(), anthropic.RequestTooLargeError, "maximum size"),
        (faults.anthropic_rate_limited(400), anthropic.RateLimitError, "rate limit"),
        (faults.anthropic_spend_limit(), anthropic.RateLimitError, "spend limit"),
        (faults.anthropic_overloaded(), anthropic.OverloadedError, "no capacity"),
        (faults.anthropic_overloaded_in_stream(), anthropic.OverloadedError, "no capacity"),
        (faults.anthropic_key_invalid(), anthropic.APIStatusError, "replace its key"),
        (faults.anthropic_credit_too_low(), anthropic.APIStatusError, "add credit"),
    ],
)
async def test_errors_keep_their_meaning(
    fault: Any,
    error: type[anthropic.APIStatusError],
    words: str,
    emulator: EmulatorServer,
    open_gateway: OpenGateway,
) -> None:
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        emulator.state.fault(fault, times=None)
        with pytest.raises(error, match=words) as raised:
            async with client.messages.stream(model=SONNET, max_tokens=1000, messages=HELLO) as stream:
                await stream.get_final_message()

    assert raised.value.body["type"] == "error"  # type: ignore[index]


async def test_an_error_of_the_request_keeps_type_and_id(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("anthropic") as gateway, a_client(gateway) as client:
        emulator.state.fault(faults.anthropic_conflict(), times=1)
        body = {"model": SONNET, "max_tokens": 10, "messages": HELLO}
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 409
    assert response.json()["error"]["type"] == "conflict_error"
    assert response.json()["request_id"].startswith("req_01")


async def test_limits_are_learned_from_answers(emulator: EmulatorServer, open_gateway: OpenGateway) -> None:
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        response = await client.messages.with_raw_response.create(
            model=SONNET, max_tokens=1000, messages=HELLO
        )

    assert not [name for name in response.headers if name.startswith("anthropic-")]
    [account] = gateway.accounts.pool.accounts
    [limits] = gateway.accounts.pool.learned_limits(account.id).values()
    assert limits.keys() == {"requests", "input_tokens"}


async def test_anthropic_counts_what_only_it_would_answer(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        counted = await client.messages.count_tokens(model=SONNET, messages=HELLO)
        emulator.state.fault("anthropic_internal", times=None)
        estimated = await client.messages.count_tokens(model=SONNET, messages=HELLO)

    assert counted.input_tokens > 0
    assert estimated.input_tokens > 0
    assert len(emulator.state.log.entries("count_tokens", provider="anthropic")) == 2


async def test_a_web_search_is_anthropics_own(emulator: EmulatorServer, open_gateway: OpenGateway) -> None:
    tools: Any = [{"type": "web_search_20250305", "name": "web_search"}]
    async with open_gateway("anthropic") as gateway, sdk(gateway) as client:
        await client.messages.create(model=SONNET, max_tokens=1000, messages=HELLO, tools=tools)

    assert b"web_search_20250305" in sent(emulator).body
