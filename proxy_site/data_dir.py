"""DATA_DIR: the folder with the SQLite database, the generated keys and the lock against a second server.

The folder is readable by its owner only, and so is each file created here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from proxy_site.environment import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCK = "server.lock"
KEY_FILE = "auth_token"
LOCK_TRIES = 4


class AlreadyServing(Exception):
    """Raised when another server holds the lock of this DATA_DIR."""


def prepare_data_dir(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"DATA_DIR: {str(path)!r} cannot be made: {error.strerror}.", name="DATA_DIR"
        ) from error
    if os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return path
    raise SettingError(f"DATA_DIR: {str(path)!r} {_why_not_writable(path)}.", name="DATA_DIR")


def _why_not_writable(path: Path) -> str:
    """Return why the path is not writable, as the end of a sentence."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "is mounted read-only, but the database is in it: leave out `:ro` at the end of the mount"
    whose = _not_ours(path) or (
        f" although it is its owner: its mode is {stat.S_IMODE(path.stat().st_mode):04o}. If that is not the "
        "reason, SELinux may be: for a container, end the mount with `:z`"
    )
    return f"is not writable for user {os.geteuid()}{whose}"


def read_or_create_key(path: Path, generate: Callable[[], str]) -> str:
    """Return the key in the file, which is generated on first use. Processes that start concurrently get the
    same key."""
    if not path.exists():
        _create_once(path, generate())
    make_private(path)
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{str(path)!r} is damaged: it holds no text. Put the right file there."
        ) from error


def generated_auth_token(data_dir: Path) -> str:
    """Return the key that clients must send when AUTH_TOKEN is not set and other machines can reach the
    gateway. It is generated on first use. Raises SettingError."""
    path = data_dir / KEY_FILE
    key = read_or_create_key(path, lambda: secrets.token_urlsafe(32))
    if not key:
        raise SettingError(f"{path} is empty. Remove it: a new key is made, which your clients then need.")
    return key


def make_private(path: Path | str) -> None:
    """Create the file if it is missing, and set its mode to 0600. Raises SettingError."""
    if str(path) in {"", ":memory:"}:
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        Path(path).chmod(0o600)
    except OSError as error:
        raise SettingError(
            f"{str(path)!r} cannot be made private to its owner: {error.strerror}{_not_ours(Path(path))}."
        ) from error


def _not_ours(path: Path) -> str:
    """Return the end of a sentence about a file of another user; "" for one of this user's, or a missing
    one."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    return f", and belongs to user {owner}" if owner != os.geteuid() else ""


def _create_once(path: Path, text: str) -> None:
    """Write a temporary file and link it to the path, so that the file appears complete, and the first writer
    wins."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()


@contextlib.contextmanager
def sole_server(data_dir: Path) -> Iterator[None]:
    """Hold the lock of DATA_DIR while serving; the operating system releases it when the process ends.

    Raises AlreadyServing.
    """
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AlreadyServing(
            f"{data_dir / LOCK} cannot be opened ({error.strerror}), so it is unknown whether another server "
            "uses this folder. Does the file belong to another user?"
        ) from error
    with os.fdopen(descriptor, "r+", encoding="ascii") as lock:
        try:
            _lock(lock)
        except BlockingIOError as error:
            holder = lock.readline().strip() or "unknown"
            raise AlreadyServing(
                f"Another server (process {holder}) already uses {data_dir}. "
                "Stop it, or set DATA_DIR to another folder."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def note_address(data_dir: Path, url: str) -> None:
    """Write the server's address below the process id in the lock file, for commands."""
    with (data_dir / LOCK).open("a", encoding="utf-8") as lock:
        lock.write(f"\n{url}\n")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The server that holds a DATA_DIR's lock. `process_id` is 0 when it is unknown; `url` is "" while the
    server starts, and under other ASGI servers."""

    process_id: int
    url: str


def running_server(data_dir: Path) -> RunningServer | None:
    if not is_served(data_dir):
        return None
    try:
        lines = (data_dir / LOCK).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    number = lines[0] if lines else ""
    return RunningServer(
        int(number) if number.isascii() and number.isdigit() else 0, lines[1] if len(lines) > 1 else ""
    )


def is_served(data_dir: Path) -> bool:
    """Return whether a server holds the lock of this DATA_DIR."""
    try:
        with (data_dir / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(file: IO[str]) -> None:
    """Lock the file, with retries because `is_served` holds the lock for a moment. Raises BlockingIOError."""
    for _ in range(LOCK_TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.02)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
