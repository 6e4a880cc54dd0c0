from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.claude_code import ClaudeCode
from tests.clients.node_packages import NodePackages, install
from tests.clients.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.upstreams.emulator.server import EmulatorServer
    from tests.live_gateway import LiveGateway


@pytest.fixture(scope="session")
def node_packages(pytestconfig: pytest.Config) -> NodePackages:
    return install(pytestconfig.cache.mkdir("node-packages"))


@pytest.fixture
def google(shared_emulator: EmulatorServer) -> EmulatorServer:
    """The emulator behind `shared_gateway`, with nothing in its log."""
    shared_emulator.state.log.clear()
    return shared_emulator


@pytest.fixture
def claude(
    node_packages: NodePackages, google: EmulatorServer, shared_gateway: LiveGateway, tmp_path: Path
) -> ClaudeCode:
    return ClaudeCode(node_packages.claude, tmp_path, shared_gateway.url)


@pytest.fixture
def recorder(shared_gateway: LiveGateway) -> Iterator[Recorder]:
    with Recorder(shared_gateway.url) as between:
        yield between
