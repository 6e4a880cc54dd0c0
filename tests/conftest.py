from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from proxy_site.emulator.server import EmulatorServer
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {
    "chromium": "chromium",
    "haproxy": "haproxy",
    "node": "npm",
    "postgresql": "initdb",
    "wrk": "wrk",
}
# Debian keeps PostgreSQL's server programs out of PATH; a client alone is not enough.
PATHS = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])

# How many examples Hypothesis tries: many in CI, few elsewhere. A failing one prints the line that
# repeats it (@reproduce_failure).
settings.register_profile(
    "ci", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "local", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked needs("node") is skipped without Node; in CI that is a failure."""
    for mark in item.iter_markers("needs"):
        name = mark.args[0]
        if shutil.which(PROGRAMS[name], path=PATHS) is None:
            reason = f"needs {name}: `{PROGRAMS[name]}` is not installed"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[EmulatorServer]:
    """For tests that leave no mark on it."""
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def live_gateway(emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(emulator, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shared_gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway
