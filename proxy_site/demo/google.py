"""The emulator as the demo starts it: with quotas that have run down, and answers that come slowly."""

from __future__ import annotations

from proxy_site.demo import quotas
from proxy_site.emulator.delivery.behaviour import pace
from proxy_site.emulator.server import EmulatorServer

CHUNK_DELAY_SECONDS = 0.06
"""So that one can see answers being streamed."""


def start() -> EmulatorServer:
    emulator = EmulatorServer().start()
    emulator.state.pace = pace(chunk_delay=CHUNK_DELAY_SECONDS)
    quotas.prepare(emulator)
    return emulator
