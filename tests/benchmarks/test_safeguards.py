from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def test_it_measures_each_reply_with_the_check_and_without(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    arguments = ["--rounds", "2", "--requests", "2", "--json", str(figures)]
    finished = subprocess.run(
        [sys.executable, "benchmarks/safeguards.py", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    assert "| 4 calls " in finished.stdout
    assert "no call, round 2 of 2" in finished.stderr
    cases = {one["case"]: one for one in json.loads(figures.read_text())["cases"]}
    assert cases["no call"]["prompt_tokens"] == 0
    assert cases["1 call"]["prompt_tokens"] > 1_000
    assert cases["4 calls"]["answer_tokens"] > cases["1 call"]["answer_tokens"]
