"""The demo's settings: a temporary DATA_DIR, the emulator's addresses, and the emulator's OAuth client.

They are set before the settings are read.
"""

from __future__ import annotations

import atexit
import os
import shutil
from functools import cache
from typing import TYPE_CHECKING

from proxy_site.demo import running

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

UNSET = ("DATABASE_URL", "REDIS_URL", "AUTH_TOKEN", "CREDENTIALS_KEYS", "CLOUDCODE_USER_AGENT")


@cache
def emulator() -> EmulatorServer:
    """Return the emulator of this process. It is started on first use and ends with the process."""
    from proxy_site.demo import google  # large, and only for a demo

    return google.start()


def prepare_environment() -> Path:
    """Set the environment for the demo; returns its DATA_DIR, which is removed at exit."""
    data_dir = running.make_data_dir()
    atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
    # Empty, not absent: a .env file would set an absent one.
    unset = dict.fromkeys(UNSET, "")
    settings = {
        **unset,
        **emulator().gateway_settings(),
        "DATA_DIR": str(data_dir),
        "DEMO": "true",
        "UPSTREAM_FIRST_BYTE_TIMEOUT_MS": "30000",
    }
    running.describe(data_dir, settings)
    os.environ.update(settings)
    return data_dir
