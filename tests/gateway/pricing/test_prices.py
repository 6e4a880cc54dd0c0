"""What tokens cost, and which files of prices can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pricing.price_list import shipped_prices
from gateway.pricing.prices import NOTHING, BilledTokens, Charge, Price, PricesUnreadable, read_prices

MILLION = 10**6
DOLLAR = 10**9

SONNET = {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6}
PRO = {"input": 1.25, "output": 10, "above": {"tokens": 200_000, "input": 2.5, "output": 15}}


def a_price(row: dict[str, Any]) -> Price:
    price = read_prices(json.dumps({"prices": {"k": {"m": row}}})).of("k", "m")
    assert price is not None
    return price


@pytest.mark.parametrize(
    ("row", "tokens", "dollars"),
    [
        (SONNET, BilledTokens(input=MILLION), 3),
        (SONNET, BilledTokens(output=MILLION), 15),
        (SONNET, BilledTokens(cache_read=MILLION), 0.3),
        (SONNET, BilledTokens(cache_write=MILLION), 3.75),
        (SONNET, BilledTokens(cache_write_1h=MILLION), 6),
        (SONNET, BilledTokens(), 0),
        (PRO, BilledTokens(input=200_000), 0.25),
        (PRO, BilledTokens(input=200_001), 0.5000025),
        (PRO, BilledTokens(input=1, cache_read=200_000, output=1_000), 0.5000025 + 0.015),
        ({"input": 0.1, "output": 0.4}, BilledTokens(input=1), 0.0000001),
        ({"input": 0.0001, "output": 0}, BilledTokens(input=5), 0),
        ({"input": 2, "output": 0}, BilledTokens(cache_read=MILLION), 2),
    ],
)
def test_a_call_costs(row: dict[str, Any], tokens: BilledTokens, dollars: float) -> None:
    assert a_price(row).cost(tokens) == round(dollars * DOLLAR)


def test_an_unknown_price_is_no_price_of_zero() -> None:
    assert Charge(None).cost(BilledTokens(input=5)) is None
    assert Charge(NOTHING).cost(BilledTokens(input=5)) == 0


@given(st.lists(st.integers(0, 2**40), min_size=5, max_size=5))
@settings(max_examples=300)
def test_costs_are_whole_and_grow_with_tokens(counts: list[int]) -> None:
    price = a_price(SONNET)

    assert price.cost(BilledTokens(*counts)) <= price.cost(BilledTokens(*(count + 1 for count in counts)))


@pytest.mark.parametrize(
    ("kind", "model", "is_known"),
    [
        ("anthropic", "claude-sonnet-4-5", True),
        ("anthropic", "claude-sonnet-4-5-20250929", True),
        ("anthropic", "claude-sonnet-4-5-2025", False),
        ("anthropic", "claude-sonnet-99", False),
        ("gemini", "gemini-2.5-pro", True),
        ("gemini", "claude-sonnet-4-5", False),
        ("compatible", "gemini-2.5-pro", False),
    ],
)
def test_a_price_is_that_of_the_kind_and_model(kind: str, model: str, is_known: bool) -> None:
    assert (shipped_prices().of(kind, model) is not None) is is_known


def test_prices_that_come_with_the_program_have_a_date() -> None:
    assert shipped_prices().date == "2026-11-26"


def test_other_prices_replace_those_of_their_models() -> None:
    mine = read_prices(
        '{"date": "2027-01-01", "prices": {"gemini": {"gemini-2.5-pro": {"input": 1, "output": 1}}}}'
    )

    joined = shipped_prices().under(mine)

    assert joined.date == "2027-01-01"
    assert joined.of("gemini", "gemini-2.5-pro") == a_price({"input": 1, "output": 1})
    assert joined.of("gemini", "gemini-2.5-flash") == shipped_prices().of("gemini", "gemini-2.5-flash")


def a_file(row: Any) -> str:
    return json.dumps({"prices": {"gemini": {"m": row}}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "the file is no object"),
        ("{}", '"prices" is no object'),
        ('{"date": 5, "prices": {}}', '"date" is no text'),
        ('{"prices": {"gemini": []}}', "gemini is no object"),
        (a_file(5), "gemini, m is no object"),
        (a_file({"input": 1}), "gemini, m: output is missing"),
        (a_file({"input": "1", "output": 1}), "gemini, m, input: a number from 0 to 100000"),
        (a_file({"input": -1, "output": 1}), "a number from 0"),
        (a_file({"input": 1e9, "output": 1}), "a number from 0"),
        (a_file({"input": True, "output": 1}), "a number from 0"),
        ('{"prices": {"k": {"m": {"input": NaN, "output": 1}}}}', "not valid JSON"),
        (a_file({"input": 1, "output": 1, "cached": 1}), "'cached' is no price"),
        (a_file({"input": 1, "output": 1, "above": {"input": 1, "output": 1}}), "m, tokens: a number"),
    ],
)
def test_a_file_with_a_mistake_says_where(text: str, words: str) -> None:
    with pytest.raises(PricesUnreadable) as caught:
        read_prices(text)

    assert words in str(caught.value)
