"""Common code of the readers of API keys in the configuration files of other tools."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accounts.transfer.disabled_flags import off_reason
from accounts.transfer.model_names import usable
from accounts.transfer.rows import Entry, ImportedRow
from accounts.values.outside import as_list
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

Rows = list[tuple[str, ImportedRow]]
"""Rows, each with its place in the file."""

GEMINI_HOST = "generativelanguage.googleapis.com"
ANTHROPIC_HOST = "api.anthropic.com"
VARIABLE = re.compile(r"(?:os\.environ/|env\.|\$\{?)(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})\}?")
READ_VARIABLES = re.compile(r"(?:GEMINI|GOOGLE|GENAI|ANTHROPIC|CLAUDE)[A-Z0-9_]*_KEY(?:_?[A-Z0-9]+)?")
"""The variables that are read. Otherwise a file could name any variable of this process, to have it sent to a
server of its choice."""
MOST_MODELS = 100


def row_of_key(
    kind: str,
    key: Any,
    entry: Entry,
    *,
    base_url: Any = "",
    models: Any = (),
    label: Any = "",
    model_names: Mapping[Any, Any] | None = None,
) -> ImportedRow:
    """Return the row of a key. Kind "anthropic" becomes "compatible" when the address is not Anthropic's.
    `model_names` has the model for each name that clients use."""
    address = base_url.strip() if isinstance(base_url, str) else ""
    host = host_of(address)
    if kind == "gemini" and address and host != GEMINI_HOST:
        return ImportedRow(
            problem=f"the Gemini API at {_shown(host)}: that address is the setting GEMINI_API_URL"
        )
    if kind == "anthropic" and address and host != ANTHROPIC_HOST:
        kind = "compatible"
    text, problem = _value_of(key, kind)
    if problem:
        return ImportedRow(problem=problem, kind=kind)
    return ImportedRow(
        key=text,
        kind=kind,
        base_url=address if kind == "compatible" else "",
        models=names_of(models) if kind == "compatible" else (),
        label=truncate(label.strip(), 100) if isinstance(label, str) else "",
        off_reason=off_reason(entry),
        model_names=usable(model_names or {}),
    )


def skipped(what: str, why: str = "such accounts cannot be added yet") -> ImportedRow:
    return ImportedRow(problem=f"{_shown(what)}: {why}")


def of_openai(what: str) -> ImportedRow:
    return skipped(what, "it speaks OpenAI's format, which the gateway does not")


def host_of(address: Any) -> str:
    """Return the host of an address; "" when it has none."""
    try:
        return urlsplit(address.strip()).hostname or "" if isinstance(address, str) else ""
    except ValueError:
        return ""


def names_of(models: Any) -> tuple[str, ...]:
    """Return the names of models that are given as texts or as objects with `name`; wildcards are left
    out."""
    found = (one.get("name") if isinstance(one, dict) else one for one in as_list(models))
    return tuple(name for name in found if isinstance(name, str) and name.strip() and "*" not in name)[
        :MOST_MODELS
    ]


def aliases_of(models: Any) -> dict[Any, Any]:
    """Return the model for each name that clients use, of models that are objects with `name` and `alias`."""
    entries = [one for one in as_list(models) if isinstance(one, dict) and one.get("alias")]
    return {str(one["alias"]): one.get("name") for one in entries if isinstance(one.get("name"), str)}


def _value_of(key: Any, kind: str) -> tuple[str, str]:
    """Return (key, ""), or ("", problem). The key is read from the environment when the file names a
    variable."""
    if key in (None, "") and kind == "compatible":
        return "", ""
    if not isinstance(key, str) or not key.strip():
        return "", "api_key: there is none"
    variable = VARIABLE.fullmatch(key.strip())
    if variable is None:
        return key, ""
    name = variable["name"]
    if kind == "compatible" or not READ_VARIABLES.fullmatch(name):
        return "", f"its key is in the variable {_shown(name)}, which is not read: add it with addaccount"
    value = os.environ.get(name, "")
    return (value, "") if value else ("", f"its key is in the variable {_shown(name)}, which is not set here")


def _shown(text: str) -> str:
    return truncate(text, 60)
