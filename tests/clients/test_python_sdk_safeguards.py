"""The safety check as the official Python SDK reads it, streamed and not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic

from proxy_site.emulator.pretend_model.replies import function_call
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types import Message, MessageParam, ToolParam

    from proxy_site.emulator.server import EmulatorServer

MODEL, JUDGE = "claude-sonnet-4-6", "gemini-2.5-flash"
HELLO: list[MessageParam] = [{"role": "user", "content": "Tidy up"}]
BASH: ToolParam = {
    "name": "Bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}
SAFEGUARDS = {"safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]}
SHAPES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@pytest.fixture(scope="module")
def checked_gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    data_dir = tmp_path_factory.mktemp("data")
    with LiveGateway(shared_emulator, data_dir, SAFEGUARDS_MODEL=JUDGE) as gateway:
        yield gateway


@pytest.fixture
def client(checked_gateway: LiveGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=checked_gateway.url, api_key="anything", max_retries=0) as anthropic:
        yield anthropic


def ask(client: Anthropic, *, stream: bool) -> tuple[Message, list[dict[str, Any]]]:
    """The message, and the results where Claude Code looks for them."""
    if not stream:
        message = client.messages.create(
            model=MODEL, max_tokens=1000, messages=HELLO, tools=[BASH], extra_body=SAFEGUARDS
        )
        return message, message.to_dict()["safeguard_results"]  # type: ignore[return-value]
    with client.messages.stream(
        model=MODEL, max_tokens=1000, messages=HELLO, tools=[BASH], extra_body=SAFEGUARDS
    ) as events:
        ends = [event.to_dict() for event in events if event.type == "message_delta"]
        (end,) = ends
        return events.get_final_message(), end["delta"]["safeguard_results"]  # type: ignore[index]


@SHAPES
def test_each_call_has_a_result_under_its_id(stream: bool, client: Anthropic, google: EmulatorServer) -> None:
    commands = ["ls", "rm -rf ~"]
    calls = [function_call("Bash", {"command": command}) for command in commands]
    google.state.reply("I will.", *calls, model=MODEL)
    decisions = [
        {"call": "call_1", "explanation": "Lists.", "cited_rule": "", "outcome": "not_flagged"},
        {
            "call": "call_2",
            "explanation": "Deletes everything.",
            "cited_rule": "policy.destruction",
            "outcome": "flagged",
        },
    ]
    google.state.reply(json.dumps({"decisions": decisions}), model=JUDGE)

    message, results = ask(client, stream=stream)

    first, second = [block for block in message.content if block.type == "tool_use"]
    assert [first.input, second.input] == [{"command": command} for command in commands]
    assert message.stop_reason == "tool_use"
    assert results == [
        {
            "type": "dangerous_tool_use",
            "status": {
                "type": "available",
                "tool_uses": {
                    first.id: {"type": "evaluated", "outcome": "not_flagged"},
                    second.id: {
                        "type": "evaluated",
                        "outcome": "flagged",
                        "explanation": "[Destruction] Deletes everything",
                        "cited_rule": {"type": "policy", "path": "policy.destruction"},
                    },
                },
            },
        }
    ]


@SHAPES
def test_the_check_is_not_in_the_usage(stream: bool, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("I will.", function_call("Bash", {"command": "ls"}), model=MODEL)
    google.state.reply("No decision.", model=JUDGE)

    message, results = ask(client, stream=stream)

    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert results[0]["status"]["tool_uses"] == {call.id: {"type": "unavailable", "reason": "error"}}
    (asked,) = [entry for entry in google.state.log.generations() if entry.model == MODEL]
    assert message.usage.output_tokens == asked.usage["candidatesTokenCount"]


@SHAPES
def test_a_reply_without_calls_keeps_the_check_available(
    stream: bool, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply("Done.", model=MODEL)

    message, results = ask(client, stream=stream)

    assert [block.type for block in message.content] == ["text"]
    assert results == [{"type": "dangerous_tool_use", "status": {"type": "available", "tool_uses": {}}}]
