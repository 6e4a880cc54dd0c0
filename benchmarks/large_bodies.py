"""The effect of large bodies on other requests and on memory: `uv run benchmarks/large_bodies.py`, two
minutes.

The upstream of the gateway answers from memory. First each body is sent by itself: its answer, and the memory
of gateway and workers together, as a multiple of the body's size. Then a small request is sent every few
milliseconds, alone and while the bodies are sent in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/large_bodies.py` puts only this folder there

from benchmarks.attack_bodies import ATTACKS  # noqa: E402
from benchmarks.http_client import Connection, Disconnected, connect, post_request, run  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.stage import Stage  # noqa: E402
from benchmarks.workloads import SDK_HEADERS, WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.processes import Server
    from benchmarks.stage import Target

SECONDS = 60.0
ATTACKERS = 2
PAUSE_SECONDS = 0.01
SAMPLE_SECONDS = 0.002
PATH = "/v1/messages"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    body: str
    mib: float
    status: int
    seconds: float
    peak_mib: float
    """Memory above that of gateway and workers before; workers started for the body count."""

    @property
    def times(self) -> float:
        return self.peak_mib / self.mib


@dataclass(frozen=True, slots=True)
class Delays:
    requests: int
    p50_ms: float
    p99_ms: float
    longest_ms: float


def main() -> None:
    arguments = _parser().parse_args()
    load = os.getloadavg()[0]
    with Stage() as stage, stage.canned_targets("W1", SDK_HEADERS, WORKLOADS["W1"].body) as (_, target):
        costs, quiet, attacked, answered = run(_measure(target, arguments.seconds, arguments.attackers))
    print(f"{machine()}; load before the run {load:.1f}\n")
    print(f"{_cost_table(costs)}\n\n{_delay_table(quiet, attacked)}\n")
    print(f"{answered} large bodies were answered in {arguments.seconds:g} s.")
    if arguments.json:
        figures = {
            "machine": machine(),
            "load": load,
            "costs": [asdict(cost) for cost in costs],
            "quiet": asdict(quiet),
            "attacked": asdict(attacked),
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/large_bodies.py",
        description="Measures what large bodies cost other requests, and in memory.",
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each part; default: {SECONDS:g}")
    parser.add_argument(
        "--attackers", type=int, default=ATTACKERS, help=f"who send bodies at once; default: {ATTACKERS}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


async def _measure(target: Target, seconds: float, attackers: int) -> tuple[list[Cost], Delays, Delays, int]:
    port = target.server.port
    requests = {}
    for name, (make, _) in ATTACKS.items():
        requests[name] = post_request(port, PATH, SDK_HEADERS, make())
    say("each by itself")
    costs = [await _cost(target.server, name, request) for name, request in requests.items()]
    say("nothing but small requests")
    quiet = await _delays(target, seconds)
    say("small requests while the large ones are sent")
    bodies = itertools.cycle(requests.values())
    answered = [0]
    attacks = [asyncio.create_task(_attack(port, bodies, answered)) for _ in range(attackers)]
    attacked = await _delays(target, seconds)
    for attack in attacks:
        attack.cancel()
    await asyncio.wait(attacks)
    return costs, quiet, attacked, answered[0]


async def _cost(server: Server, name: str, request: bytes) -> Cost:
    peak = before = _memory_kb(server)
    started = time.monotonic()
    sending = asyncio.create_task(_send(server.port, request))
    while not sending.done():
        peak = max(peak, _memory_kb(server))
        await asyncio.sleep(SAMPLE_SECONDS)
    took = time.monotonic() - started
    status = sending.result()
    expected = ATTACKS[name][1]
    if status != expected:
        say(f"{name}: {status} instead of {expected}")
    return Cost(name, len(request) / MIB, status, took, (peak - before) / 1024)


def _memory_kb(server: Server) -> int:
    """The memory of the gateway and its workers."""
    total = server.memory_kb()
    for pid in server.children():
        with suppress(OSError, IndexError):  # the process has just ended
            pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
            total += int(pages) * os.sysconf("SC_PAGE_SIZE") // 1024
    return total


async def _send(port: int, request: bytes) -> int:
    """Send a body; returns the status, 0 when the connection broke."""
    connection = await connect(port)
    try:
        return (await connection.exchange(request)).status
    except Disconnected:
        return 0
    finally:
        connection.close()


async def _attack(port: int, requests: itertools.cycle[bytes], answered: list[int]) -> None:
    for request in requests:
        answered[0] += bool(await _send(port, request))


async def _delays(target: Target, seconds: float) -> Delays:
    connection = await connect(target.server.port)
    ends_at = time.monotonic() + seconds
    milliseconds = []
    while time.monotonic() < ends_at:
        milliseconds.append(await _one(connection, target))
        await asyncio.sleep(PAUSE_SECONDS)
    connection.close()
    return Delays(
        requests=len(milliseconds),
        p50_ms=statistics.median(milliseconds),
        p99_ms=statistics.quantiles(milliseconds, n=100)[98],
        longest_ms=max(milliseconds),
    )


async def _one(connection: Connection, target: Target) -> float:
    started = time.monotonic()
    answer = await connection.exchange(target.request)
    took = (time.monotonic() - started) * 1000
    if not target.has_answered(answer):
        raise SystemExit("a small request was not answered")
    return took


def _cost_table(costs: list[Cost]) -> str:
    header = ["the body", "MiB", "answer", "seconds", "memory, MiB", "in times of the body"]
    rows = [
        [
            cost.body,
            f"{cost.mib:.1f}",
            str(cost.status),
            f"{cost.seconds:.1f}",
            f"{cost.peak_mib:.0f}",
            f"{cost.times:.1f}",
        ]
        for cost in costs
    ]
    return table(header, rows)


def _delay_table(quiet: Delays, attacked: Delays) -> str:
    header = ["small requests", "requests", "p50, ms", "p99, ms", "longest, ms"]
    rows = [
        [name, str(one.requests), f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.longest_ms:.0f}"]
        for name, one in (("alone", quiet), ("while large bodies are sent", attacked))
    ]
    return table(header, rows)


if __name__ == "__main__":
    main()
