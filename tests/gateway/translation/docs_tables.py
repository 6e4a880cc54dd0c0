"""The tables in docs/translation.md, made from the code and from the tests' own rows.

    python -m tests.gateway.translation.docs_tables        writes them anew

In the page a table stands between ``<!-- table NAME -->`` and ``<!-- end -->``; a test compares both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gateway.routing import upstream_model
from gateway.translation.request import thinking, tools
from gateway.translation.response.stop_reason import STOP_REASONS
from gateway.translation.schemas.keywords import HINTED_KEYWORDS
from tests.gateway.translation import test_signature_families
from tests.gateway.translation.request import test_content_blocks, test_thinking
from tests.gateway.translation.response import test_errors, test_stream
from tests.gateway.translation.schemas import test_tool_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.routing.upstream_model import Family

PAGE = Path(__file__).parents[3] / "docs" / "translation.md"
LONGEST_CELL = 150

_TABLE = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def code(value: object) -> str:
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) > LONGEST_CELL:
        text = text[:LONGEST_CELL] + "…"
    return "`" + text.replace("|", "\\|") + "`"


def _as_json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half a character
        return json.dumps(value, separators=(",", ":"))


def _dash(value: object) -> str:
    return "-" if value is None else code(str(value))


def blocks() -> str:
    rows = ((name, code(block), code(parts)) for name, block, parts in test_content_blocks.ROWS)
    return table(("block", "in", "parts"), rows)


def schemas() -> str:
    rows = ((name, code(schema), code(converted)) for name, schema, converted in test_tool_schemas.ROWS)
    return table(("rule", "JSON Schema", "what Google gets"), rows)


def hints() -> str:
    return ", ".join(map(code, HINTED_KEYWORDS))


def modes() -> str:
    families: tuple[Family, ...] = ("claude", "gemini", "gpt", "unknown")
    rows = ((choice, *(_dash(row[family]) for family in families)) for choice, row in tools.MODES.items())
    return table(("tool_choice", *families), rows)


def efforts() -> str:
    rows = (
        (code(effort), f"{thinking.EFFORT_BUDGETS[effort]:,}", code(thinking.EFFORT_LEVELS[effort]))
        for effort in thinking.EFFORT_BUDGETS
    )
    return table(("effort", "budget", "level"), rows)


def thinking_configs() -> str:
    rows = (
        (code(model), mode, code(fields), "-" if config is None else code(config))
        for model, mode, fields, config in test_thinking.CELLS
    )
    return table(("model", "mode", "request", "thinkingConfig"), rows)


def signatures() -> str:
    rows = ((name, code(blocks), code(parts)) for name, _, blocks, parts in test_signature_families.ROWS)
    return table(("case", "assistant blocks", "parts"), rows)


def model_names() -> str:
    rows = [(code(name), "cli", code(sent)) for name, sent in upstream_model.CLI_NAMES.items()]
    rows += [
        (code(name), "antigravity", code(sent)) for name, sent in upstream_model.ANTIGRAVITY_NAMES.items()
    ]
    return table(("name", "mode", "sent as"), rows)


def output_limits() -> str:
    rows = ((family, f"{limit:,}") for family, limit in upstream_model.DEFAULT_MAX_OUTPUT_TOKENS.items())
    return table(("family", "tokens"), rows)


def stream_parts() -> str:
    rows = ((name, code(parts), code(content)) for name, _, parts, content in test_stream.ROWS)
    return table(("case", "parts, one by one", "content blocks"), rows)


def too_long() -> str:
    rows = test_errors.TOO_LONG_WORDINGS
    return table(("the upstream's words", "what the client reads"), rows)


def stop_reasons() -> str:
    return table(("finishReason", "stop_reason"), ((code(k), code(v)) for k, v in STOP_REASONS.items()))


TABLES: dict[str, Callable[[], str]] = {
    "blocks": blocks,
    "schemas": schemas,
    "hints": hints,
    "modes": modes,
    "efforts": efforts,
    "thinking-configs": thinking_configs,
    "signatures": signatures,
    "model-names": model_names,
    "output-limits": output_limits,
    "stream-parts": stream_parts,
    "stop-reasons": stop_reasons,
    "too-long": too_long,
}


def with_tables(page: str) -> str:
    return _TABLE.sub(lambda match: match[1] + TABLES[match["name"]]() + match[3], page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
