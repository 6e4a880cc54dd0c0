"""The real Claude Code, from npm, against a live gateway: what its users do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode
from tests.clients.conversations import (
    accepted_calls,
    assert_paired,
    declared_functions,
    function_calls,
    function_responses,
)
from tests.clients.node_packages import CLAUDE_CODE_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.node_packages import NodePackages
    from tests.clients.recorder import Recorder

pytestmark = pytest.mark.needs("node")


def test_it_is_the_pinned_version(claude: ClaudeCode) -> None:
    assert claude.run("--version").output == f"{CLAUDE_CODE_VERSION} (Claude Code)\n"


def test_it_prints_the_answer_to_a_prompt(claude: ClaudeCode, google: EmulatorServer) -> None:
    google.state.reply("Forty-two, and not a word more.")

    run = claude.ask("What is the answer?")

    assert (run.status, run.output) == (0, "Forty-two, and not a word more.\n")
    assert len(accepted_calls(google)) == 1


def test_it_writes_a_file_and_reads_it_back(claude: ClaudeCode, google: EmulatorServer) -> None:
    run = claude.ask('Write "so it is written" into notes.txt', *WRITE_AND_READ)

    assert run.status == 0
    assert (claude.work / "notes.txt").read_text() == "so it is written"
    assert "so it is written" in run.output
    last = accepted_calls(google)[-1]
    assert [call["name"] for call in function_calls(last)] == ["Write", "Read"]
    assert_paired(last)


def test_two_calls_in_one_answer_come_back_in_order(claude: ClaudeCode, google: EmulatorServer) -> None:
    first, second = claude.work / "first.txt", claude.work / "second.txt"
    google.state.reply(
        "Both at once.",
        {"functionCall": {"name": "Write", "args": {"file_path": str(first), "content": "1"}}},
        {"functionCall": {"name": "Write", "args": {"file_path": str(second), "content": "2"}}},
    )
    google.state.reply("Both are there.")

    run = claude.ask("Two files, please", *WRITE_AND_READ)

    assert run.output == "Both are there.\n"
    assert (first.read_text(), second.read_text()) == ("1", "2")
    last = accepted_calls(google)[-1]
    assert len(function_calls(last)) == 2
    assert_paired(last)


def test_a_failed_tool_is_told_to_the_model(claude: ClaudeCode, google: EmulatorServer) -> None:
    missing = str(claude.work / "missing.txt")
    google.state.reply({"functionCall": {"name": "Read", "args": {"file_path": missing}}})
    google.state.reply("It is not there.")

    run = claude.ask("Look into the file", *WRITE_AND_READ)

    assert run.output == "It is not there.\n"
    [response] = function_responses(accepted_calls(google)[-1])
    assert "does not exist" in str(response["response"])


def test_its_event_lines_cover_the_whole_run(claude: ClaudeCode, google: EmulatorServer) -> None:
    run = claude.ask(
        'Write "line by line" into story.txt',
        *("--output-format", "stream-json", "--verbose"),
        *WRITE_AND_READ,
    )

    first, *_, last = run.events
    assert (first["type"], first["subtype"]) == ("system", "init")
    assert (last["type"], last["is_error"]) == ("result", False)
    said = [event["message"] for event in run.events if event["type"] == "assistant"]
    used = [block["name"] for message in said for block in message["content"] if block["type"] == "tool_use"]
    assert used == ["Write", "Read"]
    assert last["usage"]["output_tokens"] > 0
    assert accepted_calls(google)


def test_partial_messages_arrive_while_the_answer_is_written(
    claude: ClaudeCode, google: EmulatorServer
) -> None:
    google.state.reply("One word after the other, and each of them in its place. " * 5)

    run = claude.ask("Talk", "--output-format", "stream-json", "--verbose", "--include-partial-messages")

    streamed = [event["event"] for event in run.events if event["type"] == "stream_event"]
    texts = [
        event["delta"]["text"] for event in streamed if event.get("delta", {}).get("type") == "text_delta"
    ]
    assert len(texts) > 1
    assert "".join(texts) == "One word after the other, and each of them in its place. " * 5
    assert [event["type"] for event in streamed][-1] == "message_stop"


def test_a_subagent_does_its_part(claude: ClaudeCode, google: EmulatorServer) -> None:
    run = claude.ask("Use a subagent to look around", "--allowedTools", "Agent", "Task")

    assert run.status == 0
    calls = accepted_calls(google)
    assert len(calls) >= 3
    assert any("what you can see" in task_of(call) for call in calls)
    assert any("Agent" in declared_functions(call) for call in calls)
    for call in calls:
        assert_paired(call)


def task_of(call: Entry) -> str:
    first = call.envelope["request"]["contents"][0]
    return " ".join(part.get("text", "") for part in first["parts"])


def test_context_counts_its_tokens_in_one_burst(
    node_packages: NodePackages, recorder: Recorder, tmp_path: Path
) -> None:
    claude = ClaudeCode(node_packages.claude, tmp_path, recorder.url)

    run = claude.ask("/context")

    assert run.status == 0
    assert "| System tools |" in run.output
    counts = recorder.of("/v1/messages/count_tokens")
    assert len(counts) >= 10
    assert {count.status for count in counts} == {200}


def test_it_checks_the_connection_before_it_starts(
    node_packages: NodePackages, recorder: Recorder, tmp_path: Path
) -> None:
    claude = ClaudeCode(node_packages.claude, tmp_path, recorder.url)

    claude.ask("Hello")

    assert {exchange.status for exchange in recorder.exchanges} == {200}
    assert len(recorder.of("/v1/messages")) == 1


def test_structured_output_follows_the_schema(claude: ClaudeCode, google: EmulatorServer) -> None:
    schema = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
    google.state.reply({"functionCall": {"name": "StructuredOutput", "args": {"city": "Paris"}}})

    run = claude.ask("Where?", "--json-schema", schema, "--output-format", "json")

    assert '"structured_output":{"city":"Paris"}' in run.output
    assert accepted_calls(google)


def test_the_models_of_the_gateway_can_be_chosen_by_their_own_names(
    claude: ClaudeCode, google: EmulatorServer
) -> None:
    names = ["claude-sonnet-4-6", "gemini-2.5-pro", "gemini-3-flash-preview", "gpt-oss-120b-medium"]

    runs = [claude.ask("Hello", "--model", name) for name in names]

    assert [run.status for run in runs] == [0, 0, 0, 0]
    assert [call.model for call in accepted_calls(google)] == names
