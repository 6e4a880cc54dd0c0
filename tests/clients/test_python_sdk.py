"""The official Python SDK against a live gateway: what it builds from our answers is what was said."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.clients.conversations import accepted_calls, parts_of, signatures, thought_texts

if TYPE_CHECKING:
    from anthropic.types import MessageParam

    from proxy_site.emulator.server import EmulatorServer
    from tests.live_gateway import LiveGateway

CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-2.5-pro"
HELLO: list[MessageParam] = [{"role": "user", "content": "Hello"}]
RED_DOT_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
CONCURRENT_STREAMS = 50


def test_a_message_is_created(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("Good morning.")

    message = client.messages.create(model=CLAUDE, max_tokens=100, messages=HELLO)

    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Good morning."}]
    assert (message.role, message.model, message.stop_reason) == ("assistant", CLAUDE, "end_turn")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0
    assert message._request_id is not None


def test_a_stream_says_the_same_word_by_word(client: Anthropic, google: EmulatorServer) -> None:
    said = "  Blanks at both ends, naïve ünïcödé, 漢字 and 👩‍👩‍👧‍👦 \n\n and new lines \n"
    google.state.reply(said, times=2)

    with client.messages.stream(model=CLAUDE, max_tokens=1000, messages=HELLO) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    created = client.messages.create(model=CLAUDE, max_tokens=1000, messages=HELLO)

    assert streamed == said
    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in created.content]
    assert final.stop_reason == created.stop_reason == "end_turn"
    assert final.usage.output_tokens == created.usage.output_tokens


def test_raw_events_come_in_anthropics_order(client: Anthropic, google: EmulatorServer) -> None:
    with client.messages.create(model=CLAUDE, max_tokens=1000, messages=HELLO, stream=True) as stream:
        kinds = [event.type for event in stream]

    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_thinking_is_shown_before_the_answer(model: str, client: Anthropic, google: EmulatorServer) -> None:
    with client.messages.stream(
        model=model, max_tokens=8000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 2000}
    ) as stream:
        thinking = "".join(event.thinking for event in stream if event.type == "thinking")
        message = stream.get_final_message()

    first, *rest = message.content
    assert first.type == "thinking"
    assert first.thinking == thinking != ""
    assert [block.type for block in rest] == ["text"]


def test_the_thinking_of_a_claude_model_is_signed(client: Anthropic, google: EmulatorServer) -> None:
    message = client.messages.create(
        model=CLAUDE, max_tokens=8000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 2000}
    )

    thinking = message.content[0]
    assert thinking.type == "thinking"
    assert len(thinking.signature) > 50


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_its_own_thinking_is_taken_back(model: str, client: Anthropic, google: EmulatorServer) -> None:
    first = client.messages.create(
        model=model, max_tokens=8000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 2000}
    )

    history: list[MessageParam] = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "And now?"},
    ]
    second = client.messages.create(
        model=model, max_tokens=8000, messages=history, thinking={"type": "enabled", "budget_tokens": 2000}
    )

    assert second.stop_reason == "end_turn"
    assert len(accepted_calls(google)) == 2


def test_adaptive_thinking_thinks(client: Anthropic, google: EmulatorServer) -> None:
    message = client.messages.create(
        model=CLAUDE, max_tokens=8000, messages=HELLO, thinking={"type": "adaptive"}
    )

    assert [block.type for block in message.content] == ["thinking", "text"]


def test_no_thinking_is_shown_when_it_is_switched_off(client: Anthropic, google: EmulatorServer) -> None:
    message = client.messages.create(
        model="claude-sonnet-4-6", max_tokens=8000, messages=HELLO, thinking={"type": "disabled"}
    )

    assert [block.type for block in message.content] == ["text"]
    [call] = accepted_calls(google)
    assert (thought_texts(call), signatures(call)) == ([], [])


def test_an_image_arrives_as_it_was(client: Anthropic, google: EmulatorServer) -> None:
    encoded = base64.b64encode(RED_DOT_PNG).decode()

    client.messages.create(
        model=GEMINI,
        max_tokens=100,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": encoded},
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
    )

    [call] = accepted_calls(google)
    assert {"inlineData": {"mimeType": "image/png", "data": encoded}} in parts_of(call)


def test_system_prompt_and_limits_arrive(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("One two three STOP four five")

    message = client.messages.create(
        model=GEMINI,
        max_tokens=50,
        system=[{"type": "text", "text": "Count.", "cache_control": {"type": "ephemeral"}}],
        messages=HELLO,
        stop_sequences=["STOP"],
        extra_body={"temperature": 0.5},
        extra_headers={"anthropic-version": "2023-06-01"},
    )

    [call] = accepted_calls(google)
    request = call.envelope["request"]
    assert any("Count." in part["text"] for part in request["systemInstruction"]["parts"])
    assert request["generationConfig"]["temperature"] == 0.5
    assert "STOP" not in "".join(block.text for block in message.content if block.type == "text")


def test_max_tokens_ends_the_answer(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("many words " * 200)

    message = client.messages.create(model="claude-sonnet-4-6", max_tokens=20, messages=HELLO)

    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens <= 20


def test_tokens_are_counted(client: Anthropic) -> None:
    short = client.messages.count_tokens(model=CLAUDE, messages=HELLO)
    long = client.messages.count_tokens(
        model=CLAUDE, messages=[{"role": "user", "content": "many words " * 500}]
    )

    assert 0 < short.input_tokens < 50
    assert 700 < long.input_tokens < 1500


def test_models_are_listed_page_by_page_and_found_one_by_one(client: Anthropic) -> None:
    all_of_them = [model.id for model in client.models.list(limit=3)]

    assert {"claude-sonnet-4-6", "gemini-2.5-pro"} <= set(all_of_them)
    assert len(all_of_them) == len(set(all_of_them))
    assert client.models.retrieve("claude-sonnet-4-6").display_name == "Claude Sonnet 4.6"


def test_models_are_found_by_the_names_that_claude_code_uses(client: Anthropic) -> None:
    assert client.models.retrieve("claude-opus-5-5").id == "claude-opus-5-5"


def test_a_structured_answer_follows_its_schema(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply('{"city": "Paris"}')
    schema: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}

    message = client.messages.create(
        model=GEMINI,
        max_tokens=500,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )

    [text] = message.content
    assert text.type == "text"
    assert text.text == '{"city": "Paris"}'
    assert accepted_calls(google)[0].envelope["request"]["generationConfig"]["responseMimeType"]


async def test_fifty_streams_at_once_each_get_their_own_answer(
    shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    async with AsyncAnthropic(base_url=shared_gateway.url, api_key="anything", max_retries=0) as client:
        numbers = range(CONCURRENT_STREAMS)

        answers = await asyncio.gather(*[answer_to(client, f"stream number {n}.") for n in numbers])

    assert all(f'"stream number {n}."' in answer for n, answer in zip(numbers, answers, strict=True))
    assert len(accepted_calls(google)) == CONCURRENT_STREAMS


async def answer_to(client: AsyncAnthropic, question: str) -> str:
    async with client.messages.stream(
        model="claude-sonnet-4-6", max_tokens=1000, messages=[{"role": "user", "content": question}]
    ) as stream:
        return "".join([text async for text in stream.text_stream])
