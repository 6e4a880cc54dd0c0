"""Lines that point Claude Code at this gateway, for each shell and editor. Pure."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, NamedTuple

from gateway.routing import resolution

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

MODEL_VARIABLES = {
    "opus": "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "sonnet": "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "haiku": "ANTHROPIC_DEFAULT_HAIKU_MODEL",
}
"""The variables of Claude Code for the models that it asks for, by kind (code.claude.com, Environment
variables)."""
VARIABLES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", *MODEL_VARIABLES.values())
KEY_PLACEHOLDER = "your-key"
PRESETS = ("claude", "gemini", "own")


def environment(address: str, *, has_key: bool, models: Mapping[str, str]) -> dict[str, str]:
    """Return Claude Code's variables by name. `models` are by kind, as chosen_models returns them."""
    token = KEY_PLACEHOLDER if has_key else "anything"
    variables = {"ANTHROPIC_BASE_URL": address, "ANTHROPIC_AUTH_TOKEN": token}
    return variables | {MODEL_VARIABLES[kind]: name for kind, name in models.items()}


def models_of(preset: str, asked: Mapping[str, str], offered: Collection[str]) -> dict[str, str]:
    """Return the models by kind; empty to keep Claude Code's own choice. `asked` is used for the preset
    "own"."""
    if preset == "gemini":
        return gemini_models(offered)
    return chosen_models(asked, offered) if preset == "own" else {}


def chosen_models(asked: Mapping[str, str], offered: Collection[str]) -> dict[str, str]:
    """Return those of the models asked for that are offered, by kind."""
    return {kind: asked[kind] for kind in MODEL_VARIABLES if asked.get(kind) in offered}


def gemini_models(offered: Collection[str]) -> dict[str, str]:
    """Return a Gemini model for each kind; empty when none is offered."""
    pro = resolution.resolve("gemini-pro", offered, thinking=None)
    flash = resolution.resolve("gemini-flash", offered, thinking=None)
    return chosen_models({"opus": pro, "sonnet": pro, "haiku": flash}, offered)


def _bash(variables: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def _fish(variables: Mapping[str, str]) -> str:
    return "\n".join(f"set -gx {name} {_in_quotes(value)}" for name, value in variables.items())


def _powershell(variables: Mapping[str, str]) -> str:
    doubled = {name: value.replace("'", "''") for name, value in variables.items()}
    return "\n".join(f"$env:{name} = '{value}'" for name, value in doubled.items())


def _settings_json(variables: Mapping[str, str]) -> str:
    return json.dumps({"env": dict(variables)}, indent=2)


def _vs_code(variables: Mapping[str, str]) -> str:
    pairs = [{"name": name, "value": value} for name, value in variables.items()]
    return json.dumps({"claudeCode.environmentVariables": pairs}, indent=2)


def _in_quotes(value: str) -> str:
    """Return the value in Fish's single quotes, in which only a quote and a backslash are escaped."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Form(NamedTuple):
    """A shell or editor: its name, what to do with the text, for what or how it holds, and the function that
    makes the text."""

    title: str
    what_to_do: str
    scope: str
    text_of: Callable[[Mapping[str, str]], str]


IN_A_TERMINAL = "Paste, then start claude"
FORMS = {
    "bash": Form(
        "bash, zsh",
        IN_A_TERMINAL,
        "They hold in this terminal; to keep them, add them to ~/.bashrc or ~/.zshrc",
        _bash,
    ),
    "fish": Form(
        "fish", IN_A_TERMINAL, "They hold in this terminal; to keep them, add them to config.fish", _fish
    ),
    "powershell": Form(
        "PowerShell",
        IN_A_TERMINAL,
        "They hold in this terminal; to keep them, add them to $PROFILE",
        _powershell,
    ),
    "settings": Form(
        "settings.json",
        "Put into ~/.claude/settings.json",
        "They hold for every terminal and editor",
        _settings_json,
    ),
    "vscode": Form(
        "VS Code",
        "Put into the settings of VS Code",
        "They hold for its Claude Code extension",
        _vs_code,
    ),
}
"""The forms by their name in the address."""
