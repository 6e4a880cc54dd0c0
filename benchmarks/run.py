"""The main benchmark: `uv run benchmarks/run.py` starts everything, measures, and prints tables.

What is measured is in benchmarks/workloads.py, how in measure.py. Figures of one machine are in
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/run.py` puts only this folder there

from benchmarks import endurance, report  # noqa: E402
from benchmarks.measure import measure_paced, measure_workload  # noqa: E402
from benchmarks.plan import DEFAULT, QUICK, PreparedRequest  # noqa: E402
from benchmarks.stage import Stage  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from types import FrameType

PARTS = (*WORKLOADS, "W3", "requests", "held")
PROGRAMS = ("haproxy", "wrk")


def main() -> None:
    arguments = _parser().parse_args()
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.exit(f"{' and '.join(missing)} cannot be found. On Debian: apt install {' '.join(missing)}")
    # SIGTERM must stop the servers, too: SystemExit leaves through their `with` blocks.
    signal.signal(signal.SIGTERM, _leave)
    try:
        results = _run(arguments.only, _plan(arguments))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    print(report.as_text(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(results), indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py",
        description="Measures the gateway beside HAProxy as a do-nothing relay.",
        epilog="Parts: "
        + "; ".join(f"{workload.name}: {workload.meaning}" for workload in WORKLOADS.values())
        + "; W3: streams whose events come 5 ms apart; requests: many requests, each answer checked;"
        " held: idle streams, and what memory each takes. The default takes about five minutes and"
        " --quick less than one.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), metavar="W1,W2", help=f"some of {','.join(PARTS)}"
    )
    for name, meaning in {
        "rounds": "how often relay and gateway take turns",
        "seconds": "length of one measurement of throughput",
        "requests": "how many requests the part `requests` sends",
        "streams": "how many streams the part `held` opens",
        "held-seconds": "how long it holds them",
    }.items():
        field = name.replace("-", "_")
        kind = type(getattr(DEFAULT, field))
        parser.add_argument(
            f"--{name}", type=kind, metavar="N", help=f"{meaning} (default {getattr(DEFAULT, field)})"
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there, too")
    return parser


def _parts(text: str) -> list[str]:
    wanted = text.split(",")
    if unknown := [part for part in wanted if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(PARTS)}")
    return wanted


def _plan(arguments: argparse.Namespace) -> PreparedRequest:
    asked = {name: getattr(arguments, name) for name in asdict(DEFAULT) if getattr(arguments, name, None)}
    return replace(QUICK if arguments.quick else DEFAULT, **asked)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _run(parts: list[str], plan: PreparedRequest) -> report.Results:
    results = report.Results(machine=report.machine(), plan=plan)
    with Stage() as stage:
        for part in parts:
            if part in WORKLOADS:
                results.throughput += measure_workload(stage, WORKLOADS[part], plan)
            elif part == "W3":
                results.paced += measure_paced(stage, plan)
            elif part == "requests":
                results.requests = endurance.send_many(stage, plan)
            else:
                results.held = endurance.hold_idle(stage, plan)
    return results


if __name__ == "__main__":
    main()
