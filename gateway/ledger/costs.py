"""The costs of a request's attempts, at the prices when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.pricing.prices import BilledTokens
from gateway.translation.response.usage import NO_TOKENS

if TYPE_CHECKING:
    from gateway.ledger.record import RequestRecord
    from gateway.pricing.price_list import PriceList
    from gateway.relay.error_messages import Attempt


def set_costs(record: RequestRecord, prices: PriceList) -> None:
    """Set the costs of a record that has ended. The record's own cost is None when that of any attempt is
    unknown."""
    cost, unpriced = None, 0
    for attempt in record.attempts:
        if attempt.tokens != NO_TOKENS:
            _set_cost(attempt, prices)
        unpriced += attempt.unpriced
        if attempt.cost is not None:
            cost = (cost or 0) + attempt.cost
    record.unpriced, record.cost = unpriced, None if unpriced else cost


def _set_cost(attempt: Attempt, prices: PriceList) -> None:
    charge = prices.charge(attempt.kind, attempt.model_id, is_paid=attempt.is_paid)
    if charge is not None:
        attempt.cost = charge.cost(_billed(attempt))
        attempt.unpriced = int(attempt.cost is None)


def _billed(attempt: Attempt) -> BilledTokens:
    tokens, writes = attempt.tokens, attempt.cache_writes
    return BilledTokens(max(0, tokens.input - sum(writes)), tokens.output, tokens.cache_read, *writes)
