"""The demo's emulator, and a database with what a demo begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts import live_settings
from proxy_site.demo import quotas
from proxy_site.demo.contents import write_example_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.fixtures import Settings

    from proxy_site.emulator.server import EmulatorServer


@pytest.fixture
def demo_settings(settings: Settings) -> Settings:
    settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS = 30
    settings.CLOUDCODE_ENDPOINTS = ["http://127.0.0.1:1"]
    return settings


@pytest.fixture
def demo(
    demo_settings: Settings, google_settings: Settings, emulator: EmulatorServer, db: None
) -> Iterator[EmulatorServer]:
    """The emulator. A test with coroutines has to be marked django_db(transaction=True)."""
    quotas.prepare(emulator)
    write_example_data(emulator.state)
    yield emulator
    live_settings._values = {}  # a gateway may have read the demo's
    live_settings.forget_known()
