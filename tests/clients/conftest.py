from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from anthropic import Anthropic

from proxy_site.emulator.server import EmulatorServer
from tests.clients.claude_code import ClaudeCode
from tests.clients.node_packages import NodePackages, install
from tests.clients.recorder import Recorder
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def node_packages(pytestconfig: pytest.Config) -> NodePackages:
    return install(pytestconfig.cache.mkdir("node-packages"))


@pytest.fixture
def google(shared_emulator: EmulatorServer) -> EmulatorServer:
    """The emulator behind `shared_gateway`, with nothing in its log."""
    shared_emulator.state.log.clear()
    return shared_emulator


@pytest.fixture
def client(shared_gateway: LiveGateway) -> Iterator[Anthropic]:
    """The official SDK, which tries nothing again."""
    with Anthropic(base_url=shared_gateway.url, api_key="anything", max_retries=0) as anthropic:
        yield anthropic


@pytest.fixture
def claude(
    node_packages: NodePackages, google: EmulatorServer, shared_gateway: LiveGateway, tmp_path: Path
) -> ClaudeCode:
    return ClaudeCode(node_packages.claude, tmp_path, shared_gateway.url)


@pytest.fixture(scope="module")
def google_without_search() -> Iterator[EmulatorServer]:
    """No model of its searches the web."""
    with EmulatorServer() as server:
        server.state.set_web_search_models()
        yield server


@pytest.fixture(scope="module")
def gateway_without_search(
    google_without_search: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(google_without_search, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway


@pytest.fixture
def recorder(shared_gateway: LiveGateway) -> Iterator[Recorder]:
    with Recorder(shared_gateway.url) as between:
        yield between
