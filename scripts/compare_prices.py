"""Compare the prices that come with the program with those of LiteLLM's public table.

    uv run --with litellm --no-project python scripts/compare_prices.py

Only the file of the table is read; LiteLLM itself is not imported. Prints each difference, and ends with 1
when there is one.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PRICES = Path(__file__).parents[1] / "gateway" / "pricing" / "prices.json"
TABLE = "model_prices_and_context_window_backup.json"
COLUMNS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
PREFIXES = {"gemini": "gemini/", "anthropic": ""}
MILLION = 10**6


def main() -> int:
    found = differences(_read(PRICES)["prices"], _read(_table()))
    sys.stdout.writelines(f"{line}\n" for line in [*found, f"{len(found)} differences"])
    return 1 if found else 0


def differences(ours: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """A line for each price that the table has otherwise, or not at all."""
    return [
        line
        for kind, models in ours.items()
        for name, row in models.items()
        for line in _of_model(f"{kind}, {name}", row, table.get(PREFIXES[kind] + name))
    ]


def _of_model(where: str, row: dict[str, Any], theirs: dict[str, Any] | None) -> list[str]:
    if theirs is None:
        return [f"{where}: not in the table"]
    above = row.get("above", {})
    suffix = f"_above_{int(above.get('tokens', 0)) // 1000}k_tokens"
    pairs = [(f"{where}, {name}", row.get(name), theirs.get(column)) for name, column in COLUMNS.items()]
    pairs += [
        (f"{where}, {name}{suffix}", value, theirs.get(COLUMNS[name] + suffix))
        for name, value in above.items()
        if name != "tokens"
    ]
    return [_line(*pair) for pair in pairs if _dollars(pair[2]) != pair[1]]


def _dollars(a_token: Decimal | None) -> Decimal | None:
    return None if a_token is None else a_token * MILLION


def _line(where: str, our: Decimal | None, their: Decimal | None) -> str:
    return f"{where}: {our} here, {_dollars(their)} there"


def _read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_bytes(), parse_float=Decimal, parse_int=Decimal)
    return document


def _table() -> Path:
    package = find_spec("litellm")
    if package is None or not package.submodule_search_locations:
        sys.exit(
            "LiteLLM is not installed: uv run --with litellm --no-project python scripts/compare_prices.py"
        )
    return Path(package.submodule_search_locations[0]) / TABLE


if __name__ == "__main__":
    sys.exit(main())
