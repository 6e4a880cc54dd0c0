"""Backup of database and settings, and on request of the keys, into one file."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from django.conf import settings

from accounts.credentials import encryption, passphrases
from proxy_site.environment import env_lines, is_secret
from proxy_site.maintenance import archive
from proxy_site.maintenance.copies import copy, sync

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ELSEWHERE = {"DATA_DIR", "DATABASE_URL", "SECRET_KEY", "CREDENTIALS_KEYS"}
"""Settings left out of the backup's settings: locations, which belong to the machine, and keys, which have a
file of their own in it."""


def back_up(database: BaseDatabaseWrapper, path: Path, passphrase: str = "") -> None:
    """Write a backup to a new file with mode 0600, which appears only when it is complete. With a passphrase
    it includes the keys and the secret settings, encrypted. Raises CopyFailed, OSError, and FileExistsError
    when the file exists."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as name:
        folder = Path(name)
        copied = folder / archive.DATABASES[database.vendor]
        copy(database, copied)
        beside = folder / "backup"
        archive.write(beside, _manifest(database), copied, _parts(passphrase))
        sync(beside)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # claims the name
        beside.rename(path)


def _manifest(database: BaseDatabaseWrapper) -> archive.Manifest:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return archive.Manifest(engine=database.vendor, version=settings.VERSION, made_at=made_at)


def _parts(passphrase: str) -> dict[str, bytes]:
    files = [settings.BASE_DIR / ".env", Path(settings.DATA_DIR) / ".env"]
    lines = {name: line for name, line in env_lines(files).items() if name not in ELSEWHERE}
    open_lines = [line for name, line in lines.items() if not is_secret(name)]
    parts = {archive.SETTINGS: "".join(f"{line}\n" for line in open_lines).encode()}
    if passphrase:
        secrets = {
            "credentials_keys": encryption.keys(),
            "settings": [line for name, line in lines.items() if is_secret(name)],
        }
        sealed = passphrases.seal(orjson.dumps(secrets), passphrase)
        parts[archive.KEYS] = orjson.dumps(sealed)
    return parts
