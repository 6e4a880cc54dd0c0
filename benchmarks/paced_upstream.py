"""An upstream with a steady pace: each event contains the time at which it was sent.

`python -m benchmarks.paced_upstream PORT`. The base URL sets the pace: `/paced/200/5` answers with 200
events, 5 ms apart; the second comes after a random part of that. Two events a minute apart are a stream that
is held open.
"""

from __future__ import annotations

import asyncio
import functools
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
    response.enable_chunked_encoding()
    await response.prepare(request)
    assert request.transport is not None
    pace = _Pace(request.transport, events, pause_seconds)
    try:
        await pace.done
    finally:
        pace.stop()
    await response.write_eof()
    return response


class _Pace:
    """Writes the events of a stream at their times. A timer and a write for each event, without a task that
    wakes up: five thousand streams should leave the machine to the gateway that is measured."""

    def __init__(self, transport: asyncio.WriteTransport, events: int, pause_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._events = events
        self._pause_seconds = pause_seconds
        self._number = 0
        self.done = self._loop.create_future()
        # Streams that were opened together would otherwise send together for as long as they are held.
        self._started = self._loop.time() - random.random() * pause_seconds
        self._timer = self._loop.call_soon(self._send)

    def stop(self) -> None:
        self._timer.cancel()

    def _send(self) -> None:
        before, after = _around_the_time(self._number, self._events)
        event = b"%bword @%d@ %b" % (before, time.monotonic_ns(), after)
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        self._number += 1
        if self._number == self._events:
            self.done.set_result(None)
            return
        # By the clock, since pauses alone would add up to a slower pace.
        self._timer = self._loop.call_at(self._started + self._number * self._pause_seconds, self._send)


@functools.cache
def _around_the_time(number: int, events: int) -> tuple[bytes, bytes]:
    before, _, after = text_event(number, events, "TIME").partition(b"TIME")
    return before, after


async def _account_call(request: web.Request) -> web.Response:
    return web.Response(body=account_answers()[request.match_info["method"]], content_type="application/json")


if __name__ == "__main__":
    main()
