"""Conversations of several turns: on a Claude model, on a Gemini model, and from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode, Run
from tests.clients.conversations import (
    accepted_calls,
    assert_paired,
    function_calls,
    parts_of,
    signatures,
    thought_texts,
)

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer
    from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.needs("node")

CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-pro-preview"
OTHER_GEMINI = "gemini-2.5-pro"
GPT = "gpt-oss-120b-medium"


def turn(claude: ClaudeCode, number: int, model: str) -> Run:
    """One more turn of the same conversation: a file is written and read."""
    going_on = ["--continue"] if number > 1 else []
    prompt = f'Write "turn {number}" into turn-{number}.txt'
    return claude.ask(prompt, "--model", model, *WRITE_AND_READ, *going_on)


@pytest.mark.parametrize(
    "models",
    [
        (CLAUDE, CLAUDE, CLAUDE),
        (GEMINI, GEMINI, GEMINI),
        (CLAUDE, GEMINI, CLAUDE, GEMINI),
        (GEMINI, CLAUDE, OTHER_GEMINI, CLAUDE),
        (GPT, GEMINI, GPT, CLAUDE),
    ],
    ids=lambda models: ", ".join(name.split("-")[0] for name in models),
)
def test_it_continues_after_each_switch_of_the_model(
    claude: ClaudeCode, google: EmulatorServer, models: tuple[str, ...]
) -> None:
    for number, model in enumerate(models, 1):
        run = turn(claude, number, model)

        assert run.status == 0, run.output
        assert f"turn {number}" in run.output
        assert (claude.work / f"turn-{number}.txt").read_text() == f"turn {number}"

    calls = accepted_calls(google)
    assert [call.model for call in calls] == [model for model in models for _ in range(3)]
    assert len(function_calls(calls[-1])) == 2 * len(models)
    for call in calls:
        assert_paired(call)


def test_thinking_comes_back_signed_within_a_tool_loop(claude: ClaudeCode, google: EmulatorServer) -> None:
    turn(claude, 1, CLAUDE)

    last = accepted_calls(google)[-1]
    assert len(thought_texts(last)) == 2
    assert len(signatures(last)) == 2


def test_a_gemini_call_comes_back_with_the_signature_it_was_made_with(
    claude: ClaudeCode, google: EmulatorServer
) -> None:
    turn(claude, 1, GEMINI)
    turn(claude, 2, GEMINI)

    last = accepted_calls(google)[-1]
    assert len(function_calls(last)) == 4
    assert len(set(signatures(last))) >= 4


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_signatures_survive_a_restart_of_the_gateway(
    model: str, claude: ClaudeCode, google: EmulatorServer, shared_gateway: LiveGateway
) -> None:
    turn(claude, 1, model)
    shared_gateway.stop()
    shared_gateway.start()

    turn(claude, 2, model)

    for call in accepted_calls(google):
        assert_paired(call)
    assert signatures(accepted_calls(google)[-1])


def test_several_turns_in_one_process(claude: ClaudeCode, google: EmulatorServer) -> None:
    prompts = [f'Write "turn {number}" into turn-{number}.txt' for number in (1, 2, 3)]

    results = claude.converse(prompts, *WRITE_AND_READ)

    assert [result["is_error"] for result in results] == [False, False, False]
    assert [f"turn {number}" in result["result"] for number, result in enumerate(results, 1)] == [True] * 3
    assert len(function_calls(accepted_calls(google)[-1])) == 6


def test_an_effort_and_a_budget_of_its_own_are_accepted(claude: ClaudeCode, google: EmulatorServer) -> None:
    for model in (CLAUDE, GEMINI):
        for effort in ("low", "high", "max"):
            run = claude.ask("Think about it", "--model", model, CLAUDE_CODE_EFFORT_LEVEL=effort)

            assert run.status == 0, run.output

    assert len(accepted_calls(google)) == 6


@pytest.mark.parametrize(
    ("model", "wording", "in_stream"),
    [
        (CLAUDE, "claude", False),
        (CLAUDE, "claude on Vertex", True),
        (GEMINI, "gemini", True),
        (GEMINI, "gemini without a count", False),
        (GEMINI, "gemini on Vertex", False),
    ],
)
def test_a_history_that_google_finds_too_long_is_compacted(
    model: str, wording: str, in_stream: bool, claude: ClaudeCode, google: EmulatorServer
) -> None:
    turn(claude, 1, model)
    google.state.log.clear()
    google.state.fault("prompt_too_long", wording=wording, model=model, in_stream=in_stream)

    run = turn(claude, 2, model)

    assert run.status == 0, run.output
    assert (claude.work / "turn-2.txt").read_text() == "turn 2"
    _, summary, *rest = [call for call in google.state.log.generations() if call.model == model]
    assert "summary" in parts_of(summary)[-1]["text"]
    assert all(call.status == 200 for call in rest)


def test_compacting_the_conversation_is_answered(claude: ClaudeCode, google: EmulatorServer) -> None:
    turn(claude, 1, CLAUDE)

    run = claude.ask("/compact", "--continue", "--model", CLAUDE)
    after = turn(claude, 2, CLAUDE)

    assert (run.status, after.status) == (0, 0)
    assert accepted_calls(google)
