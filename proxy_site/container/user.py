"""Chooses the user under which the gateway's commands run in its image: the owner of DATA_DIR, without root's
privileges.

`docker run` and `docker exec` start a command as root. With setpriv(1) it replaces itself by the same command
under the owner of DATA_DIR. Outside of the container that is also the owner of the mounted folder, so all
files there have one owner. A container that was started with `--user` has no privileges to give up.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGES_USER = 10_001
"""The number of the image's user and group (Dockerfile), which no machine uses for another user."""
LEFT_BY_FILE_SYSTEMS = {"lost+found"}
"""The names that a new, empty volume may contain."""
# linux/capability.h
SETGID, SETUID, SETPCAP = 1 << 6, 1 << 7, 1 << 8


def give_up_root(data_dir: Path, command: Sequence[str], *, is_server: bool) -> None:
    """Return when this process has no privileges of root. Otherwise run `command`, which is this process's
    own, in its place as the owner of DATA_DIR. Raises SystemExit with a sentence when root may not become the
    owner."""
    if os.geteuid() != 0:
        return
    user, group = _owner(data_dir)
    allowed = _capabilities()
    if user != 0:
        if not (allowed & SETUID and allowed & SETGID):
            sys.exit(
                f"{data_dir} belongs to user {user}, and root may not become another user in this container: "
                f"start it with `--user {user}:{group}`, or with `--cap-add SETUID --cap-add SETGID`."
            )
        _replace_by([f"--reuid={user}", f"--regid={group}", "--clear-groups"], command)
    if allowed & SETPCAP:
        if is_server and _is_root_of_machine():
            sys.stderr.write(
                f"{data_dir} belongs to root, so the gateway runs as root, but without root's privileges. "
                "docs/container.md says how to give the folder to another user.\n"
            )
        groups = ["--clear-groups"] if allowed & SETGID else []
        _replace_by(["--bounding-set=-all", "--inh-caps=-all", *groups], command)


def _owner(data_dir: Path) -> tuple[int, int]:
    """Return the user and the group of DATA_DIR. If it is empty and root's, it is given to the image's user
    first, since an engine creates a missing folder as root when it mounts it."""
    with contextlib.suppress(OSError):  # read-only, or on a network's file system; then it stays root's
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data_dir.stat().st_uid == 0 and _is_root_of_machine() and _is_empty(data_dir):
            data_dir.chmod(0o700)
            os.chown(data_dir, IMAGES_USER, IMAGES_USER)
    try:
        status = data_dir.stat()
    except OSError:  # the settings' check of DATA_DIR says so
        return 0, 0
    return status.st_uid, status.st_gid


def _is_empty(folder: Path) -> bool:
    return {entry.name for entry in folder.iterdir()} <= LEFT_BY_FILE_SYSTEMS


def _is_root_of_machine() -> bool:
    """Return False for root of a user namespace. With a rootless engine that is an ordinary user outside, the
    owner of the mounted folder (user_namespaces(7))."""
    try:
        return Path("/proc/self/uid_map").read_text(encoding="ascii").split()[1] == "0"
    except (OSError, IndexError):
        return True


def _capabilities() -> int:
    """Return the effective capabilities as bits (proc_pid_status(5)); all but SETPCAP when they cannot be
    read."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ~SETPCAP
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def _replace_by(options: Sequence[str], command: Sequence[str]) -> NoReturn:
    try:
        os.execvp("setpriv", ["setpriv", "--no-new-privs", *options, "--", *command])  # noqa: S606, S607
    except FileNotFoundError:
        sys.exit("setpriv is missing in this image; it is in Debian's package util-linux.")
