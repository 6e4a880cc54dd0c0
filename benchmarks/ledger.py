"""What the ledger costs and what it stands: `uv run benchmarks/ledger.py cost | size | locked`.

cost     two gateways take the same load in turns, one with the ledger and one without
size     a million rows in SQLite: statistics of a week, and pages of the list of requests
locked   another process holds the database's lock under 200 requests a second; afterwards each has its row
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/ledger.py` puts only this folder there

from benchmarks import haproxy  # noqa: E402
from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import post_request  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import LOOPBACK  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.stage import Target  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

WARM_UP_SECONDS = 2


# Cost


@dataclass
class Side:
    """One of the two gateways on one workload; a figure a round."""

    target: Target
    requests_per_second: list[float] = field(default_factory=list)
    cpu_microseconds: list[float] = field(default_factory=list)

    def measure(self, at_once: int, seconds: int) -> None:
        before = self.target.server.cpu_seconds()
        load = run_load(self.target, at_once, seconds)
        if load.errors:
            raise SystemExit(f"{load.errors} of {load.requests} requests failed")
        spent = self.target.server.cpu_seconds() - before
        self.requests_per_second.append(load.requests / load.seconds)
        self.cpu_microseconds.append(spent / load.requests * 1e6)


def measure_cost(arguments: argparse.Namespace) -> str:
    rows = []
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(haproxy.canned_upstream(folder))
        for workload_name in arguments.only:
            workload = WORKLOADS[workload_name]
            with ExitStack() as servers:
                sides = {
                    days: Side(_target(folder / days, days, workload_name, upstream.port, servers))
                    for days in ("30", "0")
                }
                for side in sides.values():
                    run_load(side.target, workload.at_once, WARM_UP_SECONDS)
                for number in range(arguments.rounds):
                    order = list(sides.values())
                    for side in order if number % 2 else reversed(order):
                        side.measure(workload.at_once, arguments.seconds)
                    say(f"{workload_name}, round {number + 1} of {arguments.rounds}")
            rows.append(_cost_row(workload_name, sides["30"], sides["0"]))
    header = [
        "workload",
        "with, requests/s",
        "without",
        "ratio",
        "its spread",
        "with, CPU µs",
        "without",
        "more",
    ]
    return f"{machine()}; {arguments.rounds} rounds in turns; medians\n\n{table(header, rows)}"


def _target(folder: Path, days: str, workload: str, upstream_port: int, servers: ExitStack) -> Target:
    folder.mkdir(exist_ok=True)
    import_accounts(folder)
    upstream = f"http://{LOOPBACK}:{upstream_port}"
    server = servers.enter_context(
        gateway(folder, f"{upstream}/{workload}", f"{upstream}/token", LEDGER_RETENTION_DAYS=days)
    )
    load = WORKLOADS[workload]
    request = post_request(server.port, "/v1/messages?beta=true", load.headers, load.body)
    file = folder / "gateway.request"
    file.write_bytes(request)
    return Target("gateway", server, request, file)


def _cost_row(workload: str, kept: Side, unkept: Side) -> list[str]:
    ratios = [a / b for a, b in zip(kept.requests_per_second, unkept.requests_per_second, strict=True)]
    with_cpu, without_cpu = map(statistics.median, (kept.cpu_microseconds, unkept.cpu_microseconds))
    return [
        workload,
        f"{statistics.median(kept.requests_per_second):,.0f}",
        f"{statistics.median(unkept.requests_per_second):,.0f}",
        f"{statistics.median(ratios):.3f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{with_cpu:,.0f}",
        f"{without_cpu:,.0f}",
        f"{with_cpu / without_cpu - 1:+.1%}",
    ]


# The command


def main() -> None:
    arguments = _parser().parse_args()
    text = arguments.measure(arguments)
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/ledger.py", description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True, metavar="PART")
    cost = parts.add_parser("cost", help="throughput with the ledger and without")
    cost.add_argument("--rounds", type=int, default=7)
    cost.add_argument("--seconds", type=int, default=3, help="of one measurement")
    cost.add_argument(
        "--only", type=lambda text: text.split(","), default=["W1", "W2", "W4"], metavar="W1,W2"
    )
    cost.set_defaults(measure=measure_cost)
    return parser


if __name__ == "__main__":
    main()
