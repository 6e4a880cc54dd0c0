"""The clients that come from npm, installed once into pytest's cache folder.

`package.json` beside this file is the only place that names their versions: change one there and the next
run installs it. `python -m tests.clients.node_packages` does it without a test, and checks the version.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

PACKAGE_JSON = Path(__file__).parent / "package.json"
INSTALL_SECONDS = 600
VERSIONS: dict[str, str] = orjson.loads(PACKAGE_JSON.read_bytes())["dependencies"]
CLAUDE_CODE_VERSION = VERSIONS["@anthropic-ai/claude-code"]


@dataclass(frozen=True)
class NodePackages:
    folder: Path

    @property
    def modules(self) -> Path:
        return self.folder / "node_modules"

    @property
    def claude(self) -> Path:
        return self.modules / ".bin" / "claude"


def install(cache: Path) -> NodePackages:
    """Each set of versions has a folder of its own; two test runs at once install it only once."""
    wanted = PACKAGE_JSON.read_bytes()
    folder = cache / hashlib.sha256(wanted).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / "complete"
        if not complete.exists():
            (folder / "package.json").write_bytes(wanted)
            _npm_install(folder)
            complete.touch()
    return NodePackages(folder)


def _npm_install(folder: Path) -> None:
    done = subprocess.run(
        ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-package-lock"],
        cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"npm install failed:\n{done.stderr}"


def main() -> int:
    """Into the folder that pytest's cache uses by default."""
    claude = install(Path(".pytest_cache/d/node-packages").resolve()).claude
    found = subprocess.run([claude, "--version"], capture_output=True, text=True, check=True).stdout
    if found.split()[:1] == [CLAUDE_CODE_VERSION]:
        return 0
    sys.stderr.write(f"Claude Code should be {CLAUDE_CODE_VERSION}, but says: {found}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
