from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.needs("haproxy"), pytest.mark.needs("wrk")]


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/run.py", *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_it_measures_everything_without_an_error(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    finished = run_benchmarks(
        "--quick", "--only", "W4,W3,requests,held", "--requests", "50", "--streams", "10",
        "--held-seconds", "1", "--json", str(figures),
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    assert "| W4 " in finished.stdout
    assert "round 1 of 1" in finished.stderr
    results = json.loads(figures.read_text())
    [only_round] = results["throughput"][0]["rounds"]
    assert only_round["gateway"]["requests_per_second"] > 0
    assert only_round["gateway"]["errors"] == only_round["relay"]["errors"] == 0
    assert results["paced"][0]["gateway"]["errors"] == 0
    assert results["requests"] == {"requests": 50, "errors": 0}
    assert results["held"]["errors"] == 0


def test_it_leaves_no_process_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "benchmarks/run.py", "--only", "W2"],
        cwd=PROJECT, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()  # the first round is over, so everything runs
    children = children_of(process.pid)

    process.terminate()

    process.communicate(timeout=30)
    assert len(children) >= 3
    deadline = time.monotonic() + 10
    while any(is_running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(child) for child in children)
    assert not list(tmp_path.iterdir())


def test_an_unknown_part_is_named() -> None:
    finished = run_benchmarks("--only", "W9")

    assert finished.returncode == 2
    assert "W9 is none of W1, W2, W2L, W4, W3, requests, held" in finished.stderr


def test_it_names_the_packages_that_are_missing(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "benchmarks/run.py"],
        cwd=PROJECT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert finished.returncode == 1
    assert finished.stderr == ("haproxy and wrk cannot be found. On Debian: apt install haproxy wrk\n")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """One that has ended may stay listed until whoever inherited it takes notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
