"""Secrets encrypted at rest, with keys that live outside the database.

`CREDENTIALS_KEYS` lists Fernet keys, newest first: the first one encrypts, all of them decrypt.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class CredentialsUnreadable(Exception):
    """No key in CREDENTIALS_KEYS opens this secret: the database came here without its key."""


def seal(secret: str) -> str:
    return _fernet(tuple(settings.CREDENTIALS_KEYS)).encrypt(secret.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    try:
        return _fernet(tuple(settings.CREDENTIALS_KEYS)).decrypt(sealed.encode("ascii")).decode()
    except InvalidToken as error:
        raise CredentialsUnreadable(
            "The stored credentials do not open with CREDENTIALS_KEYS. "
            "Put back the key they were encrypted with, or import the account again."
        ) from error


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
