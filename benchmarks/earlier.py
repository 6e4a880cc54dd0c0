"""This gateway beside an earlier one, and the targets: `uv run --all-groups benchmarks/earlier.py [COMMIT]`.

The earlier commit is checked out into a folder of its own, with the libraries it asks for. Its `runserver`
and that of the present code run at the same time in front of the same canned answers, with everything on:
key, three accounts, ledger, activity, log at info. They are measured in turns of one second, since a
machine's speed may change more from minute to minute than the code did. So is what people feel
(benchmarks/felt.py).
"""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/earlier.py` puts only this folder there

from benchmarks import felt  # noqa: E402
from benchmarks.before_and_now import BEFORE, FIRST_COMMIT, NOW, BeforeAndNow  # noqa: E402
from benchmarks.felt import DIRECT, Amount  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.measure import WARM_UP_SECONDS  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import StealTime  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks import stage
    from benchmarks.felt import Sample, Samples

ROUNDS = 7
TURNS = 4
"""The measurements of a second, of each gateway, in a round."""
HEAD = ("workload", "before/s", "now/s", "ratio", "lowest to highest", "CPU", "p99", "host", "targets")
TIMES_BEFORE = {"W1": 2.7, "W2": 2.7, "W2L": 2.3, "W4": 2.1}
"""What the throughput should be at least, in that before."""
W4_P99 = 0.5
"""The largest p99 of W4, in that before."""
NEARLY = 0.1
"""By how much of it a target may be missed with a reason."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One gateway in one round. CPU in seconds a request, p99 in seconds to the end of an answer."""

    per_second: float
    cpu: float
    p99: float


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of both gateways in one round, and its steal time as a fraction of one CPU."""

    before: Figures
    now: Figures
    steal: float

    @property
    def ratio(self) -> float:
        return self.now.per_second / self.before.per_second


@dataclass(frozen=True, slots=True)
class Target:
    """The largest value that is good, of now or of the ratio to before."""

    limit: float
    is_ratio: bool = True

    def __str__(self) -> str:
        return f"≤ {self.limit:.2g} times" if self.is_ratio else f"≤ {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Felt:
    """A figure of a measurement. `name` is that in its samples; `scale` turns it into the unit of its
    meaning."""

    meaning: str
    name: str
    scale: float = 1e3
    target: Target | None = None


FELT: dict[str, tuple[Callable[[BeforeAndNow, Amount], Samples], list[Felt]]] = {
    "first-event": (
        felt.first_event,
        [Felt("W2, 1 at once: added to the first event, p50, ms", "p50", target=Target(0.6))],
    ),
    "agents": (
        felt.agents,
        [
            Felt("agents with 150 to 300 kB: added to the first event, p50, ms", "p50"),
            Felt("the same, p99, ms", "p99"),
        ],
    ),
    "W3": (
        felt.paced,
        [
            Felt("W3: delay of an event, p99, ms", "delay p99", target=Target(1 / 3)),
            Felt("W3: first event of streams opened at once, p99, ms", "first event p99"),
        ],
    ),
    **{
        f"newcomers-{pause_ms}": (
            partial(felt.newcomers, pause_ms=pause_ms),
            [
                Felt(f"first event while streams run, {pause_ms} ms apart, p50, ms", "p50"),
                Felt("the same, p99, ms", "p99", target=Target(2.0)),
            ],
        )
        for pause_ms in felt.NEWCOMERS_PAUSES_MS
    },
    "W5": (
        felt.held,
        [
            Felt("W5, held streams: memory of each, kB", "kB", 1.0, Target(15, is_ratio=False)),
            Felt("W5: delay of an event, p99, ms", "delay p99", target=Target(5, is_ratio=False)),
            Felt("W5: CPU taken by the machine's host meanwhile, % of a core", "by host", 100),
        ],
    ),
    "start": (
        felt.start,
        [Felt("start to the first answer, s", "seconds", 1.0, Target(2, is_ratio=False))],
    ),
}
"""By the name for --only."""
FELT_HEAD = ("what is felt", "before", "now", "ratio", "target", "", "errors before", "now")


def main() -> None:
    arguments = _parser().parse_args()
    amount = Amount(arguments.rounds, arguments.seconds, arguments.paced, arguments.held, arguments.agents)
    workloads = [one for one in arguments.only if one in WORKLOADS]
    felt_rows, notes = [], []
    with BeforeAndNow(arguments.commit) as both:
        rows, ratios = measure(both, workloads, arguments.rounds)
        for name in [one for one in arguments.only if one in FELT]:
            say(name)
            measurement, figures = FELT[name]
            samples = measurement(both, amount)
            felt_rows += felt_table_rows(samples, figures)
            notes += spread_of_rounds(samples, figures)
    print(f"{machine()}; medians of {arguments.rounds} rounds, {TURNS} seconds of each in turns.")
    print(f"Before: {arguments.commit}'s runserver. Ratio, CPU and p99 are times those before.")
    print("Host: the part of one core that the host of a virtual machine took meanwhile.")
    if rows:
        print(f"\n{table(list(HEAD), rows)}")
        print("\nThe ratio of each round (and what the host took):\n" + "\n".join(ratios))
    if felt_rows:
        streams = f"{amount.paced_streams} paced and {amount.held_streams} held streams"
        print(f"\n{amount.agents} agents, {streams}.\n")
        print(table(list(FELT_HEAD), felt_rows))
    if notes:
        print("\nLowest, median and highest of the rounds:\n" + "\n".join(notes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/earlier.py",
        description="Throughput, CPU and time of answers, beside those of an earlier commit.",
    )
    parser.add_argument("commit", nargs="?", default=FIRST_COMMIT, help=f"default: {FIRST_COMMIT}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parts = [*WORKLOADS, *FELT]
    parser.add_argument(
        "--only", nargs="+", choices=parts, default=parts, metavar="PART", help=", ".join(parts)
    )
    for name, meaning in (
        ("paced", "streams at once in W3 and when others arrive"),
        ("held", "streams in W5"),
        ("agents", "agents at once"),
    ):
        default = getattr(Amount(), name if name == "agents" else f"{name}_streams")
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning}; default: {default}")
    parser.add_argument("--seconds", type=float, default=1.0, help="less, to try what is felt; default: 1")
    return parser


def measure(both: BeforeAndNow, workloads: list[str], rounds: int) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the throughput table, and for each workload a line with the ratio of every round."""
    rows, notes = [], []
    for workload in [WORKLOADS[one] for one in workloads]:
        say(f"{workload.name}: {workload.meaning}")
        with ExitStack() as stack:
            before, now = (stack.enter_context(_warm_target(both, name, workload)) for name in both.names)
            figures = [_round(before, now, workload.at_once) for _ in range(rounds)]
        rows.append(_row(workload.name, figures))
        notes.append(_note(workload.name, figures))
    return rows, notes


@contextmanager
def _warm_target(both: BeforeAndNow, name: str, workload: Workload) -> Iterator[stage.Target]:
    url = both.canned(workload.name)
    with both.target(name, url, workload.headers, workload.body) as target:
        run_load(target, workload.at_once, WARM_UP_SECONDS)
        yield target


def _round(before: stage.Target, now: stage.Target, at_once: int) -> Round:
    stolen = StealTime()
    turns = [(_measure(before, at_once), _measure(now, at_once)) for _ in range(TURNS)]
    return Round(
        _together([turn[0] for turn in turns]), _together([turn[1] for turn in turns]), stolen.share()
    )


def _together(figures: list[Figures]) -> Figures:
    return Figures(
        mean(one.per_second for one in figures),
        mean(one.cpu for one in figures),
        median(one.p99 for one in figures),
    )


def _measure(target: stage.Target, at_once: int) -> Figures:
    before = target.server.cpu_seconds()
    load = run_load(target, at_once, seconds=1)
    cpu = target.server.cpu_seconds() - before
    assert not load.errors, f"{load.errors} errors"
    return Figures(load.requests / load.seconds, cpu / max(load.requests, 1), load.p99)


def _row(workload: str, rounds: list[Round]) -> list[str]:
    ratios = [one.ratio for one in rounds]
    ratio, p99 = median(ratios), median(one.now.p99 / one.before.p99 for one in rounds)
    least = TIMES_BEFORE[workload]
    targets = [f"ratio ≥ {least:g}: {outcome(ratio, least, is_least=True)}"]
    if workload == "W4":
        targets.append(f"p99 ≤ {W4_P99:g}: {outcome(p99, W4_P99)}")
    return [
        workload,
        f"{median(one.before.per_second for one in rounds):.0f}",
        f"{median(one.now.per_second for one in rounds):.0f}",
        f"{ratio:.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{median(one.now.cpu / one.before.cpu for one in rounds):.2f}",
        f"{p99:.2f}",
        f"{median(one.steal for one in rounds):.0%}",
        ", ".join(targets),
    ]


def _note(workload: str, rounds: list[Round]) -> str:
    each = sorted(rounds, key=lambda one: one.steal)
    return f"  {workload}: {', '.join(f'{one.ratio:.2f} ({one.steal:.0%})' for one in each)}"


def felt_table_rows(samples: Samples, figures: list[Felt]) -> list[list[str]]:
    return [_felt_row(one, samples[BEFORE], samples[NOW]) for one in figures]


def spread_of_rounds(samples: Samples, figures: list[Felt]) -> list[str]:
    """Return a line for each figure of several rounds, and for what the upstream took without a gateway."""
    lines = []
    for figure in figures:
        for name, rounds in samples.items():
            values = [one[figure.name] * figure.scale for one in rounds if figure.name in one]
            if len(values) > 1 or (values and name == DIRECT):
                each = f"{min(values):.2f}, {median(values):.2f}, {max(values):.2f}"
                lines.append(f"  {figure.meaning}; {name}: {each}")
    return lines


def _felt_row(figure: Felt, before: list[Sample], now: list[Sample]) -> list[str]:
    then, latest = (median(one[figure.name] for one in each) * figure.scale for each in (before, now))
    ratio = latest / then if then else math.nan
    target = figure.target
    return [
        figure.meaning,
        f"{then:.2f}",
        f"{latest:.2f}",
        f"{ratio:.2f}",
        str(target or ""),
        outcome(ratio if target.is_ratio else latest, target.limit) if target else "",
        *(f"{sum(one['errors'] for one in each):.0f}" for each in (before, now)),
    ]


def outcome(value: float, limit: float, *, is_least: bool = False) -> str:
    """Return "met", "nearly" (missed by less than NEARLY of the limit) or "missed". `limit` is the largest
    good value, or with `is_least` the smallest."""
    missed_by = (limit - value if is_least else value - limit) / limit
    if missed_by <= 0:
        return "met"
    return "nearly" if missed_by < NEARLY else "missed"


if __name__ == "__main__":
    main()
