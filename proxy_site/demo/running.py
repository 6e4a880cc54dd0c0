"""The settings of a running demo, for commands with `--demo` in another terminal.

`runserver --demo` writes its settings into its temporary DATA_DIR. The lock in that folder shows whether the
demo still runs.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from proxy_site.data_dir import is_served, running_server

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "antigravity-proxy-demo-"
SETTINGS_FILE = "demo.json"


class NoDemoRuns(Exception):
    """Raised when no demo of this user runs."""


def make_data_dir() -> Path:
    """Create the demo's DATA_DIR: a temporary folder with a random name and mode 0700."""
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def describe(data_dir: Path, settings: Mapping[str, str]) -> None:
    """Write the demo's settings for the user's commands. Their secrets are the emulator's only."""
    (data_dir / SETTINGS_FILE).write_text(json.dumps(dict(settings)), encoding="utf-8")


def use() -> None:
    """Set the environment to that of the running demo. Of several it is the one whose folder DATA_DIR names,
    else the newest, which is then said on standard error. Raises NoDemoRuns."""
    data_dirs = Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*")
    running = [path for path in data_dirs if _is_ours(path) and is_served(path)]
    chosen = Path(os.environ.get("DATA_DIR", "")).resolve()
    try:
        taken = chosen if chosen in running else max(running, key=_described_at)
        os.environ.update(json.loads((taken / SETTINGS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise NoDemoRuns from error  # no demo runs, or it has just ended
    if taken != chosen and len(running) > 1:
        others = ", ".join(f"DATA_DIR={path}{_address(path)}" for path in sorted(running) if path != taken)
        sys.stderr.write(
            f"{len(running)} demos run. This is the newest{_address(taken)}; for another, set {others}.\n"
        )


def _described_at(data_dir: Path) -> float:
    return (data_dir / SETTINGS_FILE).stat().st_mtime


def _address(data_dir: Path) -> str:
    """Return the address of the demo in brackets; "" while it starts."""
    server = running_server(data_dir)
    return f" ({server.url})" if server is not None and server.url else ""


def _is_ours(path: Path) -> bool:
    """Return whether the path is a private folder of this user, since any user may create a path of such a
    name."""
    try:
        found = path.lstat()
    except OSError:
        return False  # the demo has just ended
    is_private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_private
