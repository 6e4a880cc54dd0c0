"""The settings of a running demo, for commands with `--demo` in another terminal.

`runserver --demo` writes its settings into its temporary DATA_DIR. The lock in that folder shows whether the
demo still runs.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from proxy_site.data_dir import is_served

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
    """Set the environment to that of the running demo, the newest of several. Raises NoDemoRuns."""
    data_dirs = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    running = [path / SETTINGS_FILE for path in data_dirs if _is_ours(path) and is_served(path)]
    try:
        newest = max(running, key=lambda file: file.stat().st_mtime)
        os.environ.update(json.loads(newest.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise NoDemoRuns from error  # no demo runs, or it has just ended


def _is_ours(path: Path) -> bool:
    """Return whether the path is a private folder of this user, since any user may create a path of such a
    name."""
    try:
        found = path.lstat()
    except OSError:
        return False  # the demo has just ended
    is_private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_private
