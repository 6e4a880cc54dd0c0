"""The effect of a change of the settings file: the new text, and the changed lines without anyone's keys.
Pure."""

from __future__ import annotations

import json
import re
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from dashboard.claude_settings import json_text
from dashboard.connecting import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY = "{}\n"
BOM = "\ufeff"
HIDDEN, OUR_KEY = "(hidden)", "(this gateway's AUTH_TOKEN)"
LONGEST_LINE = 300
SECRET = re.compile("token|key|secret|password|auth|header|cookie|credential", re.IGNORECASE)
DECIDES_TOO = {
    *("apiKeyHelper", "forceLoginMethod", "model", "availableModels"),
    *("ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL", "ANTHROPIC_SMALL_FAST_MODEL"),
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"),
}
"""Settings and variables of Claude Code that can send it elsewhere or make it ask for another model."""


class Refused(Exception):
    """Raised when the file cannot be used. The text is a sentence for the operator."""


class Line(NamedTuple):
    kind: str
    """The kind of line: "added", "removed" or "same"."""
    text: str


def parse(text: str) -> dict[str, Any]:
    """Return the settings; an empty dict for a missing or empty file. Raises Refused."""
    try:
        settings = json.loads(text.removeprefix(BOM).strip() or EMPTY, parse_constant=_refuse_constant)
        json.dumps(settings, indent=1)
    except (ValueError, RecursionError):
        raise Refused("It is not JSON, so nothing is written to it. Mend it in an editor first.") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("env", {}), dict):
        raise Refused("It is JSON, but not settings of Claude Code: it, or its env, is not an object.")
    return settings


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with these variables in its env, and without the others of VARIABLES. Raises
    Refused."""
    parse(text)
    mark, text = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
    text = text if text.strip() else EMPTY
    for name in VARIABLES:
        text = _with_variable(text, name, variables.get(name))
    return mark + text


def _with_variable(text: str, name: str, value: str | None) -> str:
    """Return the text with the variable set, or removed when `value` is None. `env` is removed with its last
    variable."""
    root = json_text.root(text)
    env = json_text.member(text, root, "env")
    if value is not None and env is None:
        return _with_variable(json_text.with_member(text, root, "env", "{}"), name, value)
    if value is not None and env is not None:
        return json_text.with_member(text, env.value, name, json.dumps(value))
    if env is None or json_text.member(text, env.value, name) is None:
        return text
    text = json_text.without_member(text, env.value, name)
    return text if json.loads(text)["env"] else json_text.without_member(text, root, "env")


def difference(old: str, new: str, our_key: str) -> list[Line]:
    """Return the changed lines with two lines around each, as JSON without commas, since a comma would make
    more lines differ. Values that may be keys, by their names, are hidden. Raises Refused."""
    lines = unified_diff(_lines(old, our_key), _lines(new, our_key), n=2, lineterm="")
    kinds = {"+": "added", "-": "removed", " ": "same"}
    return [
        Line(kinds[line[0]], line[1:][:LONGEST_LINE])
        for line in lines
        if line[0] in kinds and not line.startswith(("+++", "---"))
    ]


def decides_too(text: str) -> list[str]:
    """Return what else in the file decides where Claude Code sends requests. Raises Refused."""
    settings = parse(text)
    return sorted(DECIDES_TOO.intersection([*settings, *settings.get("env", {})]))


def _lines(text: str, our_key: str) -> list[str]:
    shown = _without_keys(parse(text), "", our_key)
    return [line.removesuffix(",") for line in json.dumps(shown, indent=2).splitlines()]


def _without_keys(value: Any, name: str, our_key: str) -> Any:
    if isinstance(value, dict):
        return {key: _without_keys(one, f"{name} {key}", our_key) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_keys(one, name, our_key) for one in value]
    if not isinstance(value, str) or not SECRET.search(name):
        return value
    if our_key and value == our_key:
        return OUR_KEY
    return value if value == "anything" else HIDDEN


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
