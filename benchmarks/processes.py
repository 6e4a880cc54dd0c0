"""A server as a child process: started, awaited, measured from outside, and always ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_SECONDS = 30.0
STOP_SECONDS = 10.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LOOPBACK = "127.0.0.1"


class Cores(NamedTuple):
    """CPU numbers for the gateway and for everything else; with a single CPU, both sets contain it."""

    measured: set[int]
    others: set[int]


@contextmanager
def core_for_the_gateway() -> Iterator[Cores]:
    """Reserve one CPU for the gateway: set the affinity of this process, and of those it starts meanwhile, to
    the other CPUs. Server.keep_to then pins the gateway to the reserved one."""
    ours = os.sched_getaffinity(0)
    kept = {max(ours)}
    cores = Cores(kept, ours - kept or ours)
    try:
        os.sched_setaffinity(0, cores.others)
        yield cores
    finally:
        os.sched_setaffinity(0, ours)


class StealTime:
    """Measures the steal time of all CPUs since its creation: the time that a virtual CPU was ready to run,
    and the hypervisor ran something else (`steal` in man 5 proc_stat)."""

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), self._seconds()

    def share(self) -> float:
        """Return the steal time as a fraction of the elapsed time; 1 is one whole CPU."""
        return (self._seconds() - self._before) / (time.monotonic() - self._began)

    def _seconds(self) -> float:
        return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / TICKS_PER_SECOND


class DidNotStart(Exception):
    """The server did not start; the text is what the process has printed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Server:
    """A context manager; inside it the port accepts connections."""

    def __init__(
        self,
        command: list[str],
        port: int,
        log: Path,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._env = env
        self._folder = folder

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _ending_with_us(self._command),
                stdout=log, stderr=subprocess.STDOUT, env=self._env, cwd=self._folder,
            )  # fmt: skip
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((LOOPBACK, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise DidNotStart(f"{self._command[0]} does not listen:\n{self._log.read_text(errors='replace')}")

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def keep_to(self, cores: set[int]) -> None:
        """Have all its present threads, and those they start, run on these cores only."""
        for thread in self.thread_seconds():
            os.sched_setaffinity(thread, cores)

    # Resources used so far (man 5 proc)

    def cpu_seconds(self) -> float:
        """CPU time of all its threads, user and system, in seconds with a resolution of a hundredth."""
        stat = self._proc("stat").read_text()
        fields = stat.rpartition(")")[2].split()  # the name before it may contain blanks
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_kb(self) -> int:
        return self._status("VmRSS")

    def peak_memory_kb(self) -> int:
        return self._status("VmHWM")

    def children(self) -> list[int]:
        """The ids of its child processes."""
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]

    def own_memory_kb(self) -> int:
        """Anonymous memory, which belongs to no file (man 5 proc_pid_smaps). Whether pages of programs and
        libraries are private depends on which other processes run the same: that made a difference of up to 4
        MB here."""
        for line in self._proc("smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1])
        raise KeyError("Anonymous")

    def open_files(self) -> int:
        """The number of open descriptors of any kind."""
        return len(list(self._proc("fd").iterdir()))

    def threads(self) -> int:
        return self._status("Threads")

    @property
    def pid(self) -> int:
        return self._process.pid

    def thread_seconds(self) -> dict[int, float]:
        """The CPU time of each thread so far, by its id."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return {int(one.name): int((one / "schedstat").read_text().split()[0]) / 1e9 for one in threads}

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._process.pid}", name)

    def _status(self, field: str) -> int:
        for line in self._proc("status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0])
        raise KeyError(field)


def _ending_with_us(command: list[str]) -> list[str]:
    """Have the kernel end the child when this process ends, even when it is killed."""
    if shutil.which("setpriv") is None:
        return command
    return ["setpriv", "--pdeathsig", "TERM", "--", *command]
