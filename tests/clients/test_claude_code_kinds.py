"""The real Claude Code with accounts of each kind that is a key, alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode
from tests.gateway.kinds.gateway_with_key import GatewayWithKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.node_packages import NodePackages

pytestmark = [pytest.mark.needs("node"), pytest.mark.full]

MODELS = {
    "gemini": ("gemini-3-flash-preview", "gemini-2.5-flash"),
    "anthropic": ("claude-sonnet-4-6", "claude-opus-5-5"),
    "compatible": ("claude-sonnet-4-6", "claude-sonnet-4-6"),
}
"""Two models of each kind."""
PNG = "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"


@pytest.fixture(scope="module", params=list(MODELS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def provider() -> Iterator[EmulatorServer]:
    with EmulatorServer(EmulatorState()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway_with_key(
    kind: str, provider: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayWithKey]:
    gateway = GatewayWithKey(provider, tmp_path_factory.mktemp("data"))
    gateway.kind = kind
    with gateway:
        yield gateway


@pytest.fixture
def claude(
    node_packages: NodePackages, provider: EmulatorServer, gateway_with_key: GatewayWithKey, tmp_path: Path
) -> Iterator[ClaudeCode]:
    provider.state.clear_scripts()
    provider.state.log.clear()
    yield ClaudeCode(node_packages.claude, tmp_path, gateway_with_key.url)
    provider.state.clear_scripts()


def test_it_answers(claude: ClaudeCode, kind: str, provider: EmulatorServer) -> None:
    for model in MODELS[kind]:
        run = claude.ask("Say hello.", "--model", model)

        assert run.status == 0, run.output + run.complaints
        assert "hello" in run.output.lower()
    assert {entry.status for entry in provider.state.log} == {200}


def test_it_writes_and_reads_files_over_turns(claude: ClaudeCode, kind: str) -> None:
    for number, model in enumerate((*MODELS[kind], MODELS[kind][0]), 1):
        going_on = ["--continue"] if number > 1 else []
        prompt = f'Write "turn {number}" into turn-{number}.txt'
        run = claude.ask(prompt, "--model", model, *WRITE_AND_READ, *going_on)

        assert run.status == 0, run.output + run.complaints
        assert (claude.work / f"turn-{number}.txt").read_text() == f"turn {number}"


def test_it_thinks_with_each_effort(claude: ClaudeCode, kind: str) -> None:
    for effort in ("low", "high"):
        run = claude.ask("Think about it", "--model", MODELS[kind][0], CLAUDE_CODE_EFFORT_LEVEL=effort)

        assert run.status == 0, run.output + run.complaints


def test_it_looks_at_an_image(claude: ClaudeCode, kind: str) -> None:
    (claude.work / "image.png").write_bytes(bytes.fromhex(PNG))

    run = claude.ask("Read image.png", "--model", MODELS[kind][0], *WRITE_AND_READ)

    assert run.status == 0, run.output + run.complaints


def test_it_shows_the_context_that_is_used(claude: ClaudeCode, kind: str) -> None:
    run = claude.ask("/context", "--model", MODELS[kind][0])

    assert run.status == 0, run.output + run.complaints
    assert "tokens" in run.output.lower()


def test_it_compacts_a_conversation(claude: ClaudeCode, kind: str) -> None:
    claude.ask("Say hello.", "--model", MODELS[kind][0])

    run = claude.ask("/compact", "--model", MODELS[kind][0], "--continue")

    assert run.status == 0, run.output + run.complaints


def test_several_turns_in_one_process(claude: ClaudeCode, kind: str) -> None:
    prompts = [f'Write "turn {number}" into turn-{number}.txt' for number in (1, 2)]

    results = claude.converse(prompts, "--model", MODELS[kind][0], *WRITE_AND_READ)

    assert [result["is_error"] for result in results] == [False, False]


FAULTS = {
    "quota": ("gemini_per_day", "anthropic_spend_limit", "anthropic_rate_limited"),
    "overload": ("gemini_overloaded", "anthropic_overloaded_in_stream", "anthropic_overloaded"),
}
"""Faults by name, for each of MODELS."""


@pytest.mark.parametrize(
    ("what", "words"),
    [("quota", ("limit", "quota")), ("overload", ("capacity", "overloaded")), ("key", ("key",))],
)
def test_it_says_why_there_is_no_answer(
    node_packages: NodePackages,
    kind: str,
    what: str,
    words: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    with EmulatorServer(EmulatorState()) as provider:
        gateway = GatewayWithKey(provider, tmp_path_factory.mktemp("data"), MAX_WAIT_BEFORE_ERROR_MS="1000")
        gateway.kind = kind
        with gateway:
            if what == "key":
                provider.state.keys.remove(f"{kind}-ada")
            else:
                provider.state.fault(FAULTS[what][list(MODELS).index(kind)], times=None)
            claude = ClaudeCode(node_packages.claude, tmp_path, gateway.url)
            run = claude.ask("Say hello.", "--model", MODELS[kind][0], CLAUDE_CODE_MAX_RETRIES="0")

    said = (run.output + run.complaints).lower()
    assert run.status != 0
    assert any(word in said for word in words), said
