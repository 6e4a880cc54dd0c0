"""CLIProxyAPI's `config.yaml`: lists of keys by provider.

claude-api-key:
  - api-key: "sk-…"
    base-url: "https://gateway.example.com"
    models:
      - name: "claude-sonnet-4-6"
        alias: "sonnet"

Its accounts of Google are files of their own (cliproxyapi.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.transfer.key_rows import aliases_of, of_openai, row_of_key, skipped
from accounts.values.outside import as_list, as_object

if TYPE_CHECKING:
    from accounts.transfer.key_rows import Rows
    from accounts.transfer.rows import Entry

KINDS = {"gemini-api-key": "gemini", "claude-api-key": "anthropic"}
OF_OPENAI = ("openai-compatibility", "codex-api-key", "xai-api-key")
OTHERS = ("vertex-api-key", "interactions-api-key", "meta-api-key")
OLD_GEMINI = "generative-language-api-key"
"""The section of Gemini keys before version 6, a list of texts."""
MARKS = {*KINDS, *OF_OPENAI, *OTHERS, OLD_GEMINI}


def read_config(content: Entry) -> Rows | None:
    if not MARKS & content.keys():
        return None
    rows: Rows = []
    for section, kind in KINDS.items():
        for number, value in enumerate(as_list(content.get(section)), 1):
            entry = as_object(value)
            row = row_of_key(
                kind,
                entry.get("api-key"),
                entry,
                base_url=entry.get("base-url"),
                models=entry.get("models"),
                label=entry.get("prefix"),
                model_names=aliases_of(entry.get("models")),
            )
            rows.append((f"{section} {number}", row))
    old = enumerate(as_list(content.get(OLD_GEMINI)), 1)
    rows += [(f"{OLD_GEMINI} {number}", row_of_key("gemini", key, {})) for number, key in old]
    rows += [(section, of_openai(section)) for section in OF_OPENAI if content.get(section)]
    return rows + [(section, skipped(section)) for section in OTHERS if content.get(section)]
