"""What the real Claude Code makes of the list of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.claude_code import ClaudeCode

pytestmark = pytest.mark.needs("node")

DISCOVERY = {
    "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    # It asks for the list only when traffic of this kind is allowed; what is not loopback goes nowhere.
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


def test_its_picker_holds_every_model_by_name_and_description(
    claude: ClaudeCode, google: EmulatorServer, tmp_path: Path
) -> None:
    run = claude.ask("Hello", **DISCOVERY)

    assert run.status == 0
    picker = {model["id"]: model for model in picker_models(tmp_path)}
    alias = picker["claude-code/gemini-2.5-pro"]
    assert alias["display_name"] == "Gemini 2.5 Pro"
    assert alias["description"].startswith("answered by gemini-2.5-pro")
    assert "claude-code/gpt-oss-120b-medium" in picker
    assert "claude-sonnet-4-6" in picker


def test_a_model_of_the_picker_answers(claude: ClaudeCode, google: EmulatorServer) -> None:
    google.state.reply("Here is Gemini.")

    run = claude.ask("Hello", "--model", "claude-code/gemini-2.5-pro")

    assert run.output == "Here is Gemini.\n"
    assert google.state.log.generations()[-1].model == "gemini-2.5-pro"


def picker_models(home: Path) -> list[dict[str, Any]]:
    cache = next(home.rglob("gateway-models.json"))
    models: list[dict[str, Any]] = orjson.loads(cache.read_bytes())["models"]
    return models
