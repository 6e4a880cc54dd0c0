"""This gateway beside an earlier one: `uv run --all-groups benchmarks/earlier.py [COMMIT]`.

The earlier commit is checked out into a folder of its own, with the libraries it asks for. Its `runserver`,
and `runserver` and `serve` of the present code, run at the same time in front of the same canned answers,
with everything on: key, three accounts, ledger, activity, log at info. They are measured in turns of one
second, since a machine's speed may change more from minute to minute than the code did.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/earlier.py` puts only this folder there

from benchmarks.before_and_now import FIRST_COMMIT, BeforeAndNow  # noqa: E402
from benchmarks.gateway_server import SERVERS  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.measure import WARM_UP_SECONDS  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.stage import Target

ROUNDS = 7
TURNS = 4
"""The measurements of a second, of each gateway, in a round."""
HEAD = ("workload", "server", "before/s", "now/s", "ratio", "lowest to highest", "CPU", "p99")


@dataclass(frozen=True, slots=True)
class Figures:
    """One gateway in one round. CPU in seconds a request, p99 in seconds to the end of an answer."""

    per_second: float
    cpu: float
    p99: float


def main() -> None:
    arguments = _parser().parse_args()
    rows = measure(arguments.commit, arguments.only, arguments.rounds, arguments.servers)
    print(f"{machine()}; medians of {arguments.rounds} rounds, {TURNS} seconds of each in turns.")
    print(f"Before: {arguments.commit}'s runserver. Ratio, CPU and p99 are times those before.\n")
    print(table(list(HEAD), rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/earlier.py",
        description="Throughput, CPU and time of answers, beside those of an earlier commit.",
    )
    parser.add_argument("commit", nargs="?", default=FIRST_COMMIT, help=f"default: {FIRST_COMMIT}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS), help="of now")
    return parser


def measure(commit: str, workloads: list[str], rounds: int, servers: list[str]) -> list[list[str]]:
    """Return rows of the table. Raises processes.DidNotStart, and CalledProcessError without the commit."""
    rows = []
    with BeforeAndNow(commit, servers) as both:
        for workload in [WORKLOADS[one] for one in workloads]:
            say(f"{workload.name}: {workload.meaning}")
            with ExitStack() as stack:
                targets = [stack.enter_context(_warm_target(both, name, workload)) for name in both.names]
                figures = [_round(targets, workload.at_once) for _ in range(rounds)]
            for number, server in enumerate(servers, 1):
                rows.append(_row(workload.name, server, [(each[0], each[number]) for each in figures]))
    return rows


@contextmanager
def _warm_target(both: BeforeAndNow, name: str, workload: Workload) -> Iterator[Target]:
    url = both.canned(workload.name)
    with both.target(name, url, workload.headers, workload.body) as target:
        run_load(target, workload.at_once, WARM_UP_SECONDS)
        yield target


def _round(targets: list[Target], at_once: int) -> list[Figures]:
    """Return the figures of each target."""
    measured: list[list[Figures]] = [[] for _ in targets]
    for _ in range(TURNS):
        for target, figures in zip(targets, measured, strict=True):
            figures.append(_measure(target, at_once))
    return [
        Figures(
            statistics.mean(one.per_second for one in figures),
            statistics.mean(one.cpu for one in figures),
            statistics.median(one.p99 for one in figures),
        )
        for figures in measured
    ]


def _measure(target: Target, at_once: int) -> Figures:
    before = target.server.cpu_seconds()
    load = run_load(target, at_once, seconds=1)
    cpu = target.server.cpu_seconds() - before
    assert not load.errors, f"{load.errors} errors"
    return Figures(load.requests / load.seconds, cpu / max(load.requests, 1), load.p99)


def _row(workload: str, server: str, rounds: list[tuple[Figures, Figures]]) -> list[str]:
    ratios = [now.per_second / before.per_second for before, now in rounds]
    return [
        workload,
        server,
        f"{statistics.median(before.per_second for before, _ in rounds):.0f}",
        f"{statistics.median(now.per_second for _, now in rounds):.0f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{statistics.median(now.cpu / before.cpu for before, now in rounds):.2f}",
        f"{statistics.median(now.p99 / before.p99 for before, now in rounds):.2f}",
    ]


if __name__ == "__main__":
    main()
