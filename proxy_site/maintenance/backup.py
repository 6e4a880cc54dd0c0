"""One file that holds what the gateway must remember: database, settings, and keys if asked for."""

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
"""Where things lie is for each machine to say; the keys have a place of their own in a backup."""


def back_up(database: BaseDatabaseWrapper, path: Path, passphrase: str = "") -> None:
    """A new file for its owner only, whole or not there. With a passphrase the keys and the secret
    settings are in it, under that. Raises CopyFailed, OSError, and FileExistsError when the file is there.
    """
    if os.path.lexists(path):
        raise FileExistsError(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as name:
        folder = Path(name)
        copied = folder / archive.DATABASES[database.vendor]
        copy(database, copied)
        beside = folder / "backup"
        archive.write(beside, _manifest(database), copied, _parts(passphrase))
        sync(beside)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # from here on the name is ours
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
