"""What a request costs, in counts: `uv run --all-groups benchmarks/budget.py` prints them and the outcome.

Function calls, tasks, timers and system calls hardly vary, even on a busy machine, where times vary by half.
Requests are sent one after another on one connection to the gateway in a process of its own
(counted_gateway.py), with everything on: ledger, log at level info, three accounts, AUTH_TOKEN. The last
line compares with the budgets; exit status 1 when one is exceeded.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/budget.py` puts only this folder there

from benchmarks.canned_upstream import HOLD, CannedUpstream  # noqa: E402
from benchmarks.counted_gateway import ENDS_OF_WINDOWS  # noqa: E402
from benchmarks.gateway_server import ACCOUNTS, environment, import_accounts  # noqa: E402
from benchmarks.http_client import Answer, post_request  # noqa: E402
from benchmarks.processes import LOOPBACK, free_port  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.workloads import Workload

Counts = dict[str, float]

BUDGETS = {
    "W1": 750.0,
    "W2": 950.0,
    "W4": 2600.0,
    "event": 12.0,
    "tasks": 2.1,
    "timers": 2.0,
    "call_soon": 7.0,
    "urandom": 0.0,
    "pool": 1.5,
}
"""Function calls of one request by workload, and of one event of a long stream; tasks, timers, callbacks and
system calls for random bytes of W2; the pool's calls with 20 accounts, in those with one."""
TOLERANCE = 0.1
"""Of one request, for what the gateway does meanwhile by the clock."""
WARM_UP = 30
WINDOWS = 3
WINDOWS_OF_POOL = 12
"""More, since with many accounts their quotas are refreshed during most windows."""
REQUESTS = 50
"""In each window; the lowest window counts."""
REQUESTS_OF_LONG_ONES = {"W2L": 20, "W4": 20}
"""Fewer where one request makes so many calls that those made by the clock hardly change the count."""
NUMBER = "(request number)"
"""A placeholder in a workload's body. `send` replaces it by the number of the request, so that no two bodies
are equal."""
HOLD_SECONDS = 20
"""The patience for the first event of a held stream."""
EVENTS_MORE = 380
"""W2L has so many events more than W2."""
SHOWN_SYSTEM_CALLS = 0.05


class CountedGateway:
    """A gateway that counts, and the client that sends it requests."""

    def __init__(self, port: int, control: socket.socket, upstream: CannedUpstream, pid: int) -> None:
        self.pid = pid
        self._port = port
        self._socket, self._control = control, control.makefile("rw")
        self._upstream = upstream
        self._connection: socket.socket | None = None
        self._held: list[socket.socket] = []
        self._numbers = itertools.count(1)

    def wait_until_ready(self) -> None:
        self._control.readline()
        self._connection = socket.create_connection((LOOPBACK, self._port))

    def close(self) -> None:
        """End the gateway, which ends when nobody can give it a command."""
        for connection in (self._connection, *self._held):
            if connection is not None:
                connection.close()
        self._control.close()
        self._socket.close()

    def measure(self, workload: Workload, windows: int = WINDOWS) -> Counts:
        """The counts of one request: those of the window with the fewest."""
        requests = REQUESTS_OF_LONG_ONES.get(workload.name, REQUESTS)
        self.send(workload, WARM_UP)
        found = [self._count(workload, requests) for _ in range(windows)]
        return min(found, key=lambda counts: counts.get("total", counts.get("call_soon", 0.0)))

    def cpu_seconds(self, workload: Workload, requests: int = REQUESTS, windows: int = WINDOWS) -> float:
        """The CPU of one request in the event loop's thread, which does not count meanwhile: the least of the
        windows."""
        self.send(workload, WARM_UP)
        found = []
        for _ in range(windows):
            before = self._thread_seconds()
            self.send(workload, requests)
            found.append((self._thread_seconds() - before) / requests)
        return min(found)

    def _thread_seconds(self) -> float:
        schedule = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text()
        return int(schedule.split()[0]) / 1e9

    def hold(self, streams: int) -> None:
        """Open so many streams that get one event and then nothing, and keep them."""
        workload = WORKLOADS["W2"]
        body = workload.body.replace(b"Which of these", HOLD, 1)
        request = post_request(self._port, "/v1/messages", workload.headers, body)
        for _ in range(streams):
            connection = socket.create_connection((LOOPBACK, self._port), HOLD_SECONDS)
            connection.sendall(request)
            received = b""
            while b"content_block_delta" not in received:
                piece = connection.recv(1 << 16)
                if not piece:
                    raise RuntimeError(repr(received[-300:]))
                received += piece
            self._held.append(connection)

    def send(self, workload: Workload, times: int) -> None:
        """Send requests one after another, each after the answer to the one before."""
        self._upstream.workload = workload
        assert self._connection is not None
        for _ in range(times):
            body = workload.body.replace(NUMBER.encode(), b"%08d" % next(self._numbers))
            path = "/v1/messages?beta=true"
            self._connection.sendall(post_request(self._port, path, workload.headers, body))
            answer = Answer()
            while not answer.is_complete:
                answer.receive(0.0, self._connection.recv(1 << 20))
            if answer.status != 200 or b'"stop_reason":"' not in answer.body:
                raise RuntimeError(f"{answer.status}: {bytes(answer.body[-300:])!r}")

    def _count(self, workload: Workload, requests: int) -> Counts:
        self._tell("begin")
        self.send(workload, requests)
        counts: Counts = json.loads(self._tell("end"))
        return {name: count / requests for name, count in counts.items()}

    def _tell(self, command: str) -> str:
        self._control.write(command + "\n")
        self._control.flush()
        return self._control.readline()


@contextmanager
def counted_gateway(
    kind: str, accounts: int = 3, under: Sequence[str] = (), **settings: str
) -> Iterator[CountedGateway]:
    """Run a gateway that counts `calls`, or what its `loop` is asked for. `under` is a command that runs it,
    such as strace."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-budget-") as folder,
        CannedUpstream(WORKLOADS["W1"]) as upstream,
    ):
        import_accounts(Path(folder), _accounts(accounts))
        port, (ours, theirs) = free_port(), socket.socketpair()
        counted = [sys.executable, "benchmarks/counted_gateway.py", kind, str(port), str(theirs.fileno())]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*under, *counted], cwd=PROJECT, env=_settings(Path(folder), upstream.url) | settings,
                stdout=log, stderr=log, pass_fds=(theirs.fileno(),),
            )  # fmt: skip
            theirs.close()
            gateway = CountedGateway(port, ours, upstream, process.pid)
            try:
                gateway.wait_until_ready()
                yield gateway
            finally:
                gateway.close()
                process.wait()


def _accounts(count: int) -> Sequence[Mapping[str, str]]:
    if count <= len(ACCOUNTS):
        return ACCOUNTS[:count]
    return [
        {
            "email": f"a{number}@example.com",
            "refresh_token": f"1//a{number}",
            "project_id": f"project-{number}",
        }
        for number in range(count)
    ]


def _settings(folder: Path, upstream: str) -> dict[str, str]:
    return environment(folder) | {
        "AUTH_TOKEN": "benchmark",
        "CLOUDCODE_ENDPOINTS": upstream,
        "OAUTH_TOKEN_URL": f"{upstream}/token",
        "OAUTH_CLIENT_ID": "benchmark",
        "OAUTH_CLIENT_SECRET": "benchmark",
    }


@dataclass(slots=True)
class Figures:
    """Counts for one request. `calls` by workload and layer, `loop` by workload."""

    calls: dict[str, Counts] = field(default_factory=dict)
    loop: dict[str, Counts] = field(default_factory=dict)
    system_calls: Counts = field(default_factory=dict)
    pool: dict[int, float] = field(default_factory=dict)
    """The pool's calls, by the number of accounts."""

    def budgeted(self) -> dict[str, float]:
        """What there is a budget for, by the names of BUDGETS."""
        calls, loop = self.calls, self.loop
        found: Counts = {name: calls[name]["total"] for name in ("W1", "W2", "W4") if name in calls}
        if "W2L" in calls:
            found["event"] = (calls["W2L"]["total"] - calls["W2"]["total"]) / EVENTS_MORE
        if "W2" in loop:
            found |= {name: loop["W2"].get(name, 0.0) for name in ("tasks", "timers", "call_soon")}
        if "W2" in calls:
            found["urandom"] = calls["W2"]["urandom"]
        if len(self.pool) > 1:
            found["pool"] = self.pool[max(self.pool)] / self.pool[min(self.pool)]
        return found


def count_calls(figures: Figures, workloads: Sequence[str] = tuple(WORKLOADS)) -> None:
    with counted_gateway("calls") as gateway:
        figures.calls = {name: gateway.measure(WORKLOADS[name]) for name in workloads}


def count_loop(figures: Figures, workloads: Sequence[str] = ("W1", "W2")) -> None:
    with counted_gateway("loop") as gateway:
        figures.loop = {name: gateway.measure(WORKLOADS[name]) for name in workloads}


def count_pool(figures: Figures) -> None:
    for accounts in (1, 20):
        with counted_gateway("calls", accounts) as gateway:
            figures.pool[accounts] = gateway.measure(WORKLOADS["W1"], WINDOWS_OF_POOL)["pool"]


def count_system_calls(figures: Figures) -> None:
    """Count the system calls of W2 in the event loop's thread, where strace is installed."""
    if shutil.which("strace") is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        with counted_gateway("loop", under=["strace", "-f", "-qq", "-o", str(trace)]) as gateway:
            gateway.measure(WORKLOADS["W2"], windows=1)
        figures.system_calls = system_calls_in(trace.read_text(errors="replace"), REQUESTS)


def system_calls_in(trace: str, requests: int) -> Counts:
    """The system calls of one request, from the output of strace: of the thread that marked the window."""
    before, _, rest = trace.partition(f'"{ENDS_OF_WINDOWS}begin"')
    thread = before.rpartition("\n")[2].split()[0]
    window = rest.partition(f'"{ENDS_OF_WINDOWS}end"')[0]
    called = re.findall(rf"^{thread} +(\w+)\(", window, re.MULTILINE)
    counts = {name: count / requests for name, count in Counter(called).most_common()}
    return {name: count for name, count in counts.items() if count >= SHOWN_SYSTEM_CALLS}


# Report


def is_within(name: str, count: float) -> bool:
    return count <= BUDGETS[name] + (TOLERANCE if name in {"tasks", "timers", "urandom"} else 0.0)


def outcome(found: Mapping[str, float]) -> str:
    parts = [f"{name} {count:.4g}/{BUDGETS[name]:.4g}" for name, count in found.items()]
    result = "PASS" if all(is_within(name, count) for name, count in found.items()) else "FAIL"
    return f"budget: {' '.join(parts)} {result}"


def table(rows: Mapping[str, Counts], last: str = "total") -> str:
    """Counts by name, one column a workload, as Markdown."""
    names = sorted({name for counts in rows.values() for name in counts} - {last})
    lines = [["", *rows], ["---", *("---:" for _ in rows)]]
    lines += [
        [name, *(f"{counts.get(name, 0.0):,.1f}" for counts in rows.values())]
        for name in ([*names, last] if any(last in counts for counts in rows.values()) else names)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    figures = Figures()
    for count in (count_calls, count_loop, count_pool, count_system_calls):
        print(f"{count.__name__} …", file=sys.stderr)
        count(figures)
    print("\nFunction calls for one request, by layer\n")
    print(table(figures.calls))
    print("\nWhat the event loop is asked for, for one request\n")
    print(table(figures.loop))
    print(f"\nThe pool's calls, with 1 and 20 accounts: {figures.pool[1]:.1f}, {figures.pool[20]:.1f}")
    if figures.system_calls:
        shown = ", ".join(f"{name} {count:.1f}" for name, count in figures.system_calls.items())
        print(f"System calls of W2 in the thread of the event loop: {shown}")
    found = figures.budgeted()
    print(outcome(found))
    sys.exit(0 if all(is_within(name, count) for name, count in found.items()) else 1)


if __name__ == "__main__":
    main()
