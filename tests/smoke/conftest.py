"""Gateways set up otherwise than the full suite has them; each must pass all that test_smoke.py asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from anthropic import Anthropic

from tests.live_gateway import SERVER, LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer


@dataclass(frozen=True)
class Setup:
    """`sent_as` is how `gemini-3-flash` is called where it is sent."""

    sent_as: str
    settings: dict[str, str] = field(default_factory=dict)
    server: str = SERVER


SETUPS = {
    "header mode antigravity": Setup("gemini-3-flash", {"GEMINI_HEADER_MODE": "antigravity"}),
    "uvicorn": Setup("gemini-3-flash-preview", server="serve"),
}


@pytest.fixture(scope="module", params=SETUPS.values(), ids=list(SETUPS))
def setup(request: pytest.FixtureRequest) -> Setup:
    one: Setup = request.param
    return one


@pytest.fixture(scope="module")
def gateway(
    setup: Setup, shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("data")
    with LiveGateway(shared_emulator, folder, server=setup.server, **setup.settings) as gateway:
        yield gateway


@pytest.fixture
def google(shared_emulator: EmulatorServer) -> Iterator[EmulatorServer]:
    """With nothing in its log, and no limits left behind."""
    shared_emulator.state.log.clear()
    yield shared_emulator
    shared_emulator.state.clear_scripts()


@pytest.fixture
def client(gateway: LiveGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key="anything", max_retries=0) as anthropic:
        yield anthropic
