"""Half an hour with faults, and what stays behind: `uv run --all-groups benchmarks/soak.py`.

`serve` gets mixed requests at a steady pace (benchmarks/mixed_requests.py): valid and invalid ones, clients
that hang up or read slowly, and an emulator in place of Google that answers 429 and 503, resets connections,
stalls and stops in the middle. At the end of each minute the clients wait until the gateway is at rest; its
memory, descriptors and threads are then read from the kernel. Exit status 1 when something grew.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/soak.py` puts only this folder there

from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import run  # noqa: E402
from benchmarks.mixed_requests import send_for  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.rounds import CLIENTS, ENTRIES_KEPT, SETTINGS, wait_until_quiet  # noqa: E402
from proxy_site.emulator.server import EmulatorServer  # noqa: E402
from proxy_site.emulator.state import EmulatorState  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.processes import Server

MINUTES = 30
REQUESTS_A_SECOND = 10.0
BUSY_SHARE = 0.85
"""The part of a minute in which requests are sent; it is at rest for the remaining one."""
SETTLED_AFTER = 5
"""The number of minutes until caches are full and malloc has grown."""
COMPARED = 5
"""The number of minutes at either end whose medians are compared."""
LARGEST_GROWTH = 0.03


@dataclass(frozen=True, slots=True)
class Minute:
    """The gateway at rest after a minute of requests, and how those were answered."""

    requests: int
    failed: int
    """Answers with a status of 400 or more, most of them on purpose."""
    hung_up: int
    cpu_seconds: float
    memory_kb: int
    descriptors: int
    threads: int
    wrong: list[str]
    """Answers that the kind of request does not allow."""


def main() -> None:
    arguments = _parser().parse_args()
    # The emulator's server logs each client that hangs up as an error.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    minutes = measure(arguments.minutes, arguments.rate, arguments.minute_seconds)
    print(as_text(minutes))
    if arguments.json:
        figures = {"machine": machine(), "minutes": [asdict(one) for one in minutes]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    grown = complaints(minutes)
    print("\nsoak: " + ("; ".join(grown) if grown else "flat"))
    sys.exit(1 if grown else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/soak.py", description="Memory, descriptors and threads by the minute, with faults."
    )
    parser.add_argument("--minutes", type=int, default=MINUTES, help=f"default: {MINUTES}")
    parser.add_argument("--rate", type=float, default=REQUESTS_A_SECOND, help=f"default: {REQUESTS_A_SECOND}")
    parser.add_argument("--minute-seconds", type=float, default=60.0, help="shorter, to try the command")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def measure(minutes: int, rate: float, seconds: float) -> list[Minute]:
    """Run the minutes. Raises processes.DidNotStart."""
    state = EmulatorState(log_size=ENTRIES_KEPT)
    state.lift_quotas()
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, EmulatorServer(state) as google:
        folder = Path(name)
        import_accounts(folder, state.importable_accounts())
        settings = {**google.gateway_settings(), **SETTINGS}
        with gateway(folder, google.url, f"{google.url}/token", **settings) as server:
            return [_minute(number, rate, seconds, google, server) for number in range(1, minutes + 1)]


def _minute(number: int, rate: float, seconds: float, google: EmulatorServer, server: Server) -> Minute:
    ends, cpu_before = time.monotonic() + seconds, server.cpu_seconds()
    outcome = run(send_for(seconds * BUSY_SHARE, rate, number, server.port, google.state, CLIENTS))
    google.stop()
    wait_until_quiet(server)
    minute = Minute(
        outcome.requests,
        sum(count for status, count in outcome.statuses.items() if status >= 400),
        outcome.statuses[0],
        round(server.cpu_seconds() - cpu_before, 2),
        server.own_memory_kb(),
        server.open_files(),
        server.threads(),
        outcome.wrong,
    )
    google.start()
    say(" ".join([f"minute {number}:", *_cells(minute), *minute.wrong]))
    time.sleep(max(0.0, ends - time.monotonic()))
    return minute


def growth_of_memory(minutes: list[Minute]) -> float:
    """Of the last minutes over the first that are settled: 0.01 is one per cent."""
    settled = minutes[SETTLED_AFTER:]
    first, last = (
        median(one.memory_kb for one in part) for part in (settled[:COMPARED], settled[-COMPARED:])
    )
    return last / first - 1


def complaints(minutes: list[Minute]) -> list[str]:
    """What is not flat, and what was answered wrongly; of memory after enough minutes only."""
    found = [f"{what} of {number}" for number, one in enumerate(minutes, 1) for what in one.wrong]
    settled = minutes[SETTLED_AFTER:]
    if len(settled) < 2 * COMPARED:
        return found
    if (growth := growth_of_memory(minutes)) > LARGEST_GROWTH:
        found.append(f"memory grew by {growth:.1%}")
    for name in ("descriptors", "threads"):
        first, last = (
            max(getattr(one, name) for one in part) for part in (settled[:COMPARED], settled[-COMPARED:])
        )
        if last > first:
            found.append(f"{name} grew from {first} to {last}")
    return found


def as_text(minutes: list[Minute]) -> str:
    asked = ["minute", "requests", "failed", "hung up", "wrong"]
    head = [*asked, "CPU, s", "memory, MB", "descriptors", "threads"]
    rows = [[str(number), *_cells(one)] for number, one in enumerate(minutes, 1)]
    return f"{machine()}\n\n{table(head, rows)}"


def _cells(one: Minute) -> list[str]:
    memory = f"{one.memory_kb / 1024:.1f}"
    asked = (one.requests, one.failed, one.hung_up, len(one.wrong))
    return [str(each) for each in (*asked, one.cpu_seconds, memory, one.descriptors, one.threads)]


if __name__ == "__main__":
    main()
