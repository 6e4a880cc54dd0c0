"""Files that somebody names on a command line: ordinary ones of a sane size, and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


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
        # A name with a NUL is a ValueError.
        reason = error.strerror if isinstance(error, OSError) else None
        raise FileUnusable(f"cannot be read: {reason or 'its name is none'}") from error


def read_whole(file: BinaryIO, most_bytes: int) -> bytes:
    """Raises FileUnusable when there is more."""
    content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileUnusable(f"is larger than {most_bytes:,} bytes")
    return content
