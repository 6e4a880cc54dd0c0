"""Requests that pass through to servers that speak Anthropic's format, each with its own lacks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from accounts.models import Account
from gateway.models import RequestLog
from proxy_site.emulator.compatible import faults
from proxy_site.emulator.delivery.behaviour import refuse, stall_before_headers
from proxy_site.emulator.pretend_model.replies import thinking
from tests.gateway.conftest import a_client, in_database
from tests.gateway.kinds.conftest import MODELS, MODES, add_account, sdk

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
ATTRIBUTION = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=abc"}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}


@pytest.mark.parametrize("mode", MODES)
async def test_each_server_gets_what_it_takes(
    mode: str, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, DOCUMENT]},
        {"role": "system", "content": "Be brief."},
    ]
    async with open_gateway(mode) as gateway, sdk(gateway) as client:
        message: Any = None
        for _ in range(2):
            message = await client.beta.messages.create(
                model=MODELS[mode],
                max_tokens=1000,
                messages=messages,
                betas=["context-management-2025-06-27"],
                system=[ATTRIBUTION, {"type": "text", "text": "You help."}],
                context_management={"edits": []},
            )  # type: ignore[call-overload]

    assert message.content[0].type == "text"
    entries = emulator.state.log.entries("messages")
    last = entries[-1]
    assert b"billing-header" not in last.body
    assert "anthropic-beta" not in last.headers
    assert last.headers["x-gateway-hops"] == "1"
    refused = [entry for entry in entries if entry.status != 200]
    assert len(refused) == (0 if mode == "openrouter" else 2)  # what was refused once is not sent again


@pytest.mark.parametrize("stream", [True, False])
async def test_usage_is_told_however_late_it_comes(
    stream: bool, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("openrouter") as gateway, a_client(gateway) as client:
        emulator.state.reply("Hi", behaviour=faults.compatible_wrong_usage())
        body = {"model": MODELS["openrouter"], "max_tokens": 10, "messages": HELLO, "stream": stream}
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200, response.text
    assert '"output_tokens":"many"' not in response.text
    assert '"input_tokens":null' not in response.text


async def test_a_signature_goes_back_to_its_own_server_only(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("compatible") as gateway, sdk(gateway) as client:
        messages, message = list(HELLO), None
        for _ in range(2):
            async with client.messages.stream(
                model=MODELS["compatible"],
                max_tokens=4000,
                messages=messages,
                thinking={"type": "enabled", "budget_tokens": 2000},
            ) as stream:
                message = await stream.get_final_message()
            messages.append(
                {"role": "assistant", "content": [block.model_dump() for block in message.content]}
            )
            messages.append({"role": "user", "content": "More."})

    assert message is not None
    thoughts = [block for block in message.content if block.type == "thinking"]
    assert thoughts
    assert thoughts[0].signature.startswith("other-")
    last = emulator.state.log.entries("messages")[-1]
    assert b"other-" not in last.body
    assert b'"signature"' in last.body


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (faults.compatible_openai_answer(), anthropic.APIStatusError, "no answer in Anthropic's format"),
        (
            refuse(200, "<html><body>Welcome</body></html>"),
            anthropic.APIStatusError,
            "no answer in Anthropic's",
        ),
        (faults.compatible_plain_text(), anthropic.APIStatusError, "ANTHROPIC_BASE_URL"),
        (faults.compatible_redirect("http://127.0.0.1:9/"), anthropic.APIStatusError, "ANTHROPIC_BASE_URL"),
        (faults.compatible_no_credit(), anthropic.APIStatusError, "add credit"),
        (
            faults.compatible_context_size(),
            anthropic.BadRequestError,
            "too long: 20480 tokens > 16384",
        ),
        (faults.compatible_detail(), anthropic.APIStatusError, "Unprocessable Entity"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_no_message_ends_in_a_sentence(
    stream: bool,
    fault: Any,
    error: type[anthropic.APIStatusError],
    words: str,
    emulator: EmulatorServer,
    open_gateway: OpenGateway,
) -> None:
    async with open_gateway("ollama") as gateway, sdk(gateway) as client:
        emulator.state.fault(fault, times=None)
        with pytest.raises(error, match=words):
            await _ask(client, stream=stream)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            refuse(403, {"error": {"message": "Model x is not in the plan of ada@example.com."}}),
            "forbidden (Model x is not in the plan of …)",
        ),
        (
            replace(
                refuse(503, {"type": "error", "error": {"type": "api_error", "message": "No account."}}),
                headers={"x-should-retry": "false"},
            ),
            "says that no retry helps (No account)",
        ),
    ],
)
async def test_what_only_the_server_can_explain_is_told_in_its_words(
    refusal: Any, words: str, emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    body = {"model": MODELS["ollama"], "max_tokens": 10, "messages": HELLO}
    emulator.state.fault(refusal, times=None)
    async with open_gateway("ollama") as gateway, a_client(gateway) as client:
        response = await client.post("/v1/messages", json=body)
        pool = gateway.accounts.pool
        cooldowns = pool.cooldowns.of_account(pool.accounts[0].id)
        async with asyncio.timeout(5):
            while gateway.ledger.waiting or not await RequestLog.objects.aexists():
                await asyncio.sleep(0.02)

    assert response.status_code == 503
    assert response.headers["x-should-retry"] == "false"
    assert f"Compatible server 1: {words}. The operator must" in response.json()["error"]["message"]
    assert [cooldown.reason for cooldown in cooldowns.values()] == [words]
    assert words in (await RequestLog.objects.aget()).error
    assert len(emulator.state.log.entries("messages")) == 1


async def _ask(client: anthropic.AsyncAnthropic, *, stream: bool) -> Any:
    options: Any = {"model": MODELS["ollama"], "max_tokens": 1000, "messages": HELLO}
    if not stream:
        return await client.messages.create(**options)
    async with client.messages.stream(**options) as answer:
        return await answer.get_final_message()


async def test_a_redirect_gets_no_key(emulator: EmulatorServer, open_gateway: OpenGateway) -> None:
    async with open_gateway("ollama") as gateway, sdk(gateway) as client:
        emulator.state.fault(faults.compatible_redirect(emulator.trap_url), times=None)
        with pytest.raises(anthropic.APIStatusError):
            await _ask(client, stream=False)

    assert emulator.state.leaks == []


async def test_a_loop_ends_at_the_gateway_itself(open_gateway: OpenGateway) -> None:
    async with open_gateway("ollama") as gateway, a_client(gateway) as client:
        body = {"model": MODELS["ollama"], "max_tokens": 10, "messages": HELLO}
        response = await client.post("/v1/messages", json=body, headers={"x-gateway-hops": "6"})

    assert response.status_code == 508
    assert response.headers["x-should-retry"] == "false"
    assert response.json()["error"]["type"] == "api_error"


async def test_a_web_search_that_nobody_can_make_is_told(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    tools: Any = [{"type": "web_search_20250305", "name": "web_search"}]
    async with (
        open_gateway("ollama") as gateway,
        sdk(gateway) as client,
        client.messages.stream(
            model=MODELS["ollama"],
            max_tokens=1000,
            tools=tools,
            messages=[{"role": "user", "content": "Perform a web search for the query: gateways"}],
        ) as stream,
    ):
        message = await stream.get_final_message()

    kinds = [block.type for block in message.content]
    assert kinds[-1] == "text"
    assert b"web_search_20250305" not in emulator.state.log.entries("messages")[-1].body


async def test_the_gateway_judges_calls_of_a_server_that_does_not(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    body = {
        "model": MODELS["ollama"], "max_tokens": 1000, "messages": HELLO, "stream": True,
        "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
    }  # fmt: skip
    async with open_gateway("ollama") as gateway, a_client(gateway) as client:
        headers = {"anthropic-beta": "dangerous-tool-use-2026-01-01"}
        response = await client.post("/v1/messages", json=body, headers=headers)

    assert response.status_code == 200, response.text
    assert '"safeguard_results"' in response.text


async def test_the_other_style_of_key_is_tried_once_and_kept(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("compatible") as gateway, a_client(gateway) as client:
        emulator.state.fault(refuse(401, {"error": {"message": "No key", "type": "auth"}}), times=1)
        body = {"model": MODELS["compatible"], "max_tokens": 10, "messages": HELLO}
        responses = [await client.post("/v1/messages", json=body) for _ in range(2)]
        switches = gateway.accounts.pool.accounts[0].switches

    assert [response.status_code for response in responses] == [200, 200]
    assert switches.auth == "x-api-key"
    assert len(emulator.state.log.entries("messages")) == 3


async def test_the_words_of_lm_studio_for_a_role_are_known(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    """lmstudio-ai/lmstudio-bug-tracker#1399"""
    said = "messages.1.role: Invalid discriminator value. Expected 'user' | 'assistant'"
    refusal = refuse(400, {"type": "error", "error": {"type": "invalid_request_error", "message": said}})
    messages = [*HELLO, {"role": "system", "content": "Be brief."}]
    body = {"model": MODELS["ollama"], "max_tokens": 1000, "messages": messages}
    emulator.state.fault(refusal, times=1)
    async with open_gateway("ollama") as gateway, a_client(gateway) as client:
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200, response.text
    assert (await Account.objects.aget()).learned_switches == {"system_messages": False}


async def test_what_was_learned_outlives_a_restart(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    body = {
        "model": MODELS["ollama"], "max_tokens": 1000,
        "messages": [*HELLO, {"role": "system", "content": "Be brief."}],
    }  # fmt: skip
    for kinds in (("ollama",), ()):
        async with open_gateway(*kinds) as gateway, a_client(gateway) as client:
            response = await client.post("/v1/messages", json=body)
            assert response.status_code == 200, response.text

    assert [entry.status for entry in emulator.state.log.entries("messages")] == [400, 200, 200]
    account = await Account.objects.aget()
    assert account.learned_switches == {"system_messages": False}


async def test_what_the_operator_sets_is_not_unlearned(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    await in_database(add_account)(emulator, "ollama")
    await Account.objects.aupdate(
        given_switches={"system_messages": True, "betas": ["context-1m-2025-08-07"], "trusted_usage": True}
    )
    emulator.state.modes["ollama"] = replace(emulator.state.modes["ollama"], takes_betas=True)
    messages = [*HELLO, {"role": "system", "content": "Be brief."}]
    body = {"model": MODELS["ollama"], "max_tokens": 1000, "messages": messages}
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14,context-1m-2025-08-07"}
    async with open_gateway() as gateway, a_client(gateway) as client:
        response = await client.post("/v1/messages", json=body, headers=headers)

    assert response.status_code == 400
    (entry,) = emulator.state.log.entries("messages")
    assert entry.headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert (await Account.objects.aget()).learned_switches == {}


async def test_a_late_signature_and_a_missing_end_are_taken(
    emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway("openrouter") as gateway, a_client(gateway) as client:
        emulator.state.reply(thinking("Hm."), "Hi", behaviour=faults.compatible_late_signature())
        body = {
            "model": MODELS["openrouter"], "max_tokens": 4000, "messages": HELLO, "stream": True,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        }  # fmt: skip
        response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200
    assert '"signature":"other-' in response.text
    assert response.text.rstrip().endswith('{"type":"message_stop"}')


@pytest.mark.parametrize(
    ("mode", "asked", "learned"), [("vllm", 2, {}), ("ollama", 1, {"count_tokens": False})]
)
async def test_a_server_that_counts_tokens_is_asked(
    mode: str, asked: int, learned: dict[str, Any], emulator: EmulatorServer, open_gateway: OpenGateway
) -> None:
    async with open_gateway(mode) as gateway, a_client(gateway) as client:
        await client.get("/v1/models")
        body = {"model": MODELS[mode], "messages": HELLO}
        answers = [await client.post("/v1/messages/count_tokens", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(answer.json()["input_tokens"] > 0 for answer in answers)
    assert len(emulator.state.log.entries("count_tokens")) == asked
    assert (await Account.objects.aget()).learned_switches == learned


async def test_limits_of_an_account_are_kept(emulator: EmulatorServer, open_gateway: OpenGateway) -> None:
    await in_database(add_account)(emulator, "ollama")
    limits = {"context_window": 4096, "max_output_tokens": 512, "max_requests": 1, "first_byte_seconds": 1}
    await Account.objects.aupdate(given_switches=limits)
    body = {"model": MODELS["ollama"], "max_tokens": 1000, "messages": HELLO}
    emulator.state.fault(stall_before_headers(20), times=1)
    async with open_gateway() as gateway, a_client(gateway) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        began = time.monotonic()
        response = await client.post("/v1/messages", json=body)

    assert [(one["max_input_tokens"], one["max_tokens"]) for one in listed] == [(4096, 512)] * 2
    assert response.status_code == 200, response.text
    assert time.monotonic() - began < 15
    assert len(emulator.state.log.entries("messages")) == 2
