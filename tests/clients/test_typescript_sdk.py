"""The official TypeScript SDK, run by Node: the scripts beside this file are what its users would write."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.clients.conversations import accepted_calls, assert_paired, function_calls

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.node_packages import NodePackages
    from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.needs("node")

CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-pro-preview"
OTHER_GEMINI = "gemini-2.5-pro"
LONGEST_RUN_SECONDS = 60

RunScript = Callable[..., Any]


@pytest.fixture
def run_script(node_packages: NodePackages, shared_gateway: LiveGateway, tmp_path: Path) -> RunScript:
    """Node looks for packages beside the script, so the script is copied to where they are."""
    (tmp_path / "node_modules").symlink_to(node_packages.modules)

    def run(name: str, *models: str) -> Any:
        script = shutil.copy(Path(__file__).with_name(name), tmp_path)
        environment = {
            "PATH": os.environ["PATH"],
            "BASE_URL": shared_gateway.url,
            "MODELS": ",".join(models),
        }
        done = subprocess.run(
            ["node", script],
            env=environment, capture_output=True, timeout=LONGEST_RUN_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return orjson.loads(done.stdout)

    return run


@pytest.mark.parametrize(
    "models",
    [
        (CLAUDE, CLAUDE),
        (GEMINI, GEMINI),
        (CLAUDE, GEMINI, CLAUDE, OTHER_GEMINI),
        (OTHER_GEMINI, CLAUDE, GEMINI),
    ],
    ids=lambda models: ", ".join(models),
)
def test_tools_and_thinking_survive_each_switch_of_the_model(
    models: tuple[str, ...], run_script: RunScript, google: EmulatorServer
) -> None:
    for number in range(len(models)):
        google.state.reply(thinking("A tool knows."), function_call("get_weather", {"city": "Paris"}))
        google.state.reply(thinking("That was easy."), f"Answer {number}")

    said = run_script("tool_loop.mjs", *models)

    assert said == [f"Answer {number}" for number in range(len(models))]
    calls = accepted_calls(google)
    assert [call.model for call in calls] == [model for model in models for _ in range(2)]
    assert len(function_calls(calls[-1])) == len(models)
    for call in calls:
        assert_paired(call)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_the_tool_runner_runs_to_the_end(model: str, run_script: RunScript, google: EmulatorServer) -> None:
    for city in ("Paris", "Rome"):
        google.state.reply(function_call("get_weather", {"city": city}))
    google.state.reply("Both are mild.")

    assert run_script("tool_runner.mjs", model) == {"said": "Both are mild.", "cities": ["Paris", "Rome"]}
    assert_paired(accepted_calls(google)[-1])


def test_errors_have_the_names_that_the_sdk_gives_them(run_script: RunScript) -> None:
    wrong_field, unknown_model = run_script("errors.mjs")

    assert (wrong_field["name"], wrong_field["status"]) == ("BadRequestError", 400)
    assert "max_tokens" in wrong_field["message"]
    assert (unknown_model["name"], unknown_model["status"]) == ("NotFoundError", 404)
