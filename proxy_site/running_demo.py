"""Commands that look at a demo from another terminal.

`runserver --demo` writes the settings that it has made for itself into its throw-away DATA_DIR. The lock in
it tells which of these folders belong to demos that run, however the others have ended.
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
    """There is nothing to look at."""


def make_data_dir() -> Path:
    """Below the machine's folder for temporary files, with a random name, and for its owner only."""
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def describe(data_dir: Path, settings: Mapping[str, str]) -> None:
    """For the commands of this user. The settings hold the emulator's secrets, which open nothing else."""
    (data_dir / SETTINGS_FILE).write_text(json.dumps(dict(settings)), encoding="utf-8")


def use() -> None:
    """Make this process's settings those of the demo that runs; of several, the newest. Raises NoDemoRuns."""
    data_dirs = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    running = [path / SETTINGS_FILE for path in data_dirs if _is_ours(path) and is_served(path)]
    try:
        newest = max(running, key=lambda file: file.stat().st_mtime)
        os.environ.update(json.loads(newest.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise NoDemoRuns from error  # there is none, or it ends just now


def _is_ours(path: Path) -> bool:
    """Anybody may make a folder or a link of such a name."""
    try:
        found = path.lstat()
    except OSError:
        return False  # it has ended a moment ago
    is_private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_private
