"""Whether memory and descriptors stay constant: `uv run benchmarks/rounds.py`.

Equal rounds of mixed requests (benchmarks/mixed_requests.py) go to one gateway, started as users start it,
with the emulator in place of Google. After each round, when all clients have gone and Google has closed its
connections, the gateway's memory, descriptors and threads are read from the kernel.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/rounds.py` puts only this folder there

from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import run  # noqa: E402
from benchmarks.mixed_requests import AUTH_TOKEN, PASSWORD, send_round  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from proxy_site.emulator.server import EmulatorServer  # noqa: E402
from proxy_site.emulator.state import EmulatorState  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.processes import Server

ROUNDS = 6
SETTLED_AFTER = 3
"""The number of rounds until caches are full and malloc has grown."""
CLIENTS = 12
QUIET_SECONDS = 3.2
"""The time without a change of descriptors that ends a round; the ledger's last rows are written by then,
too."""
PATIENCE_SECONDS = 15.0
ENTRIES_KEPT = 200
"""The number of requests that the emulator's log keeps."""
SETTINGS = {
    "AUTH_TOKEN": AUTH_TOKEN,
    "WEBUI_PASSWORD": PASSWORD,
    "MAX_CONCURRENT_REQUESTS": "5",
    "LOG_LEVEL": "info",
}


@dataclass(frozen=True, slots=True)
class Round:
    """The gateway's resources after a round, and how its requests were answered."""

    requests: int
    seconds: float
    memory_kb: int
    descriptors: int
    threads: int
    statuses: dict[int, int]
    wrong: list[str]


def growth_a_round(rounds: list[Round]) -> float:
    """The growth of memory a round, on average over those after the first SETTLED_AFTER: 0.01 is one per
    cent."""
    settled, last = rounds[SETTLED_AFTER - 1], rounds[-1]
    return float((last.memory_kb / settled.memory_kb) ** (1 / (len(rounds) - SETTLED_AFTER)) - 1)


def main() -> None:
    arguments = _parser().parse_args()
    rounds = measure(arguments.rounds)
    print(as_text(rounds))
    if arguments.json:
        figures = {"machine": machine(), "rounds": [asdict(one) for one in rounds]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/rounds.py",
        description="Equal rounds of mixed requests, hang-ups and faults; memory and descriptors after each.",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def measure(rounds: int = ROUNDS, **settings: str) -> list[Round]:
    """Run the rounds. Raises processes.DidNotStart."""
    state = EmulatorState(log_size=ENTRIES_KEPT)
    state.lift_quotas()
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, EmulatorServer(state) as google:
        folder = Path(name)
        import_accounts(folder, state.importable_accounts())
        settings = {**google.gateway_settings(), **SETTINGS, **settings}
        with gateway(folder, google.url, f"{google.url}/token", **settings) as server:
            return [_measure_round(number, google, server) for number in range(1, rounds + 1)]


def _measure_round(number: int, google: EmulatorServer, server: Server) -> Round:
    say(f"round {number}")
    started = time.monotonic()
    outcome = run(send_round(number, server.port, google.state, CLIENTS))
    seconds = time.monotonic() - started
    google.stop()
    wait_until_quiet(server)
    at_rest = Round(
        outcome.requests,
        round(seconds, 1),
        server.own_memory_kb(),
        server.open_files(),
        server.threads(),
        dict(sorted(outcome.statuses.items())),
        outcome.wrong,
    )
    google.start()
    return at_rest


def wait_until_quiet(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    last, same_since = server.open_files(), time.monotonic()
    while time.monotonic() < min(same_since + QUIET_SECONDS, deadline):
        time.sleep(0.1)
        if (now := server.open_files()) != last:
            last, same_since = now, time.monotonic()


def as_text(rounds: list[Round]) -> str:
    rows: list[list[str]] = []
    before: int | None = None
    for number, one in enumerate(rounds, 1):
        growth = "" if before is None else f"{(one.memory_kb / before - 1) * 100:+.1f} %"
        rows.append(_row(number, one, growth))
        before = one.memory_kb
    header = [
        "round",
        "requests",
        "seconds",
        "memory, MB",
        "growth",
        "descriptors",
        "threads",
        "wrong",
    ]
    text = f"{machine()}\n\n{table(header, rows)}"
    if len(rounds) > SETTLED_AFTER:
        text += f"\n\nAfter round {SETTLED_AFTER}: {growth_a_round(rounds):+.2%} of memory a round."
    return text


def _row(number: int, one: Round, growth: str) -> list[str]:
    figures: list[Any] = [number, one.requests, one.seconds, f"{one.memory_kb / 1024:.1f}", growth]
    return [str(each) for each in [*figures, one.descriptors, one.threads, len(one.wrong)]]


if __name__ == "__main__":
    main()
