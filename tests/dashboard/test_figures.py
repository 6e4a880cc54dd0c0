from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.figures import Percentiles, percentiles

times = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=2)


@given(times)
@settings(max_examples=300)
def test_percentiles_are_those_of_statistics(values: list[float]) -> None:
    hundredths = statistics.quantiles(values, n=100, method="inclusive")

    found = percentiles(values)

    assert found.count == len(values)
    assert found.p50 == pytest.approx(statistics.median(values))
    assert found.p50 == pytest.approx(hundredths[49])
    assert found.p95 == pytest.approx(hundredths[94])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Percentiles(None, None, 0)),
        ([3.0], Percentiles(3.0, 3.0, 1)),
        ([1.0, 2.0], Percentiles(1.5, 1.95, 2)),
        ([0.0] * 99 + [1_000_000.0], Percentiles(0.0, 0.0, 100)),
    ],
)
def test_percentiles_of_few_values(values: list[float], found: Percentiles) -> None:
    assert percentiles(values) == found
