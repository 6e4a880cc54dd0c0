"""The cost of the ledger, and its limits: `uv run benchmarks/ledger.py cost | size | locked`.

cost      one gateway under the same load with the ledger and without, in turns
size      a million rows in SQLite: statistics of a week, and pages of the list of requests
locked    another process holds the database's lock under 200 requests a second; each must have its row
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/ledger.py` puts only this folder there

from benchmarks import haproxy  # noqa: E402
from benchmarks.gateway_server import environment, gateway, import_accounts  # noqa: E402
from benchmarks.http_client import post_request, run  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import LOOPBACK  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.stage import Target  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

WARM_UP_SECONDS = 2
SETTLING_SECONDS = 1.5
RESAMPLINGS = 2000
KEPT, UNKEPT = 30, 0
CHANGE_SCRIPT = """
import sys
import django
django.setup()
from accounts.live_settings import change
change(sys.argv[1], sys.argv[2], by="benchmark")
"""


# Cost


@dataclass
class Side:
    """One gateway on one workload, with its ledger or without; one figure a round."""

    target: Target
    retention_days: int
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
    """Measure both in one process: two processes differ by some percent because of their memory layout."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(haproxy.canned_upstream(folder))
        for workload_name in arguments.only:
            workload = WORKLOADS[workload_name]
            with ExitStack() as servers:
                place = folder / workload_name
                target = _target(place, workload_name, upstream.port, servers)
                kept, unkept = Side(target, KEPT), Side(target, UNKEPT)
                run_load(target, workload.at_once, WARM_UP_SECONDS)
                for number in range(arguments.rounds):
                    for side in (kept, unkept) if number % 2 else (unkept, kept):
                        _set_retention(place, side.retention_days)
                        side.measure(workload.at_once, arguments.seconds)
                    say(f"{workload_name}, round {number + 1} of {arguments.rounds}")
            rows.append(_cost_row(workload_name, kept, unkept))
    header = [
        "workload",
        "with, requests/s",
        "without",
        "ratio",
        "9 of 10 times",
        "with, CPU µs",
        "without",
        "more",
    ]
    return f"{machine()}; {arguments.rounds} rounds in turns; means\n\n{table(header, rows)}"


def _set_retention(folder: Path, days: int) -> None:
    """Set the retention as the operator would; the running server uses it within a second."""
    env = {**environment(folder), "DJANGO_SETTINGS_MODULE": "proxy_site.settings"}
    command = [sys.executable, "-c", CHANGE_SCRIPT, "LEDGER_RETENTION_DAYS", str(days)]
    subprocess.run(command, cwd=PROJECT, env=env, check=True)
    time.sleep(SETTLING_SECONDS)


def _target(folder: Path, workload: str, upstream_port: int, servers: ExitStack) -> Target:
    folder.mkdir(exist_ok=True)
    import_accounts(folder)
    upstream = f"http://{LOOPBACK}:{upstream_port}"
    server = servers.enter_context(gateway(folder, f"{upstream}/{workload}", f"{upstream}/token"))
    load = WORKLOADS[workload]
    request = post_request(server.port, "/v1/messages?beta=true", load.headers, load.body)
    file = folder / "gateway.request"
    file.write_bytes(request)
    return Target("gateway", server, request, file)


def _cost_row(workload: str, kept: Side, unkept: Side) -> list[str]:
    """A row of the table: the ratio over all rounds and its spread by resampling, since single rounds differ
    by a quarter on a busy machine."""
    rounds = list(zip(kept.requests_per_second, unkept.requests_per_second, strict=True))
    choice = random.Random(6)
    resampled = [_ratio(choice.choices(rounds, k=len(rounds))) for _ in range(RESAMPLINGS)]
    cuts = statistics.quantiles(resampled, n=20)
    cpu = [statistics.mean(side.cpu_microseconds) for side in (kept, unkept)]
    return [
        workload,
        f"{statistics.mean(kept.requests_per_second):,.0f}",
        f"{statistics.mean(unkept.requests_per_second):,.0f}",
        f"{_ratio(rounds):.3f}",
        f"{cuts[0]:.3f} to {cuts[-1]:.3f}",
        f"{cpu[0]:,.0f}",
        f"{cpu[1]:,.0f}",
        f"{cpu[0] / cpu[1] - 1:+.1%}",
    ]


def _ratio(rounds: list[tuple[float, float]]) -> float:
    return sum(one for one, _ in rounds) / sum(other for _, other in rounds)


# Size

ROWS_A_STEP = 50_000
AT_ONCE, REQUESTS_A_SHIFT = 8, 1200
"""Conversations stay with their accounts: so many are in use at a time, for so many requests."""
DAYS = 10
ACCOUNTS = [f"account-{number}@example.com" for number in range(5)]
MODELS = ["claude-sonnet-4-6", "claude-opus-4-6-thinking", "gemini-3-flash", "gemini-2.5-pro"]
QUESTIONS = {
    "statistics of 7 days by model": "usage.totals_by('model', now - timedelta(days=7))",
    "statistics of 7 days by account": "usage.totals_by('account', now - timedelta(days=7))",
    "sessions of 24 hours": "usage.sessions(now - timedelta(days=1))",
    "newest 50 requests": "page(Search())",
    "50 requests, 9 days back": "page(Search(until=now - timedelta(days=9)))",
    "page 2": "page(Search(), before=page(Search())[-1].pk)",
    "50 of one account": "page(Search(account='account-3@example.com'))",
    "50 of a model nobody uses any more": "page(Search(model='claude-old'))",
    "50 of one session": "page(Search(session='session-4711'))",
    "50 with errors": "page(Search(errors=True))",
    "50 with status 429": "page(Search(status=429))",
    "one by its id, with its attempts": "attempts_of(page(Search(request_id='req_000000000777'))[0])",
}
QUESTION_SCRIPT = """
import json, sys, time
from datetime import timedelta
import django
django.setup()
from django.utils import timezone
from gateway.ledger import usage
from gateway.ledger.search import Search, attempts_of, page
now = timezone.now()
figures = {}
for name, code in json.loads(sys.argv[1]).items():
    times = []
    for _ in range(6):
        started = time.perf_counter()
        eval(code)
        times.append(time.perf_counter() - started)
    figures[name] = [times[0], sorted(times)[len(times) // 2]]
print(json.dumps(figures))
"""


def measure_size(arguments: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name:
        folder = Path(name)
        import_accounts(folder)
        database = folder / "data" / "proxy.sqlite3"
        fill(database, arguments.rows)
        megabytes = database.stat().st_size / 1e6
        env = {**environment(folder), "DJANGO_SETTINGS_MODULE": "proxy_site.settings"}
        asked = subprocess.run(
            [sys.executable, "-c", QUESTION_SCRIPT, json.dumps(QUESTIONS)],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        commands = {
            text: _seconds_of([sys.executable, "manage.py", *text.split()], env)
            for text in ("stats --since 7d", "logs", "help")
        }
    rows = [
        [name, f"{first * 1000:,.1f}", f"{median * 1000:,.1f}"]
        for name, (first, median) in json.loads(asked.stdout).items()
    ]
    rows += [
        [f"the whole command `manage.py {text}`", "", f"{t * 1000:,.0f}"] for text, t in commands.items()
    ]
    title = f"{machine()}; {arguments.rows:,} requests over {DAYS} days in SQLite, {megabytes:,.0f} MB"
    return f"{title}\n\n{table(['question', 'first time, ms', 'median, ms'], rows)}"


def _seconds_of(command: list[str], env: dict[str, str]) -> float:
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, check=True)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def fill(database: Path, count: int, days: int = DAYS, accounts: Sequence[str] = ACCOUNTS) -> None:
    """Fill the tables as the gateway would have, with attempts and sums."""
    connection = sqlite3.connect(database, isolation_level=None)
    now, step = time.time(), days * 86_400 / count
    choice = random.Random(6)
    for start in range(0, count, ROWS_A_STEP):
        numbers = range(start, min(start + ROWS_A_STEP, count))
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO gateway_requestlog ({', '.join(REQUEST)}) VALUES ({', '.join('?' * len(REQUEST))})",
            (_request(number, now - (count - number) * step, choice, accounts) for number in numbers),
        )
        connection.execute("COMMIT")
        say(f"{numbers[-1] + 1:,} of {count:,} rows")
    connection.execute(ATTEMPTS_THAT_FAILED)
    for sums in (SUMS_BY_HOUR, SUMS_BY_MINUTE):
        connection.execute(sums)
    connection.close()


REQUEST = (
    "id", "instance_id", "request_id", "started_at", "client", "session_id", "client_model", "upstream_model",
    "account", "endpoint", "is_stream", "fallback", "problem", "status", "error", "stop_reason", "attempts",
    "waited_seconds", "first_event_seconds", "duration_seconds", "request_bytes", "response_bytes",
    "input_tokens", "output_tokens", "cache_read_tokens", "thinking_tokens",
)  # fmt: skip
ATTEMPTS_THAT_FAILED = """
    INSERT INTO gateway_requestattempt (request_id, number, account, model, endpoint, started_at,
        waited_seconds, took_seconds, reason, decision, input_tokens, output_tokens, cache_read_tokens,
        thinking_tokens)
    SELECT id, 1, account, upstream_model, endpoint, started_at, 0, duration_seconds, 'quota',
        'returned to the client', input_tokens, output_tokens, cache_read_tokens, thinking_tokens
    FROM gateway_requestlog WHERE problem IS NOT NULL
"""
SUMMED = """count(*), count(problem), count(*), count(*), sum(first_event_seconds), sum(duration_seconds),
    sum(input_tokens), sum(output_tokens), sum(cache_read_tokens)"""
SUMS = """requests, failed, attempts, begun, first_event_seconds, duration_seconds,
    input_tokens, output_tokens, cache_read_tokens"""
SUMS_BY_HOUR = f"""
    INSERT INTO gateway_hourlyusage (hour, model, account, client, {SUMS})
    SELECT substr(started_at, 1, 13) || ':00:00', upstream_model, account, client, {SUMMED}
    FROM gateway_requestlog GROUP BY 1, 2, 3, 4
"""
SUMS_BY_MINUTE = f"""
    INSERT INTO gateway_minuteusage (minute, model, {SUMS})
    SELECT substr(started_at, 1, 16) || ':00', upstream_model, {SUMMED}
    FROM gateway_requestlog WHERE started_at > datetime('now', '-1 day') GROUP BY 1, 2
"""


def _request(number: int, at: float, choice: random.Random, accounts: Sequence[str]) -> tuple[object, ...]:
    account = accounts[(number // REQUESTS_A_SHIFT * AT_ONCE + choice.randrange(AT_ONCE)) % len(accounts)]
    model = "claude-old" if number < 1000 else choice.choice(MODELS)
    problem = "rate_limit_error" if choice.random() < 0.01 else None
    return (
        (1 << 32) + number, 1, f"req_{number:012d}",
        datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(" "),
        "AUTH_TOKEN" if number % 3 else "loopback", f"session-{number // 150}", model, model,
        account, "https://cloudcode-pa.googleapis.com", True, False,
        problem, 429 if problem else 200, "", "end_turn", 1, 0.0, 0.8,
        choice.uniform(1, 30), 90_000, 12_000, 800, 400, 22_000, 0,
    )  # fmt: skip


# Locked


def measure_locked(arguments: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(haproxy.canned_upstream(folder))
        with ExitStack() as servers:
            target = _target(folder, "W2", upstream.port, servers)
            statuses = run(_ask_while_locked(target, folder / "data" / "proxy.sqlite3", arguments.seconds))
            peak_mb = target.server.peak_memory_kb() / 1024
        log = (folder / "gateway.log").read_text()
        with sqlite3.connect(folder / "data" / "proxy.sqlite3") as connection:
            rows = Counter(row[0] for row in connection.execute("SELECT request_id FROM gateway_requestlog"))
            is_open = "duration_seconds IS NULL AND problem IS NULL"
            unended = connection.execute(
                f"SELECT count(*) FROM gateway_requestlog WHERE {is_open}"
            ).fetchone()[0]
    counts = Counter(statuses.values())
    served = {name for name, status in statuses.items() if status == 200}
    return "\n".join(
        [
            f"{machine()}; {PER_SECOND} requests a second, the database locked for {arguments.seconds} s",
            "",
            f"answers by status: {dict(sorted(counts.items()))}",
            f"requests served: {len(served):,}; of them without a row: {len(served - rows.keys())}; "
            f"with two: {sum(count > 1 for count in rows.values())}; without an end: {unended}",
            f"refused requests with a row: {len(rows.keys() - served)}",
            f"peak memory of the gateway: {peak_mb:.0f} MB",
            "",
            *[line for line in log.splitlines() if "ledger" in line][:3],
            "...",
            *[line for line in log.splitlines() if "ledger" in line][-2:],
        ]
    )


PER_SECOND = 200
SECONDS_AROUND = 3


async def _ask_while_locked(target: Target, database: Path, seconds: int) -> dict[str, int]:
    statuses: dict[str, int] = {}
    load = asyncio.create_task(_ask_steadily(target.server.port, seconds + 2 * SECONDS_AROUND, statuses))
    await asyncio.sleep(SECONDS_AROUND)
    other = sqlite3.connect(database, isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    for second in range(seconds):
        await asyncio.sleep(1)
        if second % 10 == 9:
            say(f"locked for {second + 1} s: {dict(Counter(statuses.values()))}")
    other.execute("ROLLBACK")
    other.close()
    await load
    return statuses


async def _ask_steadily(port: int, seconds: int, statuses: dict[str, int]) -> None:
    started = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(name: str) -> None:
            headers = {**WORKLOADS["W2"].headers, "x-request-id": name}
            url = f"http://{LOOPBACK}:{port}/v1/messages"
            async with session.post(url, data=WORKLOADS["W2"].body, headers=headers) as response:
                await response.read()
                statuses[name] = response.status

        tasks = []
        for number in range(seconds * PER_SECOND):
            tasks.append(asyncio.create_task(ask(f"load-{number}")))
            await asyncio.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        await asyncio.gather(*tasks)


# The command


def main() -> None:
    arguments = _parser().parse_args()
    text = arguments.measure(arguments)
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/ledger.py", description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True, metavar="PART")
    cost = parts.add_parser("cost", help="throughput with the ledger and without")
    cost.add_argument("--rounds", type=int, default=40, help="default: 40")
    cost.add_argument("--seconds", type=int, default=1, help="of one measurement; default: 1")
    cost.add_argument(
        "--only", type=lambda text: text.split(","), default=["W1", "W2", "W4"], metavar="W1,W2"
    )
    cost.set_defaults(measure=measure_cost)
    size = parts.add_parser("size", help="how fast a large ledger answers")
    size.add_argument("--rows", type=int, default=1_000_000)
    size.set_defaults(measure=measure_size)
    locked = parts.add_parser("locked", help="nothing is lost while the database takes no rows")
    locked.add_argument("--seconds", type=int, default=180, help="how long it is locked")
    locked.set_defaults(measure=measure_locked)
    return parser


if __name__ == "__main__":
    main()
