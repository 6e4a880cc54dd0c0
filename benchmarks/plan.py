"""The amount of measuring: the default takes minutes, the quick one only shows that everything works."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    rounds: int = 3
    seconds: int = 2
    """Seconds of each throughput measurement (wrk counts in whole seconds); the first event is probed for
    half of that."""
    requests: int = 10_000
    streams: int = 500
    held_seconds: float = 60.0
    paced_streams: int = 20


DEFAULT = PreparedRequest()
QUICK = PreparedRequest(rounds=1, seconds=1, requests=1000, streams=100, held_seconds=5.0)


def say(line: str) -> None:
    """Print progress, apart from the tables, which may be redirected to a file."""
    print(line, file=sys.stderr, flush=True)
