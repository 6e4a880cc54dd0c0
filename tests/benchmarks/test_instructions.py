"""The counts of callgrind, and what is shown of them."""

from __future__ import annotations

import pytest

from benchmarks.instructions import _counts_in, _row

PROFILE = """\
# callgrind format
version: 1
positions: line
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim

fn=(1) run
16 9 8 7 6 5 4 3 2 1 0 1 2 3
totals: 4000000 9 8 6000 500 400 3 2 1 0 1000 2 3000
"""


def test_the_totals_are_those_of_one_request() -> None:
    counts = _counts_in(PROFILE, requests=100)

    assert counts["Ir"] == 40_000
    assert _row("W1", counts) == ["W1", "40,000", "60", "9", "40"]


def test_a_profile_without_counts_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="counted nothing"):
        _counts_in("# callgrind format\n", requests=100)
