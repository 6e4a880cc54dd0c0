"""The gateway as users run it: `manage.py runserver`, with a DATA_DIR of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import DidNotStart, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).resolve().parent.parent
MANAGE = (sys.executable, str(PROJECT / "manage.py"))
"""The command of this project's own code; that of another commit is in its worktree."""
ACCOUNTS = [
    {"email": f"{name}@example.com", "refresh_token": f"1//{name}", "project_id": f"project-{name}"}
    for name in ("ada", "grace", "hedy")
]


def import_accounts(
    folder: Path,
    accounts: Sequence[Mapping[str, str]] = ACCOUNTS,
    manage: Sequence[str] = MANAGE,
) -> None:
    """Import accounts into a new database, which the gateways started with this folder use in turn."""
    _manage(folder, "migrate", "--verbosity", "0", manage=manage)
    _manage(
        folder, "importaccounts", "-", "--accept-terms", stdin=json.dumps(accounts).encode(), manage=manage
    )


def add_anthropic_key(folder: Path, base_url: str) -> None:
    """Add an account that is served by the stand-in for Anthropic at `base_url`."""
    key = folder / "key"
    key.write_text("sk-ant-api03-benchmark")
    _manage(folder, "addaccount", "--kind", "anthropic", "--key-file", str(key), ANTHROPIC_API_URL=base_url)


def gateway(
    folder: Path,
    base_url: str,
    token_url: str,
    manage: Sequence[str] = MANAGE,
    **settings: str,
) -> Server:
    """Run a gateway; `base_url` is the stand-in for Google."""
    port = free_port()
    command = [*manage, "runserver", str(port)]
    env = {
        **environment(folder),
        "CLOUDCODE_ENDPOINTS": base_url,
        "OAUTH_TOKEN_URL": token_url,
        "OAUTH_CLIENT_ID": "benchmark",
        "OAUTH_CLIENT_SECRET": "benchmark",
        "MAX_CONCURRENT_REQUESTS": "0",  # no limit, so that waiting does not end requests
        "LOG_LEVEL": "warn",
        **settings,
    }
    return Server(command, port, folder / "gateway.log", env)


def environment(folder: Path) -> dict[str, str]:
    """The environment without the developer's own settings, except those in a .env file of the project."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "AUTH_TOKEN": "",
    }


def _manage(
    folder: Path, *arguments: str, stdin: bytes = b"", manage: Sequence[str] = MANAGE, **settings: str
) -> None:
    finished = subprocess.run(
        [*manage, *arguments],
        env={**environment(folder), **settings},
        input=stdin,
        capture_output=True,
        check=False,
    )
    if finished.returncode:
        raise DidNotStart(f"manage.py {arguments[0]}:\n{finished.stderr.decode(errors='replace')}")
