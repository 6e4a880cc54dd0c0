"""The comparison of prices with LiteLLM's table, on rows as that has them (1.110.2, 26 November 2026)."""

from __future__ import annotations

import json
import runpy
from decimal import Decimal
from typing import Any

from tests.live_gateway import PROJECT

SCRIPT = runpy.run_path(str(PROJECT / "scripts" / "compare_prices.py"))

TABLE = """{
  "claude-sonnet-4-5": {
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06
  },
  "gemini/gemini-2.5-pro": {
    "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06,
    "output_cost_per_token": 1e-05, "output_cost_per_token_above_200k_tokens": 1.5e-05,
    "cache_read_input_token_cost": 1.25e-07, "cache_read_input_token_cost_above_200k_tokens": 2.5e-07
  }
}"""


def differences(**changes: Any) -> list[str]:
    """Of the prices that come with the program, with changes to Gemini 2.5 Pro."""
    ours = _parse(SCRIPT["PRICES"].read_text())["prices"]
    kept = {
        "anthropic": {"claude-sonnet-4-5": ours["anthropic"]["claude-sonnet-4-5"]},
        "gemini": {"gemini-2.5-pro": {**ours["gemini"]["gemini-2.5-pro"], **changes}},
    }
    found: list[str] = SCRIPT["differences"](kept, _parse(TABLE))
    return found


def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return parsed


def test_equal_prices_differ_in_nothing() -> None:
    assert differences() == []


def test_another_price_is_a_difference() -> None:
    assert differences(output=Decimal(11)) == ["gemini, gemini-2.5-pro, output: 11 here, 10.00000 there"]


def test_another_price_of_long_prompts_is_a_difference() -> None:
    rates = {"input": "2.5", "output": "16", "cache_read": "0.25"}
    above = {"tokens": Decimal(200_000)} | {name: Decimal(rate) for name, rate in rates.items()}

    assert [line.split(":")[0] for line in differences(above=above)] == [
        "gemini, gemini-2.5-pro, output_above_200k_tokens"
    ]


def test_a_model_that_the_table_lacks_is_a_difference() -> None:
    assert SCRIPT["differences"]({"gemini": {"m": {}}}, {}) == ["gemini, m: not in the table"]
