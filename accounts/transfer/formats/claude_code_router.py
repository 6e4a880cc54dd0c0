"""claude-code-router's `config.json` (releases before it kept its configuration in SQLite).

{"Providers": [{"name": "gemini", "api_base_url": "https://generativelanguage.googleapis.com/v1beta/models/",
                "api_key": "$GEMINI_API_KEY", "models": ["gemini-2.5-flash"],
                "transformer": {"use": ["gemini"]}}]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.transfer.key_rows import (
    ANTHROPIC_HOST,
    GEMINI_HOST,
    host_of,
    of_openai,
    row_of_key,
    skipped,
)
from accounts.values.outside import as_list, as_object

if TYPE_CHECKING:
    from accounts.transfer.key_rows import Rows
    from accounts.transfer.rows import Entry, ImportedRow


def read_config(content: Entry) -> Rows | None:
    providers = content.get("Providers", content.get("providers"))
    if not isinstance(providers, list):
        return None
    rows: Rows = []
    for number, value in enumerate(providers, 1):
        entry = as_object(value)
        name = entry.get("name")
        shown = name if isinstance(name, str) and name else f"provider {number}"
        rows += [(shown, row) for row in _rows(entry, shown)]
    return rows


def _rows(entry: Entry, name: str) -> list[ImportedRow]:
    address = entry.get("api_base_url") or entry.get("baseUrl")
    kind = _kind(entry, address if isinstance(address, str) else "")
    if not kind:
        return [of_openai(name)]
    if kind == "gemini_interactions":
        return [skipped(name, "the Interactions API cannot be used yet")]
    base_url = "" if host_of(address) == GEMINI_HOST else address
    return [
        row_of_key(kind, key, entry, base_url=base_url, models=entry.get("models"), label=name)
        for key in _keys(entry)
    ]


def _kind(entry: Entry, address: str) -> str:
    """Return "gemini", "anthropic", "gemini_interactions", or "" for OpenAI's format."""
    capabilities = [as_object(one).get("type") for one in as_list(entry.get("capabilities"))]
    types = {str(one) for one in (entry.get("type"), *capabilities) if one}
    use = {str(one).lower() for one in as_list(as_object(entry.get("transformer")).get("use"))}
    if types & {"gemini_interactions"}:
        return "gemini_interactions"
    if "anthropic_messages" in types or "anthropic" in use or host_of(address) == ANTHROPIC_HOST:
        return "anthropic"
    speaks_gemini = "gemini_generate_content" in types or "gemini" in use
    is_googles = host_of(address) == GEMINI_HOST and "/openai" not in address
    return "gemini" if speaks_gemini or (is_googles and not types) else ""


def _keys(entry: Entry) -> list[Any]:
    credentials = (as_object(one) for one in as_list(entry.get("credentials")))
    several = [one.get("api_key") or one.get("apiKey") or one.get("value") for one in credentials]
    return several or [entry.get("api_key") or entry.get("apiKey")]
