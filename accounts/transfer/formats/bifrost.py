"""Bifrost's `config.json`: keys by provider.

{"providers": {"anthropic": {"keys": [{"name": "first", "value": "env.ANTHROPIC_API_KEY", "models": []}]}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.transfer.key_rows import of_openai, row_of_key, skipped
from accounts.values.outside import as_list, as_object

if TYPE_CHECKING:
    from accounts.transfer.key_rows import Rows
    from accounts.transfer.rows import Entry

KINDS = {"gemini": "gemini", "anthropic": "anthropic"}
OTHERS = {"vertex", "bedrock", "azure", "cohere"}


def read_config(content: Entry) -> Rows | None:
    providers = content.get("providers")
    if not isinstance(providers, dict) or not any("keys" in as_object(one) for one in providers.values()):
        return None
    rows: Rows = []
    for name, value in providers.items():
        entry = as_object(value)
        kind = KINDS.get(name.lower())
        if kind is None:
            rows.append((name, skipped(name) if name.lower() in OTHERS else of_openai(name)))
            continue
        base_url = as_object(entry.get("network_config")).get("base_url")
        for number, key in enumerate(map(as_object, as_list(entry.get("keys"))), 1):
            row = row_of_key(
                kind,
                key.get("value"),
                key,
                base_url=base_url,
                models=key.get("models"),
                label=key.get("name"),
            )
            rows.append((f"{name} {number}", row))
    return rows
