"""An upstream with a steady pace: each event contains the time at which it was sent.

`python -m benchmarks.paced_upstream PORT`. The base URL sets the pace: `/paced/200/5` answers with 200
events, 5 ms apart; the second comes after a random part of that. Two events a minute apart are a stream that
is held open.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import re
import sys
import time

import uvloop
from aiohttp import web

from benchmarks.canned_answers import account_answers, text_event
from benchmarks.processes import LOOPBACK

LARGEST_BODY_BYTES = 4 * 1024 * 1024
BACKLOG = 4096
SENT_AT = re.compile(rb"@(\d+)@")


def base_path(events: int, pause_ms: int) -> str:
    return f"/paced/{events}/{pause_ms}"


def delays_in(data: bytes, arrived_at: float) -> list[float]:
    """The seconds from the upstream's write to now, for each event in these bytes."""
    return [arrived_at - int(nanoseconds) / 1e9 for nanoseconds in SENT_AT.findall(data)]


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    gc.disable()  # a collection stops all streams, and their events then come in a burst
    application = web.Application(client_max_size=LARGEST_BODY_BYTES)
    base = "/paced/{events}/{pause_ms}/v1internal:"
    application.router.add_post(base + "streamGenerateContent", _stream)
    application.router.add_post(base + "{method}", _account_call)
    web.run_app(
        application,
        host=LOOPBACK,
        port=int(sys.argv[1]),
        backlog=BACKLOG,
        access_log=None,
        print=None,
        handler_cancellation=True,
        shutdown_timeout=0.1,
        loop=uvloop.new_event_loop(),
    )


async def _stream(request: web.Request) -> web.StreamResponse:
    await request.read()
    events, pause_seconds = int(request.match_info["events"]), int(request.match_info["pause_ms"]) / 1000
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    # Streams that were opened together would otherwise send together for as long as they are held.
    started = time.monotonic() - random.random() * pause_seconds
    for number in range(events):
        # By the clock, since sleeps alone would add up to a slower pace.
        await asyncio.sleep(max(0.0, started + number * pause_seconds - time.monotonic()))
        await response.write(text_event(number, events, f"word @{time.monotonic_ns()}@ "))
    await response.write_eof()
    return response


async def _account_call(request: web.Request) -> web.Response:
    return web.Response(body=account_answers()[request.match_info["method"]], content_type="application/json")


if __name__ == "__main__":
    main()
