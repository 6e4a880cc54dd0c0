from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.earlier import (
    Felt,
    Figures,
    Round,
    Target,
    _note,
    _row,
    felt_table_rows,
    outcome,
    spread_of_rounds,
)
from tests.live_gateway import PROJECT

FEW = ["--rounds", "1", "--seconds", "0.2", "--agents", "3", "--paced", "5", "--held", "10"]
FELT = ["first-event", "agents", "newcomers-20", "W5"]


def test_a_ratio_is_of_the_medians() -> None:
    samples = {
        "before": [{"p99": seconds, "errors": 0.0} for seconds in (0.1, 0.2, 9.0)],
        "now": [{"p99": seconds, "errors": 1.0} for seconds in (0.05, 0.09, 0.1)],
    }

    [row] = felt_table_rows(samples, [Felt("delay, ms", "p99", target=Target(0.5))])

    assert row == ["delay, ms", "200.00", "90.00", "0.45", "≤ 0.5 times", "met", "0", "3"]


def test_a_target_missed_by_a_tenth_is_nearly_met() -> None:
    assert [outcome(value, 2.0) for value in (2.0, 2.1, 2.3)] == ["met", "nearly", "missed"]
    assert [outcome(value, 2.0, is_least=True) for value in (2.0, 1.81, 1.79)] == ["met", "nearly", "missed"]


def test_rounds_are_told_apart_from_the_upstream_without_a_gateway() -> None:
    samples = {
        "direct": [{"p99": 0.001}],
        "before": [{"p99": 0.2}],
        "now": [{"p99": seconds} for seconds in (0.3, 0.1, 0.2)],
    }

    lines = spread_of_rounds(samples, [Felt("delay, ms", "p99"), Felt("first event, ms", "p50")])

    assert lines == ["  delay, ms; direct: 1.00, 1.00, 1.00", "  delay, ms; now: 100.00, 200.00, 300.00"]


def test_a_ratio_stands_beside_what_the_host_took() -> None:
    before = Figures(per_second=500, cpu=0.002, p99=0.05)
    rounds = [
        Round(before, Figures(per_second=1_000, cpu=0.001, p99=0.03), steal=0.36),
        Round(before, Figures(per_second=1_400, cpu=0.0008, p99=0.02), steal=0.01),
        Round(before, Figures(per_second=1_300, cpu=0.0009, p99=0.02), steal=0.04),
    ]

    assert _note("W1", rounds) == "  W1: 2.80 (1%), 2.60 (4%), 2.00 (36%)"
    assert _row("W1", rounds) == [
        *("W1", "500", "1300", "2.60", "2.00 to 2.80", "0.45", "0.40", "4%", "ratio ≥ 2.7: nearly")
    ]


@pytest.mark.full
@pytest.mark.needs("haproxy")
@pytest.mark.needs("wrk")
def test_it_measures_without_an_error() -> None:
    finished = subprocess.run(
        [sys.executable, "benchmarks/earlier.py", ".", *FEW, "--only", "W4", *FELT],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    lines = [line for line in finished.stdout.splitlines() if line.startswith("| ")]
    rows = [line.split("|") for line in lines if "---" not in line and "before" not in line]
    assert len(rows) == 9
    assert "p99 ≤ 0.5: " in finished.stdout
    assert all(row[-2].strip() == row[-3].strip() == "0" for row in rows[1:]), finished.stdout
