"""The web search tool with the official SDKs: what comes back fits their types, and may be sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from anthropic import Anthropic
from anthropic.types import Message, ServerToolUseBlock, TextBlock, WebSearchToolResultBlock

from tests.clients.test_typescript_sdk import run_script
from tests.clients.test_web_search import CLAUDE, GEMINI, LITE, SITES, addresses

if TYPE_CHECKING:
    from anthropic.types import MessageParam, ToolUnionParam

    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.test_typescript_sdk import RunScript
    from tests.live_gateway import LiveGateway

__all__ = ["run_script"]

SEARCH: ToolUnionParam = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
QUESTION: MessageParam = {"role": "user", "content": "tides in Oslo"}
NEXT_QUESTION: MessageParam = {"role": "user", "content": "and in Bergen?"}


def asked(
    client: Anthropic, *messages: MessageParam, streamed: bool = False, model: str = CLAUDE, **more: Any
) -> Message:
    arguments: dict[str, Any] = {
        "model": model, "max_tokens": 1000, "messages": list(messages), "tools": [SEARCH], **more
    }  # fmt: skip
    if streamed:
        with client.messages.stream(**arguments) as stream:
            message = stream.get_final_message()
        return checked(orjson.dumps(message.to_dict()))
    return checked(client.messages.with_raw_response.create(**arguments).http_response.content)


def checked(raw: bytes) -> Message:
    """The SDK itself takes anything; its types do not."""
    return Message.model_validate_json(raw)


def texts_sent(google: EmulatorServer) -> str:
    contents = google.state.log.generations()[-1].envelope["request"]["contents"]
    return "\n".join(part.get("text", "") for content in contents for part in content["parts"])


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "in one piece"])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_a_search_comes_back_in_the_types_of_the_sdk(
    model: str, streamed: bool, client: Anthropic, google: EmulatorServer
) -> None:
    message = asked(client, QUESTION, streamed=streamed, model=model)

    call, result, text = message.content
    assert isinstance(call, ServerToolUseBlock)
    assert (call.name, call.input) == ("web_search", {"query": "tides in Oslo"})
    assert isinstance(result, WebSearchToolResultBlock)
    assert result.tool_use_id == call.id
    assert isinstance(result.content, list)
    assert [hit.url for hit in result.content] == addresses(*SITES)
    assert [hit.title for hit in result.content] == list(SITES)
    assert all(hit.encrypted_content and hit.page_age is None for hit in result.content)
    assert isinstance(text, TextBlock)
    assert message.stop_reason == "end_turn"
    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 1
    assert [call.model for call in google.state.log.generations()] == [LITE]


@pytest.mark.parametrize("kind", ["web_search_20250305", "web_search_20260209", "web_search_20260318"])
def test_each_version_of_the_tool_searches(kind: str, client: Anthropic) -> None:
    message = asked(client, QUESTION, tools=[{"type": kind, "name": "web_search"}])

    assert [block.type for block in message.content] == ["server_tool_use", "web_search_tool_result", "text"]


def test_a_stream_tells_the_query_in_a_delta_and_the_result_at_once(client: Anthropic) -> None:
    with client.messages.stream(model=CLAUDE, max_tokens=1000, messages=[QUESTION], tools=[SEARCH]) as stream:
        events = list(stream)

    starts = [event.content_block for event in events if event.type == "content_block_start"]
    assert [block.type for block in starts] == ["server_tool_use", "web_search_tool_result", "text"]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert deltas[0].type == "input_json_delta"
    assert orjson.loads(deltas[0].partial_json) == {"query": "tides in Oslo"}
    assert {delta.type for delta in deltas[1:]} == {"text_delta"}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "in one piece"])
@pytest.mark.parametrize("next_model", [CLAUDE, GEMINI])
def test_the_next_turn_knows_what_the_sources_said(
    next_model: str, streamed: bool, client: Anthropic, google: EmulatorServer
) -> None:
    first = asked(client, QUESTION, streamed=streamed)
    history: list[MessageParam] = [QUESTION, {"role": "assistant", "content": first.content}]

    asked(client, *history, NEXT_QUESTION, streamed=streamed, model=next_model, tools=[])

    told = texts_sent(google)
    assert addresses(SITES[0])[0] in told
    assert f"{SITES[0]} says that tides in Oslo is well known." in told
    assert "encrypted_content" not in told
    result = first.content[1]
    assert isinstance(result, WebSearchToolResultBlock)
    assert isinstance(result.content, list)
    assert result.content[0].encrypted_content not in told


def test_the_next_turn_may_search_again(client: Anthropic) -> None:
    first = asked(client, QUESTION)

    second = asked(client, QUESTION, {"role": "assistant", "content": first.content}, NEXT_QUESTION)

    result = second.content[1]
    assert isinstance(result, WebSearchToolResultBlock)
    assert isinstance(result.content, list)
    assert result.content[0].url == "https://encyclopedia.example.org/and-in-bergen"


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "in one piece"])
def test_no_search_is_told_as_an_error_of_the_sdks_types(
    streamed: bool, gateway_without_search: LiveGateway, google_without_search: EmulatorServer
) -> None:
    with Anthropic(base_url=gateway_without_search.url, api_key="anything", max_retries=0) as client:
        message = asked(client, QUESTION, streamed=streamed)
        told = orjson.dumps(google_without_search.state.log.generations()[-1].envelope).decode()
        history: list[MessageParam] = [QUESTION, {"role": "assistant", "content": message.content}]
        asked(client, *history, NEXT_QUESTION, streamed=streamed, tools=[])

    call, result, text = message.content
    assert isinstance(call, ServerToolUseBlock)
    assert isinstance(result, WebSearchToolResultBlock)
    assert not isinstance(result.content, list)
    assert result.content.error_code == "unavailable"
    assert isinstance(text, TextBlock)
    assert "cannot look anything up" in told


def test_beside_other_tools_no_search_is_made(client: Anthropic, google: EmulatorServer) -> None:
    weather = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}

    message = asked(client, QUESTION, tools=[SEARCH, weather])

    result = message.content[1]
    assert isinstance(result, WebSearchToolResultBlock)
    assert not isinstance(result.content, list)
    assert {call.model for call in google.state.log.generations()} == {CLAUDE}


@pytest.mark.needs("node")
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_the_typescript_sdk_reads_a_search_and_sends_it_back(
    model: str, run_script: RunScript, google: EmulatorServer
) -> None:
    streamed, whole, afterwards = run_script("web_search.mjs", model)

    for turn in (streamed, whole):
        assert turn["types"] == ["server_tool_use", "web_search_tool_result", "text"]
        assert turn["query"] == {"query": "tides in Oslo"}
        assert turn["urls"] == addresses(*SITES)
        assert turn["searches"] == 1
    assert afterwards["types"] == ["text"]
    assert f"{SITES[0]} says that tides in Oslo is well known." in texts_sent(google)
