"""What changes in the middle of a session: the effort, and the tools of an MCP server that connects late."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.pretend_model.replies import function_call
from tests.clients.claude_code import ClaudeCode
from tests.clients.conversations import (
    accepted_calls,
    assert_paired,
    declared_functions,
    function_calls,
    function_responses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.node_packages import NodePackages
    from tests.clients.recorder import Recorder

pytestmark = pytest.mark.needs("node")

NEWEST = ("--model", "claude-opus-5-5")
LATE_TOOL = "mcp__late__tide_table"
CONNECTING_SECONDS = 30


@pytest.fixture
def recorded(node_packages: NodePackages, recorder: Recorder, tmp_path: Path) -> ClaudeCode:
    return ClaudeCode(node_packages.claude, tmp_path, recorder.url)


def thinking_budget(call: Entry) -> int:
    config = call.envelope["request"]["generationConfig"]["thinkingConfig"]
    return int(config["thinking_budget"])


def test_an_effort_changed_within_a_session_counts(
    recorded: ClaudeCode, recorder: Recorder, google: EmulatorServer
) -> None:
    prompts = ["Say hello", "/effort low", "Say hello again", "/effort high", "And again"]

    results = recorded.converse(prompts, *NEWEST)

    assert [result["is_error"] for result in results] == [False] * 5
    assert [exchange.status for exchange in recorder.of("/v1/messages")] == [200, 200, 200]
    medium, low, high = accepted_calls(google)
    assert [thinking_budget(call) for call in (medium, low, high)] == [10_000, 4_096, 24_000]
    assert declared_functions(medium) == declared_functions(low) == declared_functions(high)


def test_a_server_that_connects_late_brings_its_tool(
    recorded: ClaudeCode, recorder: Recorder, google: EmulatorServer, tmp_path: Path
) -> None:
    go, listed = tmp_path / "go", tmp_path / "listed"
    server = (sys.executable, str(Path(__file__).with_name("late_mcp_server.py")), str(go), str(listed))
    recorded.run("mcp", "add", "--scope", "user", "late", "--", *server)

    def prompts() -> Iterator[str]:
        yield "Say hello"
        go.touch()
        wait_for(listed)
        google.state.reply(function_call("ToolSearch", {"query": f"select:{LATE_TOOL}"}))
        google.state.reply(function_call(LATE_TOOL, {"harbour": "Dover"}))
        google.state.reply("At twenty past two.")
        yield "When is high water at Dover?"

    hello, tide = recorded.converse(prompts(), *NEWEST, "--allowedTools", LATE_TOOL)

    assert (hello["is_error"], tide["result"]) == (False, "At twenty past two.")
    assert {exchange.status for exchange in recorder.of("/v1/messages")} == {200}
    first, *_, last = accepted_calls(google)
    assert LATE_TOOL not in declared_functions(first)
    assert LATE_TOOL in declared_functions(last)
    assert [call["name"] for call in function_calls(last)] == ["ToolSearch", LATE_TOOL]
    assert "14:20" in str(function_responses(last)[-1]["response"])
    assert_paired(last)


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + CONNECTING_SECONDS
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not appear"
        time.sleep(0.05)
