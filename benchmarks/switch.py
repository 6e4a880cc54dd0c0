"""From a 429 to the first byte on the next account: `uv run benchmarks/switch.py`.

Google is played by this process. Each request is refused once, with a limit of some seconds, and answered
when the gateway has sent it with the next account. What is measured is the gateway's share alone:

    client ── request ──> gateway ──> Google
                                      429              refused_at
                                      asked again      asked_at       switch = asked_at - refused_at
                                      first event      sent_at
    client <─ first byte                               arrived_at     relay  = arrived_at - sent_at

The 429 and the first event count from before they are written, so that the network is part of the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/switch.py` puts only this folder there

from benchmarks.canned_answers import account_answers, text_event  # noqa: E402
from benchmarks.claude_code_request import CLAUDE_CODE_HEADERS, claude_code_request  # noqa: E402
from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import Connection, connect, post_request, run  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.processes import LOOPBACK, free_port  # noqa: E402
from benchmarks.report import machine  # noqa: E402
from proxy_site.emulator.google_errors import rate_limited  # noqa: E402
from proxy_site.emulator.models import MODELS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRIES = 200
WARM_UP = 20
COOLDOWN_SECONDS = 3.5
"""The cooldown in the 429. Shorter limits are waited out with the same account
(gateway/relay/model_call.py)."""
PAUSE_SECONDS = 0.2
"""The pause between two tries. Each try puts one of three accounts into a cooldown; at least two are back by
the next."""
SHARED = re.compile("gemini-3")
"""Names that share one model and one quota."""
EVENTS = 3
LARGEST_BODY_BYTES = 4 * 1024 * 1024


@dataclass
class Google:
    """A stand-in for Google that refuses the first of two calls. Times are of time.monotonic."""

    refuse_next: bool = False
    refused_at: float = 0.0
    asked_at: float = 0.0
    sent_at: float = 0.0

    async def model_call(self, request: web.Request) -> web.StreamResponse:
        asked_at = time.monotonic()
        await request.read()
        if self.refuse_next:
            self.refuse_next = False
            refusal = rate_limited("the model", COOLDOWN_SECONDS, time.time())
            body = json.dumps(refusal.body).encode()
            self.refused_at = time.monotonic()
            return web.Response(status=429, body=body, content_type="application/json")
        self.asked_at = asked_at
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.sent_at = time.monotonic()
        for number in range(EVENTS):
            await response.write(text_event(number, EVENTS, "a word "))
        await response.write_eof()
        return response

    async def account_call(self, request: web.Request) -> web.Response:
        method = request.path.rpartition(":")[2].rpartition("/")[2]
        answer = account_answers().get(method)
        return web.Response(body=answer or b"{}", content_type="application/json")


@dataclass
class Results:
    """Milliseconds, one of each a try."""

    machine: str
    switch: list[float] = field(default_factory=list)
    relay: list[float] = field(default_factory=list)

    @property
    def total(self) -> list[float]:
        """The time from the 429 to the first byte at the client, without the upstream's own."""
        return [switch + relay for switch, relay in zip(self.switch, self.relay, strict=True)]

    def as_figures(self) -> dict[str, object]:
        parts = {"switch": self.switch, "relay": self.relay, "total": self.total}
        figures: dict[str, object] = {"machine": self.machine, "tries": len(self.switch)}
        for name, milliseconds in parts.items():
            figures[name] = {
                "median_ms": round(statistics.median(milliseconds), 3),
                "p99_ms": round(statistics.quantiles(milliseconds, n=100)[98], 3),
            }
        return figures


def main() -> None:
    arguments = _parser().parse_args()
    results = run(_measure(arguments.tries))
    print(as_text(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results.as_figures(), indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/switch.py",
        description="Measures the time from a 429 to the first byte on the next account.",
    )
    parser.add_argument("--tries", type=_tries, default=TRIES, help=f"default: {TRIES}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def _tries(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError("must be a whole number, 2 or more")
    return int(text)


def as_text(results: Results) -> str:
    figures = results.as_figures()
    lines = [
        f"{results.machine}; {figures['tries']} tries; without the upstream's own time.",
        "",
        "| | median | p99 |",
        "|---|---|---|",
    ]
    for name, meaning in MEANINGS.items():
        figure = figures[name]
        assert isinstance(figure, dict)
        lines.append(f"| {meaning} | {figure['median_ms']:.2f} ms | {figure['p99_ms']:.2f} ms |")
    return "\n".join(lines)


MEANINGS = {
    "switch": "429 sent → asked again with the next account",
    "relay": "first event sent → first byte at the client",
    "total": "429 → first byte on the next account",
}


async def _measure(tries: int) -> Results:
    google, port = Google(), free_port()
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name:
        folder = Path(name)
        base_url = f"http://{LOOPBACK}:{port}"
        async with _serving(google, port):
            await asyncio.to_thread(import_accounts, folder)
            server = gateway(folder, base_url, f"{base_url}/token")
            await asyncio.to_thread(server.__enter__)
            try:
                return await _try_again_and_again(google, server.port, tries)
            finally:
                await asyncio.to_thread(server.__exit__)


@asynccontextmanager
async def _serving(google: Google, port: int) -> AsyncIterator[None]:
    application = web.Application(client_max_size=LARGEST_BODY_BYTES)
    application.router.add_post("/v1internal:streamGenerateContent", google.model_call)
    application.router.add_route("*", "/{path:.*}", google.account_call)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def _try_again_and_again(google: Google, port: int, tries: int) -> Results:
    models = [model.id for model in MODELS.values() if model.in_antigravity and not SHARED.match(model.id)]
    connection = await connect(port)
    results = Results(machine())
    for number in range(WARM_UP + tries):
        switch, relay = await _try_once(google, connection, port, models[number % len(models)])
        if number >= WARM_UP:
            results.switch.append(switch * 1000)
            results.relay.append(relay * 1000)
        if number % 50 == 0:
            say(f"{number} of {WARM_UP + tries}")
        await asyncio.sleep(PAUSE_SECONDS)
    connection.close()
    return results


async def _try_once(google: Google, connection: Connection, port: int, model_id: str) -> tuple[float, float]:
    # Without thinking in the request each name is a model of its own, with its own quota.
    asked = {key: value for key, value in claude_code_request().items() if key != "thinking"}
    body = json.dumps({**asked, "model": model_id}).encode()
    headers = {**CLAUDE_CODE_HEADERS, "X-Claude-Code-Session-Id": secrets.token_hex(8)}
    google.refuse_next = True
    answer = await connection.exchange(post_request(port, "/v1/messages", headers, body))
    if answer.status != 200 or google.refuse_next or b"message_stop" not in answer.body:
        raise SystemExit(f"{model_id} answered {answer.status}: {bytes(answer.body[-300:])!r}")
    assert answer.first_body_at is not None
    return google.asked_at - google.refused_at, answer.first_body_at - google.sent_at


if __name__ == "__main__":
    main()
