"""Reads and replaces the settings file of Claude Code for the user that runs this server.

A symbolic link stays, and the file behind it is replaced. Before each change the old text is kept beside the
file, readable by its owner only.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.utils import timezone

from dashboard.claude_settings.change import EMPTY, Refused

LARGEST_BYTES = 256 * 1024
NEWEST_COPIES = 5
COPY = re.compile(r"settings\.json\.before-gateway-\d{8}-\d{6}-\d{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file as it was read. `text` is "{}" when there is no file."""

    path: Path
    """The path as Claude Code has it."""
    target: Path
    """The path of the file itself, after symbolic links."""
    text: str
    mode: int | None
    """The file's mode; None when there is no file."""


def settings_path() -> Path:
    """Return the path that Claude Code reads (code.claude.com, Settings). Raises Refused."""
    try:
        folder = Path(os.environ.get("CLAUDE_CONFIG_DIR") or "~/.claude").expanduser()
    except RuntimeError:
        raise Refused("The user that runs this server has no home folder.") from None
    return folder.absolute() / "settings.json"


def read(path: Path) -> SettingsFile:
    """Read the file. Raises Refused."""
    try:
        target = path.resolve()
        try:
            return SettingsFile(path, target, *_read_text(target))
        except FileNotFoundError:
            return SettingsFile(path, target, EMPTY, None)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, until Python 3.13
        raise Refused(f"It cannot be read: {_reason(error)}.") from None


def write(file: SettingsFile, text: str, *, has_key: bool) -> Path | None:
    """Replace the file, and return the path of the copy of the old one; None when there was no file. The text
    must not have changed since it was read. With `has_key` only the owner may read the new file. Raises
    Refused, and then nothing has changed."""
    if read(file.path) != file:
        raise Refused("It has changed since this page was made, so nothing was written.")
    if file.mode is not None and not file.mode & stat.S_IWUSR:
        raise Refused("It is read-only, so nothing was written.")
    mode = 0o600 if file.mode is None or has_key else file.mode
    try:
        file.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy = _keep_copy(file) if file.mode is not None else None
        _replace(file.target, text, mode)
    except OSError as error:
        raise Refused(f"It cannot be written: {_reason(error)}.") from None
    return copy


def copies(path: Path) -> list[str]:
    """Return the names of the newest copies, newest first."""
    with suppress(OSError):
        names = (one.name for one in path.parent.iterdir())
        return sorted(filter(COPY.fullmatch, names), reverse=True)[:NEWEST_COPIES]
    return []


def read_copy(path: Path, name: str) -> str:
    """Return the text of a copy. Raises Refused."""
    if name not in copies(path):
        raise Refused("There is no such copy.")
    copy = read(path.parent / name)
    if copy.path.is_symlink():
        raise Refused("This copy is a link, which no copy of ours is.")
    return copy.text


def _read_text(target: Path) -> tuple[str, int]:
    """Return the text and the mode of a regular file that belongs to our user. Raises Refused and OSError."""
    # Does not wait for the writer of a named pipe.
    descriptor = os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Refused("It is not a regular file.")
        if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            raise Refused("It belongs to another user than the one that runs this server.")
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise Refused(f"It is larger than {LARGEST_BYTES // 1024} kB.")
    try:
        return content.decode(), stat.S_IMODE(found.st_mode)
    except UnicodeDecodeError:
        raise Refused("It is not UTF-8 text, so nothing is written to it.") from None


def _keep_copy(file: SettingsFile) -> Path:
    copy = file.path.with_name(f"settings.json.before-gateway-{timezone.now():%Y%m%d-%H%M%S-%f}")
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as kept:
        kept.write(file.text.encode())
    return copy


def _replace(target: Path, text: str, mode: int) -> None:
    """Replace the file atomically."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        beside.chmod(mode)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or "its links lead in a circle").lower()
