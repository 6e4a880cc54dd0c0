"""Throughput: wrk with the request of one workload. One thread of wrk is faster than everything measured
here."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.stage import Target

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Load:
    requests: int
    seconds: float
    errors: int
    """The number of failed connections, of answers that timed out, and of those with a status of 400 or
    more."""
    p50: float
    """Of the times from a request to the end of its answer, in seconds."""
    p99: float


def run_load(target: Target, connections: int, seconds: int) -> Load:
    finished = subprocess.run(
        _command(target, connections, seconds), capture_output=True, text=True, check=True
    )
    return Load(**json.loads(finished.stdout.splitlines()[-1]))


@contextmanager
def background_load(target: Target, connections: int, seconds: int) -> Iterator[None]:
    """A load that runs while a probe is measured."""
    if connections == 0:
        yield
        return
    process = subprocess.Popen(
        _command(target, connections, seconds), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _command(target: Target, connections: int, seconds: int) -> list[str]:
    return [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", str(seconds),
        "--timeout", "10", "--script", str(SCRIPT), f"http://{LOOPBACK}:{target.server.port}/", "--",
        str(target.request_file),
    ]  # fmt: skip
