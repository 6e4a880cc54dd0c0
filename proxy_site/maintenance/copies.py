"""Copies of the database before a migration, downgrade or restore. DATA_DIR keeps the last three.

SQLite's online backup copies one consistent state during concurrent writes; a copy of the file would lack the
changes in its journal.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from proxy_site.maintenance import postgresql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

KEPT = 3
SUFFIXES = {"sqlite": ".sqlite3", "postgresql": ".pgdump"}


class CopyFailed(Exception):
    """Raised when the database cannot be copied; the text is the reason."""


def keep_copy(database: BaseDatabaseWrapper, before: str) -> Path:
    """Copy the database into DATA_DIR/copies; the name contains `before`: a version, or "restore". Raises
    CopyFailed."""
    folder = Path(settings.DATA_DIR) / "copies"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CopyFailed(reason(error)) from error
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    path = folder / f"{moment}Z-before-{before}{SUFFIXES[database.vendor]}"
    copy(database, path)
    for old in sorted(folder.glob("*Z-before-*"))[:-KEPT]:
        old.unlink()
    return path


def copy(database: BaseDatabaseWrapper, path: Path) -> None:
    """Copy the database to a file with mode 0600, which appears only when it is complete. Raises
    CopyFailed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if database.vendor == "sqlite":
            copy_sqlite(Path(database.settings_dict["NAME"]), beside)
        else:
            postgresql.dump(database, beside)
        sync(beside)
        beside.rename(path)
    except (OSError, sqlite3.Error, postgresql.ProgramFailed) as error:
        raise CopyFailed(reason(error)) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy with SQLite's online backup. Raises sqlite3.Error, and OSError when the disk has too little
    room."""
    wanted = source.stat().st_size
    if shutil.disk_usage(target.parent).free < wanted:
        raise OSError(errno.ENOSPC, f"the disk has no room for {wanted / 1e6:,.0f} MB")
    with closing(sqlite3.connect(source, timeout=20)) as reading, closing(sqlite3.connect(target)) as writing:
        writing.execute("PRAGMA journal_mode=OFF")
        reading.backup(writing)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: Exception) -> str:
    """Return the error's text as the end of a sentence, without full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().removesuffix(".")
