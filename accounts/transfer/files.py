"""Reading of files named on a command line: regular files of bounded size only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class FileUnusable(Exception):
    """Raised for a file that cannot be read. The text continues a sentence that begins with the file's
    name."""


def read_file(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most `most_bytes`. Raises FileUnusable, for a device or pipe without reading
    it, which might block for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileUnusable("is not an ordinary file")
            return read_whole(file, most_bytes)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def files_in(folder: Path, most_files: int, *, recursive: bool = False) -> list[Path]:
    """Return the files of a folder, sorted, without hidden ones. Raises FileUnusable, also for more than
    `most_files`."""
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
    """False also where the path cannot be examined; reading it then gives the reason."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where a folder above may not be entered


def read_whole(file: BinaryIO, most_bytes: int) -> bytes:
    """Read to the end. Raises FileUnusable when there are more than `most_bytes`."""
    content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileUnusable(f"is larger than {most_bytes:,} bytes")
    return content


def _unreadable(error: OSError | ValueError) -> FileUnusable:
    """Return the error as FileUnusable. A ValueError means that the name has a NUL character."""
    reason = error.strerror if isinstance(error, OSError) else None
    return FileUnusable(f"cannot be read: {reason or 'its name is none'}")
