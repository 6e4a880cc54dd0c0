"""Files that somebody names on a command line: ordinary ones of a sane size, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class FileUnusable(Exception):
    """The text goes on where the name of the file ends."""


def read_file(path: Path, most_bytes: int) -> bytes:
    """Raises FileUnusable. A device or a pipe is not even waited for: it might never end, or never begin."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileUnusable("is not an ordinary file")
            return read_whole(file, most_bytes)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def files_in(folder: Path, most_files: int, *, recursive: bool = False) -> list[Path]:
    """Those that a folder holds, by name; hidden ones are left out. Raises FileUnusable."""
    found: list[Path] = []
    folders = [folder]
    try:
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not is_folder(entry.path):
                        found.append(Path(entry.path))
                    elif recursive and not entry.is_symlink():
                        folders.append(Path(entry.path))
                    if len(found) > most_files:
                        raise FileUnusable(f"holds more than {most_files:,} files")
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    return sorted(found)


def is_folder(path: str) -> bool:
    """False also where nothing can be found out; reading then says why."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where a folder above may not be entered


def read_whole(file: BinaryIO, most_bytes: int) -> bytes:
    """Raises FileUnusable when there is more."""
    content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileUnusable(f"is larger than {most_bytes:,} bytes")
    return content


def _unreadable(error: OSError | ValueError) -> FileUnusable:
    """A name with a NUL is a ValueError."""
    reason = error.strerror if isinstance(error, OSError) else None
    return FileUnusable(f"cannot be read: {reason or 'its name is none'}")
