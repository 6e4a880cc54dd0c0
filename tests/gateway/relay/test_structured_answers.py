"""Structured answers, from the client's request to what leaves for the client and for the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.api import serve
from gateway.models import RequestAttempt, RequestLog
from gateway.relay import structured_answers
from proxy_site.emulator.delivery.behaviour import finish, pace, stall_mid_stream
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.gateway.conftest import a_body, a_client, in_database, started_gateway, text_of

if TYPE_CHECKING:
    import httpx

    from gateway.service import Gateway
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"name": "look_up", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}
FITS = {"city": "Oslo", "people": 700000}
IN_WORDS = {"tools": [TOOL]}


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    output_config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    return await client.post("/v1/messages", json=a_body(**{"output_config": output_config, **changes}))


def answered(*answers: Any) -> list[Any]:
    return [orjson.dumps(answer).decode() if isinstance(answer, dict) else answer for answer in answers]


def events_in(response: httpx.Response) -> list[dict[str, Any]]:
    lines = response.text.splitlines()
    return [orjson.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def spent(*entries: Entry) -> tuple[int, int]:
    """Input and output tokens, in Anthropic's sense."""
    usages = [entry.usage for entry in entries]
    read = sum(usage["promptTokenCount"] - usage.get("cachedContentTokenCount", 0) for usage in usages)
    return read, sum(usage["candidatesTokenCount"] for usage in usages)


async def test_claude_answers_through_the_function(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.reply("Here you are.", function_call("give_answer", FITS))

    message = (await ask(client)).json()

    assert message["content"] == [{"type": "text", "text": orjson.dumps(FITS).decode()}]
    assert message["stop_reason"] == "end_turn"


async def test_json_before_the_call_is_not_the_answer(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply('{"city":"Bergen"}', function_call("give_answer", FITS))

    message = (await ask(client)).json()

    assert message["content"] == [{"type": "text", "text": orjson.dumps(FITS).decode()}]


async def test_arguments_that_do_not_fit_are_not_replaced_by_earlier_json(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply('{"city":"Bergen"}', function_call("give_answer", {"town": "Oslo"}))
    google.state.reply(function_call("give_answer", FITS))

    message = (await ask(client)).json()

    corrected = google.state.log.generations()[1].envelope["request"]["contents"]
    assert orjson.loads(text_of(message)) == FITS
    assert corrected[-2]["parts"] == [{"text": '{"town":"Oslo"}'}]


@pytest.mark.parametrize("also_said", [(), (function_call("give_answer", FITS),)])
async def test_a_call_nobody_declared_is_asked_for_once_more(
    also_said: tuple[Any, ...], client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply(function_call("look_up", {"q": "Oslo"}), *also_said)
    google.state.reply(function_call("give_answer", FITS))

    message = (await ask(client)).json()

    assert message["content"] == [{"type": "text", "text": orjson.dumps(FITS).decode()}]
    assert message["stop_reason"] == "end_turn"


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-4-6-thinking", "gemini-3-flash"])
async def test_the_demo_answers_by_the_schema(model: str, client: httpx.AsyncClient) -> None:
    for changes in ({}, IN_WORDS, {"thinking": {"type": "adaptive"}}):
        message = (await ask(client, model=model, **changes)).json()

        assert set(orjson.loads(text_of(message))) == {"city", "people"}


async def test_a_fence_is_removed_before_anything_leaves(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply(f"```json\n{answered(FITS)[0]}\n```")

    response = await ask(client, stream=True, **IN_WORDS)

    deltas = [event["delta"] for event in events_in(response) if event["type"] == "content_block_delta"]
    assert "".join(delta["text"] for delta in deltas) == answered(FITS)[0]
    assert [event["type"] for event in events_in(response)][-2:] == ["message_delta", "message_stop"]


async def test_thinking_leaves_before_the_answer(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.reply(thinking("Hm."), "It is ", answered(FITS)[0])

    message = (
        await ask(client, model="claude-opus-4-6-thinking", max_tokens=9000, thinking={"type": "adaptive"})
    ).json()

    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    assert message["content"][0]["signature"].startswith("claude#")
    assert orjson.loads(text_of(message)) == FITS


async def test_a_wrong_answer_is_asked_for_once_more_and_both_are_paid_for(
    google: EmulatorServer,
) -> None:
    google.state.reply(function_call("give_answer", {"town": "Oslo"}))
    google.state.reply(function_call("give_answer", FITS))

    async with started_gateway() as gateway, a_client(gateway) as client:
        message = (await ask(client)).json()

    first, second = google.state.log.generations()
    corrected = second.envelope["request"]["contents"]
    attempts = await in_database(lambda: list(RequestAttempt.objects.order_by("number")))()
    row = await in_database(RequestLog.objects.get)()
    assert orjson.loads(text_of(message)) == FITS
    assert corrected[-2]["parts"] == [{"text": '{"town":"Oslo"}'}]
    assert "the whole answer: additionalProperties" in corrected[-1]["parts"][0]["text"]
    assert [attempt.reason for attempt in attempts] == [structured_answers.DOES_NOT_FIT, "answered"]
    assert (row.input_tokens, row.output_tokens) == spent(first, second)
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == spent(first, second)


async def test_the_usage_of_a_stream_is_the_sum_from_its_beginning(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply(function_call("give_answer", {"town": "Oslo"}))
    google.state.reply(function_call("give_answer", FITS))

    events = events_in(await ask(client, stream=True))

    starts = [event for event in events if event["type"] == "message_start"]
    (delta,) = [event for event in events if event["type"] == "message_delta"]
    assert len(starts) == 1
    read, _ = spent(*google.state.log.generations())
    assert starts[0]["message"]["usage"]["input_tokens"] == delta["usage"]["input_tokens"] == read


async def test_twice_wrong_is_an_error_that_names_the_place_and_quotes_nothing(
    google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    google.state.reply(*answered({"city": "Oslo", "people": "secretly many"}), times=2)

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client, **IN_WORDS)

    row = await in_database(RequestLog.objects.get)()
    assert response.status_code == 502
    assert response.json()["error"] == {
        "type": "api_error",
        "message": "The model's answer does not fit the schema of output_config.format: people: type.",
    }
    assert len(google.state.log.generations()) == 2
    assert "secretly" not in caplog.text + row.error
    assert "people" not in row.error


async def test_within_a_stream_the_same_error_has_its_status(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("I would rather not.", times=2)

    assert (await ask(client, stream=True, **IN_WORDS)).status_code == 502


async def test_pings_go_on_while_the_answer_is_held(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "KEEP_ALIVE_SECONDS", 0.05)
    google.state.reply(*answered(FITS), behaviour=stall_mid_stream(0.3))

    kinds = [event["type"] for event in events_in(await ask(client, stream=True, **IN_WORDS))]

    assert kinds[:3] == ["ping"] * 3
    assert kinds[-1] == "message_stop"
    assert kinds.count("message_start") == 1


@pytest.mark.parametrize(("reason", "stop_reason"), [("MAX_TOKENS", "max_tokens"), ("SAFETY", "refusal")])
async def test_half_an_answer_leaves_as_it_is(
    reason: str, stop_reason: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply('{"city": "Os', behaviour=finish(reason))

    message = (await ask(client, **IN_WORDS)).json()

    assert (text_of(message), message["stop_reason"]) == ('{"city": "Os', stop_reason)
    assert len(google.state.log.generations()) == 1


async def test_a_call_of_the_clients_tool_is_no_final_answer(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("I look it up.", function_call("look_up", {"q": "Oslo"}))

    message = (await ask(client, **IN_WORDS)).json()

    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert message["stop_reason"] == "tool_use"


async def test_a_schema_that_is_none_is_refused_before_google_is_asked(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    output_config = {"format": {"type": "json_schema", "schema": {"type": "objekt"}}}

    for stream in (False, True):
        response = await ask(client, output_config=output_config, stream=stream)
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("output_config.format.schema: type: ")
    assert google.state.log.generations() == []


async def test_what_is_held_has_a_limit(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structured_answers, "MAX_HELD_CHARACTERS", 100)
    google.state.reply("x" * 200)

    assert (await ask(client, **IN_WORDS)).status_code == 502


async def test_a_held_answer_that_breaks_off_is_said_with_its_status(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault("error_mid_stream", pace(chunk_delay=0.02), after_chunks=1)

    response = await ask(client, stream=True, **IN_WORDS)

    assert response.status_code == 529
    assert all(gateway.accounts.pool.in_flight(account.id) == 0 for account in gateway.accounts.pool.accounts)


async def test_a_client_that_hangs_up_while_the_answer_is_held_frees_the_account(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply(*answered(FITS), behaviour=stall_mid_stream(30))
    asking = asyncio.create_task(ask(client, **IN_WORDS))
    await asyncio.to_thread(
        google.state.log.wait_for, lambda entry: entry.purpose is not None and entry.chunks_sent > 0, 10
    )

    asking.cancel()

    await asyncio.to_thread(google.state.log.wait_until_idle, 10)
