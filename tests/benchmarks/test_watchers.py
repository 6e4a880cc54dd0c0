from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.needs("haproxy")
@pytest.mark.needs("wrk")
def test_it_measures_a_gateway_with_pages_and_one_without(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    arguments = ["--rounds", "1", "--seconds", "1", "--pages", "2", "--json", str(figures)]
    finished = subprocess.run(
        [sys.executable, "benchmarks/watchers.py", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    assert "| none " in finished.stdout
    [one] = json.loads(figures.read_text())["rounds"]
    assert one["unwatched"]["updates"] == 0
    assert one["watched"]["updates"] > 0
    assert one["watched"]["requests_per_second"] > 0
