"""Rotation of the encryption key of all stored secrets, while servers run.

The new key is put before the old ones, so that every process can decrypt what is encrypted from then on. Then
each row is encrypted with it; a row that changes meanwhile is skipped and checked again. The old keys stay
until `forget_old_keys` removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

from accounts.credentials import encryption
from accounts.credentials.encryption import CredentialsUnreadable, reseal
from accounts.models import Account, Revision, SharedToken, SignIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

SECRETS: tuple[tuple[type[Model], str], ...] = (
    (Account, "sealed_credential"),
    (SignIn, "sealed_code_verifier"),
    (SharedToken, "sealed_access_token"),
)


def check_keys() -> None:
    """Raise CredentialsUnreadable when there are accounts and no stored credential can be decrypted."""
    unreadable = None
    for sealed in Account.objects.values_list("sealed_credential", flat=True):
        try:
            encryption.unseal(sealed)
        except CredentialsUnreadable as error:
            unreadable = error
        else:
            return
    if unreadable is not None:
        raise unreadable


def add_key() -> None:
    """Add a key to the key file. Do not use it with the setting CREDENTIALS_KEYS, which only the operator can
    change."""
    encryption.write_keys([Fernet.generate_key().decode(), *encryption.keys()])


def encrypt_anew() -> int:
    """Encrypt every secret with the newest key; returns how many were changed. Raises
    CredentialsUnreadable."""
    count = sum(_encrypt_row(model, field, pk, sealed) for model, field, pk, sealed in _with_an_old_key())
    if count:
        Revision.bump()  # servers keep credentials in memory, encrypted
    return count


def forget_old_keys() -> None:
    """Remove all keys but the newest, after all secrets are encrypted with it. Raises
    CredentialsUnreadable."""
    all_keys = encryption.keys()
    while True:
        encrypt_anew()
        encryption.write_keys(all_keys[:1])
        if not any(_with_an_old_key()):
            return
        encryption.write_keys(all_keys)  # a server has encrypted one with an old key meanwhile


def _with_an_old_key() -> Iterator[tuple[type[Model], str, int, str]]:
    newest = Fernet(encryption.keys()[0])
    for model, field in SECRETS:
        rows = model._default_manager.exclude(**{field: ""}).values_list("pk", field)
        for pk, sealed in list(rows):
            try:
                newest.decrypt(sealed.encode())
            except InvalidToken:
                yield model, field, pk, sealed


def _encrypt_row(model: type[Model], field: str, pk: int, sealed: str) -> int:
    """Encrypt one row. Returns 0 when it has changed since it was read, else 1."""
    unchanged = model._default_manager.filter(**{"pk": pk, field: sealed})
    return unchanged.update(**{field: reseal(sealed)})
