"""A clean Debian with Python in a folder, in the place of the image `python:3.x-slim`.

Packages come from apt, unpacked without their installation scripts. That differs from the image: it is the
release of this machine, whose Python is another one and in /usr/bin, and pip comes with `python -m venv`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    *(
        "base-files",
        "base-passwd",
        "ca-certificates",
        "coreutils",
        "dash",
        "findutils",
        "grep",
        "passwd",
        "sed",
    ),
    *("python3-venv", "tzdata", "util-linux"),
)
MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders that Debian has in /usr, with a link at the top."""
DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
OF_THIS_MACHINE = ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Docker brings the first two; the certificates are the package's, which a script of it puts together."""


def make_root_folder(folder: Path, work: Path) -> None:
    for name in MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    for package in sorted(_downloaded(work)):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    for name in ("passwd", "group"):
        shutil.copy(folder / f"usr/share/base-passwd/{name}.master", folder / "etc" / name)
    for path in OF_THIS_MACHINE:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(path, folder / path[1:])
    for name in ("dev", "proc", "root", "tmp", "usr/local/bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "root").chmod(0o700)
    (folder / "tmp").chmod(0o1777)
    for name in ("python", "python3"):
        (folder / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    _make_devices(folder / "dev")


def _downloaded(work: Path) -> list[Path]:
    """Package files of PACKAGES and of all they depend on, as for a machine on which nothing is installed."""
    (work / "partial").mkdir(parents=True)
    (work / "status").touch()
    places = [f"Dir::State::status={work}/status", f"Dir::Cache::archives={work}", "Debug::NoLocking=1"]
    options = [word for place in places for word in ("-o", place)]
    download = ["--yes", "--no-install-recommends", "--download-only", "install", *PACKAGES]
    subprocess.run(["apt-get", "-qq", *options, *download], check=True, stdout=subprocess.DEVNULL)
    return list(work.glob("*.deb"))


def _make_devices(folder: Path) -> None:
    for name, number in DEVICES.items():
        path = folder / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*number))
        except PermissionError:  # inside of a container; what is written there is not missed
            path.touch()
        path.chmod(0o666)
