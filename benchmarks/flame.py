"""Where the CPU goes, before and now: `uv run --all-groups benchmarks/flame.py [FOLDER]`.

py-spy looks at the gateways under load from outside. The folder gets two files of each: a flame graph with
the C functions (before-W1.svg), and the stacks themselves (before-W1.txt). The tables show the CPU of a
request by layer, which is the share of the stacks times the CPU that the kernel counts without py-spy, and
that of each thread. Time in C belongs to the Python function that called it.

The gateway has one core for itself, if there are two: otherwise it loses the core to whom it writes, and the
stacks show that as the time of writing. py-spy has to be allowed to read the process: on Linux as root, or
with /proc/sys/kernel/yama/ptrace_scope at 0.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/flame.py` puts only this folder there

from benchmarks.before_and_now import FIRST_COMMIT, BeforeAndNow  # noqa: E402
from benchmarks.layers import ELSEWHERE, layer_of_file  # noqa: E402
from benchmarks.load import background_load, run_load  # noqa: E402
from benchmarks.measure import LOAD_MARGIN_SECONDS, WARM_UP_SECONDS  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import core_for_the_gateway  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.processes import Server
    from benchmarks.stage import Target

PY_SPY = Path(sys.executable).with_name("py-spy")
WORKLOADS_SHOWN = ("W1", "W2", "W4")
SECONDS = 15
STACKS_A_SECOND = 200
GRAPH_STACKS_A_SECOND = 40
"""The rate for the graphs. It is low, because py-spy stops the gateway for some milliseconds each time it
reads the C functions."""
THREAD = re.compile(r"thread \((\d+)\): (.*)")
FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(?::\d+)?\)")
TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*')
MAIN_THREAD = "MainThread"
EVENT_LOOP = "event loop in C, reading, waiting"
RUNS_THE_LOOP = {("GatewayServer.run", "uvicorn.py"), ("AsyncioSelectorReactor.run", "asyncioreactor.py")}
"""The functions, and their files, in which the thread is when no other code of Python runs."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """How often each layer was seen in the event loop's thread, and the names of threads by their ids."""

    layers: Counter[str]
    threads: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Spent:
    """The CPU of one request in seconds, by layer of the event loop and by thread."""

    layers: Mapping[str, float]
    threads: Mapping[str, float]


def main() -> None:
    arguments = _parser().parse_args()
    if not PY_SPY.exists():
        sys.exit("py-spy cannot be found. It comes with uv run --all-groups.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    spent: dict[str, dict[str, Spent]] = {}
    with core_for_the_gateway() as cores, BeforeAndNow(arguments.commit) as both:
        for workload in arguments.only:
            spent[workload] = {}
            for name in both.names:
                say(f"{workload}: {name}")
                spent[workload][name] = _record(both, name, workload, cores.measured, arguments)
    print(f"{machine()}; before: {arguments.commit}, now: this code; µs of CPU a request.\n")
    print(as_text(spent))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/flame.py", description="Flame graphs, and the CPU of a request by layer and thread."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("flame"), help="default: flame")
    parser.add_argument("--commit", default=FIRST_COMMIT, help=f"the earlier one; default: {FIRST_COMMIT}")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of each recording; default: {SECONDS}")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS_SHOWN))
    return parser


def _record(
    both: BeforeAndNow, name: str, workload_name: str, core: set[int], arguments: argparse.Namespace
) -> Spent:
    workload, seconds = WORKLOADS[workload_name], arguments.seconds
    stacks_file = arguments.folder / f"{name}-{workload_name}.txt"
    with both.target(name, both.canned(workload_name), workload.headers, workload.body) as target:
        target.server.keep_to(core)
        run_load(target, workload.at_once, WARM_UP_SECONDS)
        cpu_by_thread = _cpu_a_request(target, workload.at_once, min(seconds, 5))
        with background_load(target, workload.at_once, 4 * seconds + LOAD_MARGIN_SECONDS):
            rate = ["--rate", str(STACKS_A_SECOND)]
            _spy(target.server, seconds, stacks_file, "--format", "raw", "--full-filenames", *rate)
            rate = ["--rate", str(GRAPH_STACKS_A_SECOND)]
            graph = stacks_file.with_suffix(".svg")
            _spy(target.server, seconds, graph, "--native", *rate)
    graph.write_text(with_title(graph.read_text(), f"{workload_name}, {name}: {workload.meaning}"))
    stacks = stacks_in(stacks_file.read_text(), both.project_of(name))
    return spent_on(stacks, cpu_by_thread)


def _cpu_a_request(target: Target, at_once: int, seconds: int) -> dict[int, float]:
    """The CPU of each thread for a request, in seconds, by the thread's id."""
    before = target.server.thread_seconds()
    load = run_load(target, at_once, seconds)
    after = target.server.thread_seconds()
    assert not load.errors, f"{load.errors} errors"
    return {thread: (cpu - before.get(thread, 0.0)) / load.requests for thread, cpu in after.items()}


def _spy(server: Server, seconds: int, file: Path, *options: str) -> None:
    command = [
        str(PY_SPY),
        "record",
        "--pid",
        str(server.pid),
        "--duration",
        str(seconds),
        "--output",
        str(file),
    ]
    finished = subprocess.run(
        [*command, "--threads", "--function", *options], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        sys.exit(f"py-spy:\n{finished.stderr}")


def with_title(graph: str, title: str) -> str:
    """Return a flame graph with this title, in place of py-spy's command with its paths."""
    return TITLE.sub(lambda found: found[1] + escape(title), graph, count=1)


def stacks_in(raw: str, project: Path) -> Stacks:
    """Read py-spy's raw format: a stack from its bottom to its top in a line, with the number of times."""
    layers: Counter[str] = Counter()
    threads = {}
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        found = THREAD.fullmatch(thread)
        assert found is not None, line
        threads[int(found[1])] = found[2]
        if found[2] == MAIN_THREAD:
            layers[_layer_of(frames, project)] += int(count)
    return Stacks(layers, threads)


def _layer_of(frames: Sequence[str], project: Path) -> str:
    """The layer of the topmost function that is in one."""
    for frame in reversed(frames):
        found = FRAME.fullmatch(frame)
        if found is None:
            continue
        if (found["function"], Path(found["file"]).name) in RUNS_THE_LOOP:
            return EVENT_LOOP
        if (layer := layer_of_file(found["file"], project)) is not None:
            return layer
    return ELSEWHERE


def spent_on(stacks: Stacks, cpu_by_thread: Mapping[int, float]) -> Spent:
    """Divide the event loop's CPU among the layers. Threads of the same kind, or that never ran while py-spy
    looked, are one."""
    threads: Counter[str] = Counter()
    for thread, cpu in cpu_by_thread.items():
        name = stacks.threads.get(thread, "others")
        threads["event loop" if name == MAIN_THREAD else re.sub(r"[-_\d]+$", "", name)] += cpu  # type: ignore[assignment]
    seen = max(stacks.layers.total(), 1)
    layers = {layer: threads["event loop"] * count / seen for layer, count in stacks.layers.items()}
    return Spent(layers, threads)


def as_text(spent: Mapping[str, Mapping[str, Spent]]) -> str:
    """Two tables, of layers and of threads: for each workload the CPU of a request before and now."""
    by_layer = {workload: [one.layers for one in names.values()] for workload, names in spent.items()}
    by_thread = {workload: [one.threads for one in names.values()] for workload, names in spent.items()}
    return f"{_table('layer of the event loop', by_layer)}\n\n{_table('thread', by_thread)}"


def _table(head: str, columns: Mapping[str, list[Mapping[str, float]]]) -> str:
    names = sorted({name for costs in columns.values() for one in costs for name in one})
    rows = [
        [name, *(_cell([one.get(name, 0.0) for one in costs]) for costs in columns.values())]
        for name in names
    ]
    totals = [_cell([sum(one.values()) for one in costs]) for costs in columns.values()]
    return table([head, *columns], [*rows, ["total", *totals]])


def _cell(before_and_now: list[float]) -> str:
    return " → ".join(f"{seconds * 1e6:,.0f}" for seconds in before_and_now)


if __name__ == "__main__":
    main()
