"""Which prices are in use, and when the operator's file is read again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gateway.pricing import price_list
from gateway.pricing.price_list import PriceList
from gateway.pricing.prices import BilledTokens, Charge

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "gemini-2.5-flash"
TOKENS = BilledTokens(input=10**6)


@pytest.fixture(autouse=True)
def always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_list, "LOOK_EVERY_SECONDS", 0)


def write(file: Path, dollars: float, at: int = 1) -> None:
    file.write_text(f'{{"prices": {{"gemini": {{"{MODEL}": {{"input": {dollars}, "output": 1}}}}}}}}')
    os.utime(file, (at, at))


def dollars(prices: PriceList) -> float | None:
    charge = prices.charge("gemini", MODEL, is_paid=True)
    cost = None if charge is None else charge.cost(TOKENS)
    return None if cost is None else cost / 10**9


def test_the_operators_file_is_read_as_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    prices = PriceList(file)
    seen = [dollars(prices)]

    write(file, 7)
    seen.append(dollars(prices))
    write(file, 8, at=2)
    seen.append(dollars(prices))
    file.unlink()
    seen.append(dollars(prices))

    assert seen == [0.3, 7, 8, 0.3]


def test_a_file_that_cannot_be_read_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "prices.json"
    write(file, 7)
    prices = PriceList(file)
    assert dollars(prices) == 7

    file.write_text('{"prices": []}')

    assert [dollars(prices), dollars(prices)] == [7, 7]
    assert caplog.messages == [f'The prices in {file} cannot be used: "prices" is no object.']


def test_only_kinds_that_bill_tokens_are_charged(tmp_path: Path) -> None:
    prices = PriceList(tmp_path / "prices.json")

    assert prices.charge("google", MODEL, is_paid=False) is None
    assert prices.charge("compatible", MODEL, is_paid=True) == Charge(None)
    assert prices.charge("compatible", MODEL, is_paid=False) == Charge(None)
    unpaid = prices.charge("gemini", MODEL, is_paid=False)
    assert unpaid is not None
    assert unpaid.cost(TOKENS) == 0
