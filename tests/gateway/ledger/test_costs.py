"""What requests cost: each attempt, the request, the sums, and as `stats` and `logs` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger import usage
from gateway.ledger.costs import set_costs
from gateway.ledger.recorder import summary
from gateway.ledger.rows_and_sums import entry_of, store
from gateway.models import RequestAttempt
from gateway.pricing.price_list import PriceList
from gateway.pricing.prices import cost_in_words, in_dollars
from gateway.translation.response.usage import Tokens
from tests.gateway.ledger.builders import INSTANCE, MORNING, a_record, an_attempt, row_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.ledger.record import RequestRecord
    from gateway.relay.error_messages import Attempt

FLASH = {"kind": "gemini", "model_id": "gemini-2.5-flash"}
"""0.30 dollars for a million tokens of input, 2.50 for output, 0.03 from the cache."""
TOKENS = Tokens(1_000_000, 100_000, 1_000_000)
COST = 300_000_000 + 250_000_000 + 30_000_000


def paid(**changes: Any) -> Attempt:
    return an_attempt(**{**FLASH, "is_paid": True, "tokens": TOKENS, **changes})


@pytest.fixture
def prices(tmp_path: Path) -> PriceList:
    return PriceList(tmp_path / "prices.json")


def counted(prices: PriceList, *attempts: Attempt, **changes: Any) -> RequestRecord:
    record = a_record(attempts=list(attempts), **changes)
    set_costs(record, prices)
    return record


@pytest.mark.parametrize(
    ("attempts", "cost", "unpriced"),
    [
        ([paid()], COST, 0),
        ([paid(is_paid=False)], 0, 0),
        ([paid(model_id="gemini-99")], None, 1),
        ([an_attempt(kind="google", tokens=TOKENS)], None, 0),
        ([paid(tokens=Tokens()), paid()], COST, 0),
        ([paid(tokens=Tokens(), model_id="gemini-99")], None, 0),
        ([paid(), paid()], 2 * COST, 0),
        ([paid(), paid(model_id="gemini-99")], None, 1),
        ([an_attempt(kind="google", tokens=TOKENS), paid()], COST, 0),
        ([], None, 0),
    ],
)
def test_a_request_costs_what_its_attempts_do(
    attempts: list[Attempt], cost: int | None, unpriced: int, prices: PriceList
) -> None:
    record = counted(prices, *attempts)

    assert (record.cost, record.unpriced) == (cost, unpriced)


def test_writing_to_a_cache_has_its_own_price(prices: PriceList) -> None:
    sonnet = {"kind": "anthropic", "model_id": "claude-sonnet-4-5", "is_paid": True}
    tokens = Tokens(3_000_000, 0, 0)

    record = counted(prices, an_attempt(**sonnet, tokens=tokens, cache_writes=(1_000_000, 1_000_000)))

    assert record.cost == round((3 + 3.75 + 6) * 10**9)


def test_rows_and_sums_have_the_cost(prices: PriceList, db: None) -> None:
    failed = paid(reason="broke off", model_id="gemini-99")
    records = [counted(prices, paid()), counted(prices, failed, paid())]

    store([entry_of(record, INSTANCE) for record in records], INSTANCE, is_replay=False)

    assert [(row_of(one).cost, row_of(one).unpriced) for one in records] == [(COST, 0), (None, 1)]
    assert list(RequestAttempt.objects.values_list("cost", "unpriced")) == [(None, 1), (COST, 0)]
    total = usage.totals(MORNING)
    assert (total.cost, total.unpriced) == (2 * COST, 1)
    assert total.as_json()["cost_dollars"] == 1.16


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, "1 attempt; $0.58"),
        ({"is_paid": False}, "1 attempt; $0.00"),
        ({"model_id": "gemini-99"}, "1 attempt; price not known"),
        ({"kind": "google"}, "1 attempt"),
    ],
)
def test_the_log_line_ends_with_the_cost(changes: dict[str, Any], end: str, prices: PriceList) -> None:
    assert summary(counted(prices, paid(**changes))).endswith(end)


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (0, "$0.00"),
        (1, "$0.0000"),
        (12_345_678, "$0.0123"),
        (99_990_000, "$0.1000"),
        (100_000_000, "$0.10"),
        (1_234_567_890_123, "$1,234.57"),
    ],
)
def test_dollars_have_as_many_decimals_as_they_need(cost: int, words: str) -> None:
    assert in_dollars(cost) == words


@pytest.mark.parametrize(
    ("cost", "unpriced", "words"),
    [(None, 0, "$0.00"), (10**9, 0, "$1.00"), (10**9, 2, "≥ $1.00"), (0, 2, "unknown"), (None, 1, "unknown")],
)
def test_an_unknown_price_is_said(cost: int | None, unpriced: int, words: str) -> None:
    assert cost_in_words(cost, unpriced) == words
