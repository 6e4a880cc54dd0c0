"""What people and operators feel, measured with the gateways of before and now in turns: time added to the
first event, delay of events, memory of held streams, start. benchmarks/earlier.py prints it."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.claude_code_request import CLAUDE_CODE_HEADERS, claude_code_request
from benchmarks.endurance import open_and_leave
from benchmarks.http_client import Connection, Disconnected, connect, run
from benchmarks.measure import measure_streams, one_stream, percentile, probe
from benchmarks.paced_upstream import delays_in
from benchmarks.plan import say
from benchmarks.processes import LOOPBACK, StealTime, core_for_the_gateway
from benchmarks.stage import Target
from benchmarks.workloads import SDK_HEADERS, STREAM_REQUEST, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.before_and_now import BeforeAndNow
    from benchmarks.http_client import Answer
    from benchmarks.measure import PacedMeasurement

Sample = dict[str, float]
"""What was measured of one gateway in one round, by names of figures."""
Samples = dict[str, list[Sample]]
"""By the names of the gateways, one for each round."""
DIRECT = "direct"
"""The key, in place of a gateway's name, of samples that were measured without a gateway."""


class Amount(NamedTuple):
    """How much is measured. Tests measure less."""

    rounds: int = 5
    seconds: float = 1.0
    paced_streams: int = 200
    held_streams: int = 5000
    agents: int = 40


# The first event, one client


def first_event(both: BeforeAndNow, amount: Amount) -> Samples:
    """One request of W2 after the other: the time to the first event, less that of the upstream asked
    directly in the same round."""
    workload = WORKLOADS["W2"]
    url = both.canned(workload.name)

    def measure(target: Target) -> Sample:
        times, failures = run(probe(target, amount.seconds))
        return {"p50": percentile(times, 50), "errors": failures}

    return _beside_direct(both, url, workload.headers, workload.body, amount, measure)


def _beside_direct(
    both: BeforeAndNow,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    amount: Amount,
    measure: Callable[[Target], Sample],
) -> Samples:
    """Measure all in turns; what the upstream itself takes is taken off, except of errors."""
    samples: Samples = {name: [] for name in both.names}
    with ExitStack() as stack:
        direct = both.direct(url, headers, body)
        targets = {name: stack.enter_context(both.target(name, url, headers, body)) for name in both.names}
        for _ in range(amount.rounds):
            without = measure(direct)
            for name, target in targets.items():
                found = measure(target)
                samples[name].append(
                    {
                        figure: value - (0 if figure == "errors" else without[figure])
                        for figure, value in found.items()
                    }
                )
    return samples


# Many agents


AGENTS_CALLS = (26, 68)
"""The calls so far in the shortest and the longest conversation: 150 kB and 300 kB."""
AGENTS_EVENTS, AGENTS_PAUSE_MS = 100, 20
AGENTS_TURNS = 5


def agents(both: BeforeAndNow, amount: Amount) -> Samples:
    """So many agents begin at once and stream at once, each with a conversation of 150 to 300 kB of its own,
    for a few turns, each a call longer: the time to the first event, less that without a gateway."""
    shortest, longest = AGENTS_CALLS
    step = (longest - shortest) / max(amount.agents - 1, 1)
    agents = [_turns(number, round(shortest + step * number)) for number in range(amount.agents)]

    def measure(target: Target) -> Sample:
        answers = run(_agents(target, agents))
        good = [answer for answer in answers if answer is not None and target.has_answered(answer)]
        times = [answer.first_event_seconds for answer in good]
        errors = len(agents) * AGENTS_TURNS - len(good)
        return {"p50": percentile(times, 50), "p99": percentile(times, 99), "errors": errors}

    url = both.paced(AGENTS_EVENTS, AGENTS_PAUSE_MS)
    return _beside_direct(both, url, CLAUDE_CODE_HEADERS, agents[0][0], amount, measure)


def _turns(agent: int, calls: int) -> list[bytes]:
    """The bodies of an agent's turns. No other agent has the same first message."""
    requests = [claude_code_request(calls + turn) for turn in range(AGENTS_TURNS)]
    for request in requests:
        request["messages"][0]["content"][0]["text"] += f" You are agent {agent}."
    return [json.dumps(request, separators=(",", ":")).encode() for request in requests]


def _with_body(request: bytes, body: bytes) -> bytes:
    head = request.partition(b"\r\n\r\n")[0].rpartition(b"Content-Length: ")[0]
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def _agents(target: Target, agents: list[list[bytes]]) -> list[Answer | None]:
    async def agent(bodies: list[bytes]) -> list[Answer | None]:
        requests = [_with_body(target.request, body) for body in bodies]
        mine = [Target(target.name, target.server, request, target.request_file) for request in requests]
        return [await one_stream(turn) for turn in mine]

    turns = await asyncio.gather(*map(agent, agents))
    return [answer for answers in turns for answer in answers]


# Paced streams


PACED_EVENTS, PACED_PAUSE_MS = 200, 5


def paced(both: BeforeAndNow, amount: Amount) -> Samples:
    """W3: streams of 200 events, 5 ms apart, opened at once."""

    def measure(target: Target) -> Sample:
        return _sample_of(measure_streams(target, amount.paced_streams))

    return _in_turns(both, both.paced(PACED_EVENTS, PACED_PAUSE_MS), amount, measure)


def _sample_of(one: PacedMeasurement) -> Sample:
    return {"delay p99": one.delay_p99, "first event p99": one.first_event_p99, "errors": one.errors}


def _in_turns(both: BeforeAndNow, url: str, amount: Amount, measure: Callable[[Target], Sample]) -> Samples:
    samples: Samples = {name: [] for name in both.names}
    with ExitStack() as stack:
        targets = {}
        for name in both.names:
            server = stack.enter_context(both.server(name, url))
            targets[name] = both.request_to(name, server, SDK_HEADERS, STREAM_REQUEST)
        for _ in range(amount.rounds):
            for name, target in targets.items():
                samples[name].append(measure(target))
    return samples


# Fairness


NEWCOMERS_PAUSES_MS = (5, 20)
"""Between two events of a stream."""
RUNNING_EVENTS = 100_000
"""More than anybody waits for."""
NEWCOMERS = 40
ARRIVAL_SECONDS = 0.05


def newcomers(both: BeforeAndNow, amount: Amount, pause_ms: int) -> Samples:
    """Requests that arrive one by one while so many paced streams run: the time to their first event, after
    which they hang up."""

    def measure(target: Target) -> Sample:
        return run(_newcomers(target, amount))

    return _in_turns(both, both.paced(RUNNING_EVENTS, pause_ms), amount, measure)


async def _newcomers(target: Target, amount: Amount) -> Sample:
    connections: list[Connection] = []
    running = [asyncio.create_task(_stay(target, connections)) for _ in range(amount.paced_streams)]
    while sum(one.answer.first_body_at is not None for one in connections) < amount.paced_streams:
        await asyncio.sleep(ARRIVAL_SECONDS)
    arrived = []
    for _ in range(max(1, round(NEWCOMERS * amount.seconds))):
        arrived.append(asyncio.create_task(_first_event(target)))
        await asyncio.sleep(ARRIVAL_SECONDS)
    times = [seconds for seconds in await asyncio.gather(*arrived) if seconds is not None]
    errors = len(arrived) - len(times) + sum(stream.done() for stream in running)
    await _leave(running)
    return {"p50": percentile(times, 50), "p99": percentile(times, 99), "errors": errors}


async def _first_event(target: Target) -> float | None:
    """The seconds to the first event, then hang up; None for an error."""
    reader, writer = await asyncio.open_connection(LOOPBACK, target.server.port)
    began = time.monotonic()
    writer.write(target.request)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"event: message_start")
    except (OSError, asyncio.IncompleteReadError):
        return None
    seconds = time.monotonic() - began
    writer.close()
    return seconds if head.split()[1] == b"200" else None


async def _stay(target: Target, connections: list[Connection]) -> None:
    """Hold a stream until this is cancelled or the stream ends."""
    connection = await connect(target.server.port)
    connections.append(connection)
    try:
        await connection.exchange(target.request)
    except Disconnected:
        return
    finally:
        connection.close()


async def _leave(streams: list[asyncio.Task[None]]) -> None:
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)


# Held streams


HELD_EVENTS, HELD_PAUSE_MS = 1000, 1000
"""More events than anybody waits for."""
OPENING_PAUSE_SECONDS = 0.004
SETTLING_SECONDS, HELD_SECONDS = 5.0, 20.0
"""The pause before measuring, and the time measured: a stall of 0.1 s is then less than 1 % of it, so it does
not decide the p99 alone."""
CALM_SHARE, MOST_WINDOWS = 0.05, 6
"""The largest steal time of a measurement, as a fraction of one CPU, and the most measurements. One
with more steal time is repeated with the same streams; if all have more, the one with the least is used."""


def held(both: BeforeAndNow, amount: Amount) -> Samples:
    """W5: streams held open with an event a second, for each gateway by itself, freshly started, with a core
    of its own. Delays are those of events after the last stream was opened. DIRECT is the upstream without a
    gateway, which shows how the machine was in that round."""
    _allow_many_descriptors()
    samples: Samples = {name: [] for name in (DIRECT, *both.names)}
    url = both.paced(HELD_EVENTS, HELD_PAUSE_MS)
    with core_for_the_gateway() as cores:
        both.keep_paced_to(cores.others)
        for _ in range(amount.rounds):
            say("held: without a gateway")
            without = _held_by(both.direct(url, SDK_HEADERS, STREAM_REQUEST), amount)
            del without["kB"]  # of the upstream
            samples[DIRECT].append(without)
            for name in both.names:
                say(f"held: {name}")
                with both.server(name, url) as server:
                    server.keep_to(cores.measured)
                    target = both.request_to(name, server, SDK_HEADERS, STREAM_REQUEST)
                    samples[name].append(_held_by(target, amount))
        both.keep_paced_to(cores.measured | cores.others)
    return samples


def _allow_many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _held_by(target: Target, amount: Amount) -> Sample:
    """Collect no garbage in this process meanwhile: what arrives while the notes of 5,000 streams are looked
    through would seem late."""
    gc.collect()
    gc.disable()
    try:
        return run(_hold(target, amount))
    finally:
        gc.enable()


async def _hold(target: Target, amount: Amount) -> Sample:
    await open_and_leave(target)
    memory_before = target.server.memory_kb()
    connections: list[Connection] = []
    streams = []
    for _ in range(amount.held_streams):
        streams.append(asyncio.create_task(_stay(target, connections)))
        await asyncio.sleep(OPENING_PAUSE_SECONDS)
    await asyncio.sleep(SETTLING_SECONDS * amount.seconds)
    window = await _calm_window(HELD_SECONDS * amount.seconds)
    kilobytes = (target.server.memory_kb() - memory_before) / amount.held_streams
    began = sum(connection.answer.first_body_at is not None for connection in connections)
    errors = amount.held_streams - began + sum(stream.done() for stream in streams)
    await _leave(streams)
    delays = [
        delay
        for connection in connections
        for at, piece in connection.answer.pieces
        for delay in delays_in(piece, at)
        if window.began <= at - delay < window.ended
    ]
    delay = percentile(delays, 99)
    return {"kB": kilobytes, "delay p99": delay, "by host": window.steal, "errors": errors}


class _Window(NamedTuple):
    """The interval of a measurement (time.monotonic()), and its steal time as a fraction of one CPU."""

    began: float
    ended: float
    steal: float


async def _calm_window(seconds: float) -> _Window:
    windows: list[_Window] = []
    while not windows or (windows[-1].steal > CALM_SHARE and len(windows) < MOST_WINDOWS):
        began, stolen = time.monotonic(), StealTime()
        await asyncio.sleep(seconds)
        windows.append(_Window(began, time.monotonic(), stolen.share()))
    return min(windows, key=lambda window: window.steal)


# Start


def start(both: BeforeAndNow, amount: Amount) -> Samples:
    """The seconds from the command to the first answered request, on a migrated database."""
    workload = WORKLOADS["W1"]
    samples: Samples = {name: [] for name in both.names}
    for _ in range(amount.rounds):
        for name in both.names:
            began = time.monotonic()
            with both.target(name, both.canned(workload.name), workload.headers, workload.body):
                samples[name].append({"seconds": time.monotonic() - began, "errors": 0})
    return samples
