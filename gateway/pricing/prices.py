"""What tokens cost. Pure.

Amounts are whole billionths of a dollar, so that sums are exact; prices are dollars for a million tokens, as
providers publish them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

NANO_DOLLARS = 10**9
"""Billionths of a dollar in a dollar."""
_NANO_DOLLARS_A_MILLIONTH = Decimal(NANO_DOLLARS // 10**6)
MOST_DOLLARS = 100_000
"""The highest price in dollars for a million tokens. A higher one is a mistake."""
MOST_TOKENS = 10**9
_DATE = re.compile(r"-\d{8}$")


def as_dollars(cost: int | None) -> float | None:
    """Return an amount of billionths in dollars, for JSON; None stays None."""
    return None if cost is None else cost / NANO_DOLLARS


def in_dollars(cost: int) -> str:
    """Return an amount of billionths as text: $12.35, or with four decimals below ten cents ($0.0123)."""
    dollars = Decimal(cost) / NANO_DOLLARS
    return f"${dollars:,.2f}" if not cost or abs(dollars) >= Decimal("0.1") else f"${dollars:.4f}"


def cost_in_words(cost: int | None, unpriced: int) -> str:
    """Return the cost of calls as text: "$1.20", "≥ $1.20", "unknown". `unpriced` is the number of calls
    without a known price."""
    if unpriced:
        return f"≥ {in_dollars(cost)}" if cost else "unknown"
    return in_dollars(cost or 0)


class PricesUnreadable(ValueError):
    """Raised for a file of prices that is not valid. The text names the place and the mistake, never a
    value."""


class BilledTokens(NamedTuple):
    """The tokens of a call, by price. `input` is what was neither read from the cache nor written to it;
    `output` includes thinking."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """Tokens written to the cache for five minutes."""
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in dollars for a million tokens. The last three equal `input` where the provider has no price of
    their own."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """The rates of a model, and its rates for prompts of more than `long_prompt` tokens, if those differ."""

    rates: Rates
    long_prompt: int | None = None
    long_rates: Rates | None = None

    def cost(self, tokens: BilledTokens) -> int:
        """Return the cost of one call in billionths of a dollar."""
        is_long = self.long_prompt is not None and tokens.prompt > self.long_prompt
        rates = self.long_rates if is_long and self.long_rates is not None else self.rates
        dollars = sum(
            (count * getattr(rates, name) for name, count in tokens._asdict().items()), start=Decimal()
        )
        return int((dollars * _NANO_DOLLARS_A_MILLIONTH).to_integral_value(ROUND_HALF_EVEN))


NOTHING = Price(Rates(*(Decimal() for _ in fields(Rates))))
"""The price for accounts that pay nothing."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an account pays for a model's tokens. `price` is None when it is unknown, which does not mean
    0."""

    price: Price | None

    def cost(self, tokens: BilledTokens) -> int | None:
        return None if self.price is None else self.price.cost(tokens)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by kind of account, then by the model's id there. `date` is when they were last checked; "" when
    unknown."""

    date: str
    by_kind: Mapping[str, Mapping[str, Price]]

    def of(self, kind: str, model_id: str) -> Price | None:
        """Return the price of a model, whose id may end with the date of its version; None when it is
        unknown."""
        known = self.by_kind.get(kind, {})
        return known.get(model_id) or known.get(_DATE.sub("", model_id))

    def under(self, other: Prices) -> Prices:
        """Return these prices, overridden by those of `other`, model by model."""
        kinds = self.by_kind.keys() | other.by_kind.keys()
        joined = {kind: {**self.by_kind.get(kind, {}), **other.by_kind.get(kind, {})} for kind in kinds}
        return Prices(other.date or self.date, joined)


# From JSON


def read_prices(text: str | bytes) -> Prices:
    """Parse {"date": ..., "prices": {kind: {model: {"input", "output", ...}}}}. Raises PricesUnreadable."""
    try:
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PricesUnreadable("it is not valid JSON") from error
    document = _object(document, "the file")
    date = document.get("date", "")
    if not isinstance(date, str) or len(date) > 20 or not date.isprintable():
        raise PricesUnreadable('"date" is no text such as 2026-11-26')
    kinds = _object(document.get("prices"), '"prices"')
    return Prices(date, {kind: _models(models, kind) for kind, models in kinds.items()})


def _models(value: Any, kind: str) -> dict[str, Price]:
    return {name: _price(row, f"{kind}, {name}") for name, row in _object(value, kind).items()}


def _price(value: Any, where: str) -> Price:
    row = dict(_object(value, where))
    above = row.pop("above", None)
    rates = _rates(row, where)
    if above is None:
        return Price(rates)
    above = dict(_object(above, where))
    return Price(
        rates, int(_number(above.pop("tokens", None), f"{where}, tokens", 10**9)), _rates(above, where)
    )


def _rates(row: dict[str, Any], where: str) -> Rates:
    names = [field.name for field in fields(Rates)]
    if unknown := row.keys() - set(names):
        raise PricesUnreadable(f"{where}: {min(unknown)!r} is no price; known are {', '.join(names)}")
    given = {name: _number(value, f"{where}, {name}", MOST_DOLLARS) for name, value in row.items()}
    if missing := {"input", "output"} - given.keys():
        raise PricesUnreadable(f"{where}: {min(missing)} is missing")
    return Rates(**{name: given.get(name, given["input"]) for name in names})


def _number(value: Any, where: str, most: int) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= most:
        raise PricesUnreadable(f"{where}: a number from 0 to {most} is needed")
    return value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PricesUnreadable(f"{where} is no object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)
