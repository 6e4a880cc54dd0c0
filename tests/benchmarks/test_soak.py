from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.soak import COMPARED, SETTLED_AFTER, Minute, complaints
from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def minutes(*changes: tuple[int, int, int]) -> list[Minute]:
    """The first minutes of a run, and then one for each (memory, descriptors, threads)."""
    before = [(50_000, 90, 90)] * SETTLED_AFTER
    return [
        Minute(100, 9, 9, 1.0, memory, files, threads, []) for memory, files, threads in [*before, *changes]
    ]


def test_a_run_that_stays_as_it_is_has_no_complaints() -> None:
    assert complaints(minutes(*[(80_000, 25, 10)] * COMPARED, *[(80_500, 25, 10)] * COMPARED)) == []


def test_what_grew_is_named() -> None:
    grown = complaints(minutes(*[(80_000, 25, 10)] * COMPARED, *[(88_000, 26, 11)] * COMPARED))

    assert grown == ["memory grew by 10.0%", "descriptors grew from 25 to 26", "threads grew from 10 to 11"]


@pytest.mark.full
def test_it_reads_the_gateway_after_each_minute(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    arguments = ["--minutes", "2", "--minute-seconds", "5", "--json", str(figures)]
    finished = subprocess.run(
        [sys.executable, "benchmarks/soak.py", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("soak: flat\n")
    measured = json.loads(figures.read_text())["minutes"]
    assert len(measured) == 2
    assert all(one["requests"] > 0 and one["memory_kb"] > 10_000 for one in measured)
