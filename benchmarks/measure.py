"""Measurements of relay and gateway in turns: throughput, time to the first event, CPU and memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import paced_upstream
from benchmarks.http_client import Disconnected, connect, run
from benchmarks.load import background_load, run_load
from benchmarks.plan import say
from benchmarks.workloads import SDK_HEADERS, STREAM_REQUEST

if TYPE_CHECKING:
    from benchmarks.http_client import Answer
    from benchmarks.plan import PreparedRequest
    from benchmarks.stage import Stage, Target
    from benchmarks.workloads import Workload

WARM_UP_SECONDS = 1
# A background load continues until its probe ends it.
LOAD_MARGIN_SECONDS = 5
PACED_EVENTS = 200
PACED_PAUSE_MS = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """One target in one round. Times in seconds; the peak of memory is that of the process since its
    start."""

    target: str
    requests_per_second: float
    first_event_p50: float
    first_event_p99: float
    cpu_seconds_per_request: float
    peak_memory_kb: int
    errors: int


@dataclass(frozen=True, slots=True)
class Round:
    relay: Measurement
    gateway: Measurement


@dataclass(frozen=True, slots=True)
class Throughput:
    """All rounds of a workload with this number of concurrent clients."""

    workload: str
    at_once: int
    rounds: list[Round]


@dataclass(frozen=True, slots=True)
class PacedMeasurement:
    """The delay of each event of each stream, from the upstream's write to the client's read."""

    target: str
    first_event_p50: float
    first_event_p99: float
    delay_p50: float
    delay_p99: float
    cpu_seconds_per_event: float
    errors: int


@dataclass(frozen=True, slots=True)
class PacedRound:
    streams: int
    relay: PacedMeasurement
    gateway: PacedMeasurement


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` percent of the values do not exceed; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


# Throughput


def measure_workload(stage: Stage, workload: Workload, plan: PreparedRequest) -> list[Throughput]:
    """Measure with all concurrent clients, then with one."""
    with stage.canned_targets(workload.name, workload.headers, workload.body) as (relay, gateway):
        for target in (relay, gateway):
            run_load(target, workload.at_once, WARM_UP_SECONDS)
        return [
            _rounds(relay, gateway, workload, at_once, plan)
            for at_once in dict.fromkeys((workload.at_once, 1))
        ]


def _rounds(
    relay: Target, gateway: Target, workload: Workload, at_once: int, plan: PreparedRequest
) -> Throughput:
    rounds = []
    for number in range(1, plan.rounds + 1):
        this = Round(_measure(relay, at_once, plan.seconds), _measure(gateway, at_once, plan.seconds))
        say(
            f"{workload.name}, {at_once} at once, round {number} of {plan.rounds}:"
            f" relay {this.relay.requests_per_second:.0f}/s, gateway {this.gateway.requests_per_second:.0f}/s"
        )
        rounds.append(this)
    return Throughput(workload.name, at_once, rounds)


def _measure(target: Target, at_once: int, seconds: int) -> Measurement:
    cpu_before = target.server.cpu_seconds()
    load = run_load(target, at_once, seconds)
    cpu_seconds = target.server.cpu_seconds() - cpu_before
    # The probe is one of the clients, wrk the others.
    with background_load(target, at_once - 1, seconds + LOAD_MARGIN_SECONDS):
        times, failures = run(probe(target, seconds / 2))
    return Measurement(
        target=target.name,
        requests_per_second=load.requests / load.seconds,
        first_event_p50=percentile(times, 50),
        first_event_p99=percentile(times, 99),
        cpu_seconds_per_request=cpu_seconds / max(load.requests, 1),
        peak_memory_kb=target.server.peak_memory_kb(),
        errors=load.errors + failures,
    )


async def probe(target: Target, seconds: float) -> tuple[list[float], int]:
    """Send one request after the other; returns the times to the first event, and the number of failures."""
    times: list[float] = []
    failures = 0
    connection = await connect(target.server.port)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = await connection.exchange(target.request)
        times.append(answer.first_event_seconds)
        failures += not target.has_answered(answer)
    connection.close()
    return times, failures


# Paced streams


def measure_paced(stage: Stage, plan: PreparedRequest) -> list[PacedRound]:
    rounds = []
    with stage.paced_targets(PACED_EVENTS, PACED_PAUSE_MS, SDK_HEADERS, STREAM_REQUEST) as (relay, gateway):
        for target in (relay, gateway):
            run(_streams(target, 1))
        for number in range(1, plan.rounds + 1):
            say(f"W3, {plan.paced_streams} streams at once, round {number} of {plan.rounds}")
            rounds.append(
                PacedRound(
                    plan.paced_streams,
                    measure_streams(relay, plan.paced_streams),
                    measure_streams(gateway, plan.paced_streams),
                )
            )
    return rounds


def measure_streams(target: Target, streams: int) -> PacedMeasurement:
    """Open so many streams at once, of the upstream's pace."""
    cpu_before = target.server.cpu_seconds()
    answers = run(_streams(target, streams))
    cpu_seconds = target.server.cpu_seconds() - cpu_before
    good = [answer for answer in answers if answer is not None and target.has_answered(answer)]
    first_events = [answer.first_event_seconds for answer in good]
    delays = [
        delay
        for answer in good
        for at, piece in answer.pieces
        for delay in paced_upstream.delays_in(piece, at)
    ]
    return PacedMeasurement(
        target=target.name,
        first_event_p50=percentile(first_events, 50),
        first_event_p99=percentile(first_events, 99),
        delay_p50=percentile(delays, 50),
        delay_p99=percentile(delays, 99),
        cpu_seconds_per_event=cpu_seconds / max(len(delays), 1),
        errors=streams - len(good),
    )


async def _streams(target: Target, count: int) -> list[Answer | None]:
    """Open all streams at once, each on its own connection; None for one that broke."""
    return await asyncio.gather(*(one_stream(target) for _ in range(count)))


async def one_stream(target: Target) -> Answer | None:
    connection = await connect(target.server.port)
    try:
        return await connection.exchange(target.request)
    except Disconnected:
        return None
    finally:
        connection.close()
