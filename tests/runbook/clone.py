"""A fresh folder with the project, as `git clone` and the first installation leave it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PARTS_OF_THE_PROJECT = (
    *("accounts", "dashboard", "gateway", "proxy_site"),
    *(".gitignore", "manage.py", "pyproject.toml", "requirements.txt"),
)
OPERATOR = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Operator"), ("EMAIL", "operator@example.com"))
}
"""Git's environment, without settings of whoever runs the tests."""


def make_clone(folder: Path, origin: Path) -> None:
    """Make a clone on branch main, whose origin has a commit more."""
    folder.mkdir(parents=True)
    for name in PARTS_OF_THE_PROJECT:
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        ["commit", "--quiet", "--message", "The version that runs"],
        ["commit", "--quiet", "--allow-empty", "--message", "The next version"],
        ["clone", "--quiet", "--bare", ".", str(origin)],
        ["reset", "--quiet", "--hard", "HEAD~1"],
        ["remote", "add", "origin", str(origin)],
        ["fetch", "--quiet"],
        ["branch", "--quiet", "--set-upstream-to=origin/main"],
    ):
        env = {**os.environ, **OPERATOR}
        subprocess.run(["git", *command], cwd=folder, env=env, check=True, capture_output=True)


def install_uv(folder: Path) -> None:
    """Install uv into the folder where there is one to link to; else what `uv run` comes to once all
    packages are there."""
    path = folder / ".uv" / "bin" / "uv"
    path.parent.mkdir(parents=True)
    if uv := os.environ.get("UV") or shutil.which("uv"):
        path.symlink_to(uv)
        return
    path.write_text(f'#!/bin/sh\nshift\n[ "$1" = python ] && shift\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
