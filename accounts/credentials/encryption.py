"""Encryption of secrets at rest, with keys that are stored outside of the database.

The keys are Fernet keys, newest first: the first one encrypts, all of them decrypt. They come from the
setting CREDENTIALS_KEYS, else from the file `credentials_keys` in DATA_DIR, one on a line. The file is
checked for changes at each use, so that `rotatekeys` works while a server runs.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Mapping


class CredentialsUnreadable(Exception):
    """No available key decrypts the secret: the database was moved without its keys."""

    def __init__(self) -> None:
        super().__init__(
            "The stored credentials do not open with the keys that are here: they were encrypted with "
            f"another key. Put that one back ({where_keys_are()}), or add the accounts again."
        )


def seal(secret: str) -> str:
    return _our_fernet().encrypt(secret.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    try:
        return _our_fernet().decrypt(sealed.encode("ascii")).decode()
    except InvalidToken as error:
        raise CredentialsUnreadable from error


def seal_fields(fields: Mapping[str, str]) -> str:
    """Encrypt a credential's fields as one JSON object."""
    return seal(orjson.dumps(dict(fields)).decode())


def unseal_fields(sealed: str) -> dict[str, str]:
    """Decrypt the fields that `seal_fields` encrypted. Raises CredentialsUnreadable.

    Other text than an object is a refresh token of version 0.1, whose key was missing during the migration.
    """
    text = unseal(sealed)
    if not text.startswith("{"):
        return {"refresh_token": text}
    fields: dict[str, str] = orjson.loads(text)
    return fields


def reseal(sealed: str) -> str:
    """Encrypt the same secret with the newest key."""
    return seal(unseal(sealed))


def keys() -> list[str]:
    """Return the keys, newest first."""
    if settings.CREDENTIALS_KEYS:
        return list(settings.CREDENTIALS_KEYS)
    path = Path(settings.CREDENTIALS_KEYS_FILE)
    status = path.stat()
    return list(_read_keys(path, status.st_ino, status.st_mtime_ns))


def keys_are_in_a_file() -> bool:
    return not settings.CREDENTIALS_KEYS


def where_keys_are() -> str:
    return "the file credentials_keys in DATA_DIR" if keys_are_in_a_file() else "the setting CREDENTIALS_KEYS"


def write_keys(new: list[str]) -> None:
    """Replace the key file atomically, so that no reader finds a part of it."""
    path = Path(settings.CREDENTIALS_KEYS_FILE)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(new) + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def _our_fernet() -> MultiFernet:
    """Return the cipher with all keys. Raises CredentialsUnreadable, also for a key file that is empty or
    contains other text."""
    try:
        return _fernet(tuple(keys()))
    except ValueError as error:
        raise CredentialsUnreadable from error


@lru_cache(maxsize=2)
def _read_keys(path: Path, inode: int, modified_ns: int) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="ascii").replace(",", "\n").split())


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
