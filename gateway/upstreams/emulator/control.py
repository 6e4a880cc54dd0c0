"""The control API: what tests in other processes do to the emulator, as JSON over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.upstreams.emulator.state import EmulatorState


def add_routes(router: web.UrlDispatcher, state: EmulatorState) -> None:
    """Below /_control/; only when the operator of the emulator asks for it."""
