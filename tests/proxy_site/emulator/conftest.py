from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from proxy_site.emulator.clock import Clock
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_800_000_000.0


@pytest.fixture
def google() -> Iterator[EmulatorServer]:
    """An emulator whose clock stands still until a test moves it."""
    with EmulatorServer(EmulatorState(clock=Clock(frozen_at=NOON)), with_control=True) as server:
        yield server


@pytest.fixture
def http(google: EmulatorServer) -> Iterator[httpx.Client]:
    """Signed in as Ada for a day, with the user agent of the antigravity mode."""
    lifetime, google.state.token_lifetime_seconds = google.state.token_lifetime_seconds, 24 * 3600
    access_token, _ = google.state.issue_access_token("ada@example.com")
    google.state.token_lifetime_seconds = lifetime
    headers = {"Authorization": f"Bearer {access_token}", "User-Agent": "antigravity/2.9.1 linux/x64"}
    with httpx.Client(base_url=google.url, headers=headers, timeout=5) as client:
        yield client
