"""`runserver --demo`: everything for real, except that Google is the built-in emulator.

Prepared before the settings are read, because it decides them: a DATA_DIR that is thrown away, the
emulator's addresses, and a client id that only the emulator knows.
"""

from __future__ import annotations

import atexit
import os
import shutil
from functools import cache
from typing import TYPE_CHECKING

from proxy_site import running_demo
from proxy_site.emulator.server import EmulatorServer

if TYPE_CHECKING:
    from pathlib import Path

UNSET = ("DATABASE_URL", "REDIS_URL", "AUTH_TOKEN", "CREDENTIALS_KEYS", "CLOUDCODE_USER_AGENT")


@cache
def emulator() -> EmulatorServer:
    """One for the process; it ends with it."""
    return EmulatorServer().start()


def prepare_environment() -> Path:
    """The folder that is removed at the exit."""
    data_dir = running_demo.make_data_dir()
    atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
    # Empty, not absent: a .env file must not fill it in.
    unset = dict.fromkeys(UNSET, "")
    settings = {**unset, **emulator().gateway_settings(), "DATA_DIR": str(data_dir), "DEMO": "true"}
    running_demo.describe(data_dir, settings)
    os.environ.update(settings)
    return data_dir


def import_accounts() -> None:
    """The emulator's accounts, with the terms accepted: nobody's account is at stake."""
    from accounts.transfer.importing import store
    from accounts.transfer.rows import Row

    store(
        [Row(account.email, account.refresh_token) for account in emulator().state.accounts],
        terms_accepted=True,
    )
