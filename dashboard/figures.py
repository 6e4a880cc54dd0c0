"""Numbers of the ledger in the shapes that pages show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Half of the values are at most `p50`, 95 of a hundred at most `p95`; None without values."""

    p50: float | None
    p95: float | None
    count: int


def percentiles(values: Sequence[float]) -> Percentiles:
    if len(values) < 2:
        only = values[0] if values else None
        return Percentiles(only, only, len(values))
    twentieths = quantiles(values, n=20, method="inclusive")
    return Percentiles(twentieths[9], twentieths[18], len(values))
