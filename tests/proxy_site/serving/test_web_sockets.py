"""What a WebSocket may send."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.live_gateway import PROJECT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PRINT_THE_BOUNDS = """
from types import SimpleNamespace
from proxy_site.serving.daphne import GatewayWebSocketFactory
factory = GatewayWebSocketFactory(SimpleNamespace(ping_timeout=30))
print([factory.maxMessagePayloadSize, factory.maxFramePayloadSize, factory.openHandshakeTimeout])
"""


def test_a_message_is_bounded(tmp_path: Path) -> None:
    """In a process of its own: the server makes the event loop while it is imported."""
    command = [sys.executable, "-c", PRINT_THE_BOUNDS]
    env = {**clean_environment(tmp_path), "DJANGO_SETTINGS_MODULE": "proxy_site.settings"}

    printed = subprocess.run(command, cwd=PROJECT, env=env, check=True, capture_output=True, timeout=60)

    assert orjson.loads(printed.stdout) == [4096, 4096, 5]
