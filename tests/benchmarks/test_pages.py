from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.pages import PAGES
from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def test_it_measures_each_page_within_its_queries(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    few = ["--rows", "1000", "--accounts", "3", "--times", "1"]
    finished = subprocess.run(
        [sys.executable, "benchmarks/pages.py", *few, "--json", str(figures)],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    costs = {one["page"]: one for one in json.loads(figures.read_text())}
    assert len(costs) == finished.stdout.count("| `/")
    assert all(cost["queries"] <= PAGES[page][0] for page, cost in costs.items()), costs
    assert costs["/"]["queries"] > 10
    assert all(one["kilobytes"] > 5 for one in costs.values())
