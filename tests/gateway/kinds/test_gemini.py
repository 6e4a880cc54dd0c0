"""The official client of Anthropic, answered by the Gemini API."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from accounts.models import Account
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.builders import PNG
from tests.gateway.kinds.conftest import sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anthropic.types import Message

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

FLASH, FLASH_2_5, PRO = "gemini-3.5-flash", "gemini-2.5-flash", "gemini-3.1-pro-preview"
MODELS = pytest.mark.parametrize("model", [FLASH, FLASH_2_5, PRO])
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>").decode()
READ: Any = {
    "name": "Read",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "-A": {"type": "number"}},
        "required": ["file_path"],
    },
}


@pytest.fixture
async def gemini(
    open_gateway: OpenGateway, live_setting: Callable[[str, Any], None]
) -> AsyncIterator[Gateway]:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    async with open_gateway("gemini") as gateway:
        yield gateway


async def ask(gateway: Gateway, *messages: Any, model: str = FLASH, **fields: Any) -> Message:
    said: Any = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    async with sdk(gateway) as client:
        stream = client.messages.stream(model=model, max_tokens=4000, messages=said, **fields)
        async with stream as events:
            return await events.get_final_message()


def blocks_of(message: Message) -> list[dict[str, Any]]:
    return [block.model_dump(exclude_none=True) for block in message.content]


def results_for(message: Message, content: Any = "found") -> dict[str, Any]:
    calls = [block.id for block in message.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": one, "content": content} for one in calls]
    return {"role": "user", "content": results}


def last_parts(emulator: EmulatorServer, turn: int = -1) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = emulator.state.log.generations()[-1].envelope["contents"][turn]["parts"]
    return parts


@MODELS
async def test_text_is_answered(model: str, gemini: Gateway, emulator: EmulatorServer) -> None:
    message = await ask(gemini, "Say hello.", model=model, system="Be brief.")

    assert (message.model, message.stop_reason) == (model, "end_turn")
    assert message.content[-1].type == "text"
    assert message.usage.input_tokens > 0
    call = emulator.state.log.generations()[-1]
    assert (call.provider, call.account, call.model) == ("gemini", "gemini-ada", model)
    assert call.envelope.keys() == {"contents", "systemInstruction", "generationConfig"}


@MODELS
async def test_tools_are_called_in_parallel(model: str, gemini: Gateway, emulator: EmulatorServer) -> None:
    calls = [function_call("Read", {"file_path": name}) for name in ("a.txt", "b.txt")]
    emulator.state.reply(thinking("Two files."), *calls)
    asked = {"role": "user", "content": "Read both."}

    first = await ask(gemini, asked, model=model, tools=[READ], thinking={"type": "adaptive"})
    answered = {"role": "assistant", "content": blocks_of(first)}
    last = await ask(gemini, asked, answered, results_for(first), model=model, tools=[READ])

    assert first.stop_reason == "tool_use"
    assert [block.input for block in first.content if block.type == "tool_use"] == [
        {"file_path": "a.txt"},
        {"file_path": "b.txt"},
    ]
    assert last.stop_reason == "end_turn"
    assert [part["functionResponse"]["name"] for part in last_parts(emulator)] == ["Read", "Read"]


@pytest.mark.parametrize("asked", [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}])
@MODELS
async def test_thinking_is_shown_when_asked_for(model: str, asked: Any, gemini: Gateway) -> None:
    message = await ask(gemini, "Think about it.", model=model, thinking=asked)

    assert [block.type for block in message.content] == ["thinking", "text"]


@MODELS
async def test_thinking_is_left_out_when_it_is_off(model: str, gemini: Gateway) -> None:
    message = await ask(gemini, "Say hello.", model=model, thinking={"type": "disabled"})

    assert [block.type for block in message.content] == ["text"]


@pytest.mark.parametrize(
    ("block_type", "media_type", "data"), [("image", "image/png", PNG), ("document", "application/pdf", PDF)]
)
@MODELS
async def test_files_arrive(
    model: str, block_type: str, media_type: str, data: str, gemini: Gateway, emulator: EmulatorServer
) -> None:
    source = {"type": "base64", "media_type": media_type, "data": data}
    file = {"type": block_type, "source": source}

    await ask(gemini, [file, {"type": "text", "text": "What is it?"}], model=model)

    assert {"inlineData": {"mimeType": media_type, "data": data}} in last_parts(emulator)


async def test_tokens_are_counted_without_a_call(gemini: Gateway, emulator: EmulatorServer) -> None:
    async with sdk(gemini) as client:
        counted = await client.messages.count_tokens(
            model=FLASH, messages=[{"role": "user", "content": "Hello"}], tools=[READ]
        )

    assert counted.input_tokens > 10
    assert emulator.state.log.generations() == []


async def test_thirty_turns_with_tools_end_well(gemini: Gateway, emulator: EmulatorServer) -> None:
    messages: list[Any] = []
    for turn in range(30):
        model = (FLASH, FLASH_2_5, PRO)[turn % 3]
        if turn % 2 == 0:
            emulator.state.reply(thinking("A file."), function_call("Read", {"file_path": f"{turn}.txt"}))
            messages.append({"role": "user", "content": f"Read file {turn}."})
        message = await ask(gemini, *messages, model=model, tools=[READ], thinking={"type": "adaptive"})
        messages.append({"role": "assistant", "content": blocks_of(message)})
        if message.stop_reason == "tool_use":
            messages.append(results_for(message))

    calls = emulator.state.log.generations()
    assert len(calls) == 30
    assert {call.status for call in calls} == {200}


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("gemini_key_invalid", anthropic.APIStatusError, "must replace its key"),
        ("gemini_key_leaked", anthropic.APIStatusError, "must replace its key"),
        ("gemini_location", anthropic.APIStatusError, "from a place where it is offered"),
        ("gemini_suspended", anthropic.APIStatusError, "disabled by its provider"),
        ("gemini_service_disabled", anthropic.APIStatusError, "forbidden"),
        ("gemini_model_not_found", anthropic.NotFoundError, "is not found"),
        ("gemini_per_minute", anthropic.RateLimitError, "rate limit"),
        ("gemini_per_day", anthropic.RateLimitError, "quota"),
        ("gemini_no_quota", anthropic.APIStatusError, "no licence"),
        ("gemini_overloaded", anthropic.APIStatusError, "no capacity"),
    ],
)
async def test_errors_keep_their_meaning(
    fault: str, error: type[anthropic.APIStatusError], words: str, gemini: Gateway, emulator: EmulatorServer
) -> None:
    emulator.state.fault(fault, times=None)

    with pytest.raises(error) as caught:
        await ask(gemini, "Hello")

    assert words in str(caught.value)
    assert "AIza" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("gemini_key_invalid", Account.State.INVALID),
        ("gemini_suspended", Account.State.DISABLED_BY_PROVIDER),
        ("gemini_location", Account.State.OK),
        ("gemini_service_disabled", Account.State.OK),
        ("gemini_no_quota", Account.State.OK),
    ],
)
async def test_only_what_concerns_the_key_takes_it_out(
    fault: str, state: Account.State, gemini: Gateway, emulator: EmulatorServer
) -> None:
    emulator.state.fault(fault)

    with pytest.raises(anthropic.APIStatusError):
        await ask(gemini, "Hello")

    assert (await Account.objects.aget()).state == state


async def test_an_error_within_the_answer_is_told(gemini: Gateway, emulator: EmulatorServer) -> None:
    emulator.state.fault("error_mid_stream")

    with pytest.raises(anthropic.APIStatusError):
        await ask(gemini, "Write about birds in about 300 words.")


async def test_no_key_is_logged(
    gemini: Gateway, emulator: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    emulator.state.fault("gemini_suspended", times=None)

    with pytest.raises(anthropic.APIStatusError):
        await ask(gemini, "Hello")

    assert "AIza-emulator-ada" not in caplog.text
