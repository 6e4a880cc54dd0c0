"""Requests that pass through beside those that are translated: `uv run benchmarks/pass_through.py`.

One gateway has Google accounts and a key of Anthropic. The same requests go to both in turns, told apart by
the name of the model; the upstream has the same answer in each format.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/pass_through.py` puts only this folder there

from benchmarks import canned_answers, haproxy  # noqa: E402
from benchmarks.gateway_server import add_anthropic_key, gateway, import_accounts  # noqa: E402
from benchmarks.http_client import connect, post_request, run  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.measure import WARM_UP_SECONDS  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import LOOPBACK, Server  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.stage import Target  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402

HEAD = ("workload", "translated/s", "passed/s", "ratio", "CPU a request, µs", "passed")


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests a second, and CPU in microseconds a request."""

    per_second: float
    cpu: float


def main() -> None:
    arguments = _parser().parse_args()
    rows = measure(arguments.only, arguments.rounds, arguments.seconds)
    print(f"{machine()}; medians of {arguments.rounds} rounds in turns.\n")
    print(table(list(HEAD), rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/pass_through.py",
        description="Requests that pass through to Anthropic beside those translated for Google.",
    )
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement; default: 2")
    return parser


def measure(workloads: list[str], rounds: int, seconds: int) -> list[list[str]]:
    """Return a row for each workload. Raises processes.DidNotStart."""
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name:
        folder = Path(name)
        with haproxy.canned_upstream(folder) as canned:
            base_url = f"http://{LOOPBACK}:{canned.port}"
            import_accounts(folder)
            add_anthropic_key(folder, base_url + haproxy.passed_path(workloads[0]))
            rows = []
            for workload in [WORKLOADS[one] for one in workloads]:
                say(f"{workload.name}: {workload.meaning}")
                with _gateway(folder, base_url, workload) as running:
                    rows.append(_row(workload.name, _rounds(folder, running, workload, rounds, seconds)))
            return rows


def _gateway(folder: Path, base_url: str, workload: Workload) -> Server:
    passed_url = base_url + haproxy.passed_path(workload.name)
    google_url = f"{base_url}/{workload.name}"
    return gateway(folder, google_url, f"{base_url}/token", ANTHROPIC_API_URL=passed_url)


def _rounds(
    folder: Path, running: Server, workload: Workload, rounds: int, seconds: int
) -> list[tuple[Figures, Figures]]:
    """Measure the translated and the passed request in turns."""
    model = json.loads(workload.body)["model"]
    passed_body = workload.body.replace(model.encode(), canned_answers.PASSED_MODEL.encode(), 1)
    translated = _target(folder / "translated.request", running, workload, workload.body)
    passed = _target(folder / "passed.request", running, workload, passed_body)
    for target in (translated, passed):
        run(_check(target))
        run_load(target, workload.at_once, WARM_UP_SECONDS)
    return [
        (_measure(translated, workload.at_once, seconds), _measure(passed, workload.at_once, seconds))
        for _ in range(rounds)
    ]


def _target(file: Path, running: Server, workload: Workload, body: bytes) -> Target:
    request = post_request(running.port, "/v1/messages?beta=true", workload.headers, body)
    file.write_bytes(request)
    return Target("gateway", running, request, file)


async def _check(target: Target) -> None:
    """Raises AssertionError for an answer that is not complete, which is printed."""
    connection = await connect(target.server.port)
    answer = await connection.exchange(target.request)
    connection.close()
    assert target.has_answered(answer)


def _measure(target: Target, at_once: int, seconds: int) -> Figures:
    before = target.server.cpu_seconds()
    load = run_load(target, at_once, seconds)
    cpu = target.server.cpu_seconds() - before
    assert not load.errors, f"{load.errors} errors"
    return Figures(load.requests / load.seconds, cpu / max(load.requests, 1) * 1e6)


def _row(name: str, figures: list[tuple[Figures, Figures]]) -> list[str]:
    translated, passed = zip(*figures, strict=True)
    ratio = statistics.median(after.per_second / before.per_second for before, after in figures)
    return [
        name,
        f"{statistics.median(one.per_second for one in translated):.0f}",
        f"{statistics.median(one.per_second for one in passed):.0f}",
        f"{ratio:.2f}",
        f"{statistics.median(one.cpu for one in translated):.0f}",
        f"{statistics.median(one.cpu for one in passed):.0f}",
    ]


if __name__ == "__main__":
    main()
