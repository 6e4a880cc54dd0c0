"""What open pages cost: `uv run benchmarks/watchers.py`.

Two gateways answer the same small requests in turns, one with nobody watching and one with pages that watch
requests and acknowledge each update at once, as a browser does that has nothing else to do. First as fast as
they can, for the throughput; then at a fixed rate, for the CPU time that the pages take. Google is canned.

There are two gateways because one collects events for a minute after its last page has gone.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import re
import shutil
import sys
import tempfile
import urllib.parse
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/watchers.py` puts only this folder there

from websockets.asyncio.client import ClientConnection  # noqa: E402
from websockets.asyncio.client import connect as open_websocket  # noqa: E402

from benchmarks import haproxy  # noqa: E402
from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import Connection, connect, post_request, run  # noqa: E402
from benchmarks.load import run_load  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import LOOPBACK, Server  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.stage import Target  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROUNDS, SECONDS, PAGES, RATE = 5, 5, 10, 200
CONNECTIONS = 16
PASSWORD = "a long and good one"
WORKLOAD = WORKLOADS["W1"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One gateway in one round. Neighbours on a busy machine change `requests_per_second` more than pages do;
    what the gateway itself spends on a request, `cpu_ms`, they hardly change."""

    requests_per_second: float
    cpu_ms: float
    """Of one request at full speed."""
    cpu_share: float
    """Of one core at the fixed rate."""
    updates: int
    """Received by all pages."""


@dataclass(frozen=True, slots=True)
class Round:
    unwatched: Measurement
    watched: Measurement


def main() -> None:
    arguments = _parser().parse_args()
    with _gateways() as (unwatched, watched):
        rounds = run(_measure(unwatched, watched, arguments))
    print(as_text(rounds, arguments))
    if arguments.json:
        figures = {"machine": machine(), "rounds": [asdict(one) for one in rounds]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/watchers.py", description="Measures what pages cost.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of each measurement ({SECONDS})")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"that watch; default: {PAGES}")
    parser.add_argument("--rate", type=int, default=RATE, help=f"requests a second, for the CPU ({RATE})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there, too")
    return parser


def as_text(rounds: list[Round], arguments: argparse.Namespace) -> str:
    def row(name: str, each: list[Measurement]) -> list[str]:
        speed = median(one.requests_per_second for one in each)
        cpu, share = median(one.cpu_ms for one in each), median(one.cpu_share for one in each)
        updates = median(one.updates for one in each)
        return [name, f"{speed:,.0f}", f"{cpu:.2f}", f"{share * 100:.1f} %", f"{updates:.0f}"]

    at_rate = f"CPU at {arguments.rate} requests/s, of one core"
    header = ["pages", "requests/s", "CPU of a request, ms", at_rate, "updates received"]
    rows = [
        row("none", [one.unwatched for one in rounds]),
        row(str(arguments.pages), [one.watched for one in rounds]),
    ]
    speeds = (one.watched.requests_per_second / one.unwatched.requests_per_second for one in rounds)
    costs = (one.watched.cpu_ms / one.unwatched.cpu_ms for one in rounds)
    lines = [
        f"{machine()}; medians of {len(rounds)} rounds.",
        table(header, rows),
        f"With pages, of that without in the same round: throughput {median(speeds) * 100:.1f} %,"
        f" CPU of a request {median(costs) * 100:.1f} %.",
    ]
    return "\n\n".join(lines)


# Who takes part


@contextmanager
def _gateways() -> Iterator[tuple[Target, Target]]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="gateway-watchers-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        canned = stack.enter_context(haproxy.canned_upstream(folder))
        first, second = folder / "unwatched", folder / "watched"
        first.mkdir()
        import_accounts(first)
        shutil.copytree(first, second)
        yield _target(stack, first, canned), _target(stack, second, canned)


def _target(stack: ExitStack, folder: Path, canned: Server) -> Target:
    base_url, token_url = (f"http://{LOOPBACK}:{canned.port}/{path}" for path in (WORKLOAD.name, "token"))
    running = stack.enter_context(gateway(folder, base_url, token_url, WEBUI_PASSWORD=PASSWORD))
    request = post_request(running.port, "/v1/messages?beta=true", WORKLOAD.headers, WORKLOAD.body)
    file = folder / "request"
    file.write_bytes(request)
    return Target("gateway", running, request, file)


def _sign_in(port: int) -> str:
    """The cookie of the operator's session."""
    browser = http.client.HTTPConnection(LOOPBACK, port)
    browser.request("GET", "/admin/login/")
    answer = browser.getresponse()
    [csrf] = [value.partition(";")[0] for value in answer.headers.get_all("set-cookie", [])]
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', answer.read())
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1].decode(), "username": "admin", "password": PASSWORD}
    headers = {
        "cookie": csrf,
        "content-type": "application/x-www-form-urlencoded",
        "referer": f"http://{LOOPBACK}:{port}/",
    }
    browser = http.client.HTTPConnection(LOOPBACK, port)
    browser.request("POST", "/admin/login/", urllib.parse.urlencode(form), headers)
    cookies = browser.getresponse().headers.get_all("set-cookie", [])
    return next(value.partition(";")[0] for value in cookies if value.startswith("gateway_session="))


class Pages:
    """A context manager; inside it so many pages watch a gateway. `updates` counts what they receive."""

    def __init__(self, port: int, count: int) -> None:
        self.updates = 0
        self._port = port
        self._count = count

    async def __aenter__(self) -> Pages:
        cookie = await asyncio.to_thread(_sign_in, self._port) if self._count else ""
        self._stack = AsyncExitStack()
        for _ in range(self._count):
            socket = await self._stack.enter_async_context(self._open(cookie))
            watching = asyncio.create_task(self._watch(socket))
            self._stack.callback(watching.cancel)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def _open(self, cookie: str) -> AsyncIterator[ClientConnection]:
        address = f"{LOOPBACK}:{self._port}"
        async with open_websocket(
            f"ws://{address}/ws/live",
            origin=f"http://{address}",  # type: ignore[arg-type]  # a NewType of str
            additional_headers={"cookie": cookie},
            proxy=None,
            max_size=None,
        ) as socket:
            yield socket

    async def _watch(self, socket: ClientConnection) -> None:
        await socket.send('{"t":"watch","topics":["requests"]}')
        async for text in socket:
            message = json.loads(text)
            if "n" in message:
                self.updates += 1
                await socket.send(json.dumps({"t": "ack", "n": message["n"]}))


# Measuring


async def _measure(unwatched: Target, watched: Target, arguments: argparse.Namespace) -> list[Round]:
    rounds = []
    async with Pages(watched.server.port, arguments.pages) as pages:
        for target in (unwatched, watched):
            await asyncio.to_thread(run_load, target, CONNECTIONS, 1)
        for number in range(1, arguments.rounds + 1):
            each = Round(
                await _measure_one(unwatched, None, arguments), await _measure_one(watched, pages, arguments)
            )
            say(
                f"round {number} of {arguments.rounds}: {each.unwatched.requests_per_second:.0f}/s unwatched,"
                f" {each.watched.requests_per_second:.0f}/s watched"
            )
            rounds.append(each)
    return rounds


async def _measure_one(target: Target, pages: Pages | None, arguments: argparse.Namespace) -> Measurement:
    updates_before = pages.updates if pages else 0
    cpu = [target.server.cpu_seconds()]
    load = await asyncio.to_thread(run_load, target, CONNECTIONS, arguments.seconds)
    if load.errors:
        raise SystemExit(f"{load.errors} requests failed")
    cpu.append(target.server.cpu_seconds())
    await _send_at(arguments.rate, target, arguments.seconds)
    cpu.append(target.server.cpu_seconds())
    return Measurement(
        requests_per_second=load.requests / load.seconds,
        cpu_ms=(cpu[1] - cpu[0]) / load.requests * 1000,
        cpu_share=(cpu[2] - cpu[1]) / arguments.seconds,
        updates=(pages.updates if pages else 0) - updates_before,
    )


async def _send_at(rate: int, target: Target, seconds: float) -> None:
    """Requests at equal distances, each on the connection whose turn it is."""
    connections = [await connect(target.server.port) for _ in range(CONNECTIONS)]
    each = [_send_with(one, target, rate / CONNECTIONS, seconds) for one in connections]
    await asyncio.gather(*each)
    for one in connections:
        one.close()


async def _send_with(connection: Connection, target: Target, rate: float, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        answer = await connection.exchange(target.request)
        assert target.has_answered(answer)


if __name__ == "__main__":
    main()
