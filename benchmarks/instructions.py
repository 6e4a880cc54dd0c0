"""Count the instructions of one request: `uv run --all-groups benchmarks/instructions.py [W1 …]`.

valgrind's callgrind counts the instructions of the event loop's thread, and simulates its caches and its
branch prediction. Unlike times, the counts vary by less than one in a hundred on a busy machine; unlike
function calls (budget.py), they tell a short call from a long one. The gateway runs fifty times slower
meanwhile. Needs valgrind.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/instructions.py` puts only this folder there

from benchmarks.budget import counted_gateway  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

SHORT_ONES = ["W1", "W2"]
WARM_UP = 200
REQUESTS = 400
"""Enough to make the share of the gateway's periodic tasks negligible."""
CACHES = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,8,64"]
"""Size in bytes, associativity and line size of the simulated caches: first-level code and data, and in place
of callgrind's last level a second-level cache of 512 KiB."""
HEAD = ["of one request", "instructions", "misses of the code cache", "of the data cache", "wrong branches"]
EVENTS = re.compile(r"^events: (.*)$", re.MULTILINE)
TOTALS = re.compile(r"^totals: (.*)$", re.MULTILINE)

Counts = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks/instructions.py", description="Instructions of one request, counted by callgrind."
    )
    names = list(WORKLOADS)
    shown = f"{', '.join(names)}; default: {' '.join(SHORT_ONES)}. The others take minutes."
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=shown)
    asked = parser.parse_args().workloads or SHORT_ONES
    if unknown := set(asked).difference(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. There are {', '.join(names)}.")
    if shutil.which("valgrind") is None:
        sys.exit("valgrind cannot be found. Install it: sudo apt install valgrind")
    rows = []
    for name in asked:
        say(name)
        rows.append(_row(name, count(name)))
    print(f"{machine()}; the event loop's thread, {REQUESTS} requests one after another\n")
    print(table(HEAD, rows))


def count(workload: str, requests: int = REQUESTS) -> Counts:
    """Return the counts of one request by callgrind's event names, such as "Ir" for instructions."""
    with tempfile.TemporaryDirectory(prefix="gateway-instructions-") as folder:
        profile = Path(folder) / "profile"
        with counted_gateway("calls", under=_callgrind(profile)) as gateway:
            gateway.send(WORKLOADS[workload], WARM_UP)
            _control("--instr=on", gateway.pid)
            gateway.send(WORKLOADS[workload], requests)
            _control("--dump", gateway.pid)
        return _counts_in(Path(f"{profile}.1-01").read_text(), requests)


def _callgrind(profile: Path) -> list[str]:
    return [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--cache-sim=yes",
        "--branch-sim=yes", *CACHES, f"--callgrind-out-file={profile}",
    ]  # fmt: skip


def _control(command: str, pid: int) -> None:
    subprocess.run(["callgrind_control", command, str(pid)], check=True, capture_output=True)


def _counts_in(profile: str, requests: int) -> Counts:
    events, totals = EVENTS.search(profile), TOTALS.search(profile)
    if events is None or totals is None:
        raise RuntimeError("callgrind has counted nothing")
    pairs = zip(events[1].split(), totals[1].split(), strict=True)
    return {event: int(total) / requests for event, total in pairs}


def _row(workload: str, counts: Counts) -> list[str]:
    shown = [
        counts["Ir"],
        counts["I1mr"],
        counts["D1mr"] + counts["D1mw"],
        counts["Bcm"] + counts["Bim"],
    ]
    return [workload, *(f"{number:,.0f}" for number in shown)]


if __name__ == "__main__":
    main()
