"""Endurance: many requests without an error, many idle streams without much memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.http_client import Disconnected, connect, run
from benchmarks.measure import one_stream
from benchmarks.plan import say
from benchmarks.workloads import SDK_HEADERS, STREAM_REQUEST, WORKLOADS

if TYPE_CHECKING:
    from benchmarks.plan import PreparedRequest
    from benchmarks.stage import Stage, Target

CLIENTS = 16
SETTLING_STREAMS = 10
SETTLING_SECONDS = 1.0
SAMPLE_SECONDS = 0.25
# Opened one by one, like sessions of users: a burst needs more memory for a short time, and malloc keeps it.
OPENING_PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class ManyRequests:
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class HeldStreams:
    streams: int
    seconds: float
    errors: int
    memory_before_kb: int
    memory_held_kb: int

    @property
    def kb_per_stream(self) -> float:
        return (self.memory_held_kb - self.memory_before_kb) / self.streams


# Many requests


def send_many(stage: Stage, plan: PreparedRequest) -> ManyRequests:
    """Send many requests of workload W2 through the gateway; each answer must be complete."""
    workload = WORKLOADS["W2"]
    with stage.canned_targets(workload.name, workload.headers, workload.body) as (_, gateway):
        say(f"{plan.requests} requests")
        return ManyRequests(plan.requests, run(_send_many(gateway, plan.requests)))


async def _send_many(target: Target, count: int) -> int:
    """Send requests; returns how many failed."""
    to_do = iter(range(count))

    async def client() -> int:
        errors = 0
        connection = await connect(target.server.port)
        for _ in to_do:
            try:
                errors += not target.has_answered(await connection.exchange(target.request))
            except Disconnected:
                errors += 1
                connection = await connect(target.server.port)
        connection.close()
        return errors

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


# Idle streams


def hold_idle(stage: Stage, plan: PreparedRequest) -> HeldStreams:
    """Hold streams open, with two events and nothing between them."""
    pause_ms = round(plan.held_seconds * 1000)
    with stage.paced_targets(2, pause_ms, SDK_HEADERS, STREAM_REQUEST) as (_, gateway):
        say(f"{plan.streams} idle streams for {plan.held_seconds:g} s")
        return run(_hold(gateway, plan))


async def _hold(target: Target, plan: PreparedRequest) -> HeldStreams:
    await open_and_leave(target)
    memory_before = target.server.memory_kb()
    streams = []
    for _ in range(plan.streams):
        streams.append(asyncio.create_task(one_stream(target)))
        await asyncio.sleep(OPENING_PAUSE_SECONDS)
    memory_held = memory_before
    while any(not stream.done() for stream in streams):
        memory_held = max(memory_held, target.server.memory_kb())
        await asyncio.sleep(SAMPLE_SECONDS)
    answers = [stream.result() for stream in streams]
    good = sum(answer is not None and target.has_answered(answer) for answer in answers)
    return HeldStreams(plan.streams, plan.held_seconds, plan.streams - good, memory_before, memory_held)


async def open_and_leave(target: Target) -> None:
    """Open and close streams first, since the memory that the first requests allocate for good belongs to no
    stream."""
    streams = [asyncio.create_task(one_stream(target)) for _ in range(SETTLING_STREAMS)]
    await asyncio.sleep(SETTLING_SECONDS)
    for stream in streams:
        stream.cancel()
    await asyncio.wait(streams)
    await asyncio.sleep(SETTLING_SECONDS)
