"""The emulator as the demo starts it: with quotas that have run down, and answers that come slowly."""

from __future__ import annotations

from proxy_site.demo import quotas
from proxy_site.emulator.delivery.behaviour import pace
from proxy_site.emulator.server import EmulatorServer

CHUNK_DELAY_SECONDS = 0.06
"""The time between chunks, long enough for people to see that answers are streamed."""


def start() -> EmulatorServer:
    emulator = EmulatorServer().start()
    emulator.state.pace = pace(chunk_delay=CHUNK_DELAY_SECONDS)
    quotas.prepare(emulator)
    return emulator
