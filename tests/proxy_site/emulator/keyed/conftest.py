from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.clock import Clock
from proxy_site.emulator.compatible.modes import MODES
from proxy_site.emulator.keyed.keys import sample_keys
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_800_000_000.0  # 15 January 2027, 08:00:00 in UTC, midnight in California


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    """One emulator for a file, whose clock stands still."""
    with EmulatorServer(EmulatorState(clock=Clock(frozen_at=NOON)), with_control=True) as server:
        yield server


@pytest.fixture
def emulator(running: EmulatorServer) -> EmulatorServer:
    """The emulator as it was at the start: with its sample keys, without scripts, with an empty log."""
    running.state.keys = sample_keys()
    running.state.modes, running.state.peer = dict(MODES), None
    running.state.leaks.clear()
    running.state.clear_scripts()
    running.state.log.clear()
    return running
