"""Variables of the SDKs and of Claude Code: of an `.env` file, `env` in Claude Code's settings.json,
or this process.

ANTHROPIC_API_KEY=sk-ant-…
ANTHROPIC_BASE_URL=https://gateway.example.com
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from accounts.transfer.key_rows import row_of_key, skipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.transfer.key_rows import Rows
    from accounts.transfer.rows import Entry

LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]{2,60})\s*=\s*(?P<value>.*?)\s*")
COMMENT = re.compile(r"\s+#.*")
GEMINI = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""The variables of a Gemini key; the SDK takes the first that is set."""
NAMES = {*GEMINI, "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"}


def variables_of(text: str) -> dict[str, str]:
    """Return the variables of a text with NAME=value on each line; empty when it sets none of NAMES."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := LINE.fullmatch(line):
            found[match["name"]] = COMMENT.sub("", match["value"]).strip("\"'")
    return found if NAMES & found.keys() else {}


def read_config(content: Entry) -> Rows | None:
    variables = content.get("env", content)
    if not isinstance(variables, dict) or not NAMES & variables.keys():
        return None
    return read_variables(variables)


def read_variables(given: Mapping[str, Any]) -> Rows:
    variables = {name: value for name, value in given.items() if isinstance(value, str) and value.strip()}
    gemini = next((name for name in GEMINI if name in variables), "")
    rows: Rows = [(gemini, row_of_key("gemini", variables[gemini], {}))] if gemini else []
    rows += _of_anthropic(variables)
    if variables.get("CLAUDE_CODE_USE_VERTEX") in {"1", "true"}:
        rows.append(("CLAUDE_CODE_USE_VERTEX", skipped("Vertex AI")))
    return rows


def _of_anthropic(variables: Mapping[str, str]) -> Rows:
    base_url = variables.get("ANTHROPIC_BASE_URL", "")
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        if name in variables:
            return [(name, row_of_key("anthropic", variables[name], {}, base_url=base_url))]
    return []
