"""A new key for all stored secrets, while servers run.

The new key is put before the old ones first, so that every process can read what is encrypted from then on.
Then row by row is encrypted anew; a row that somebody changes in the meantime is left to them and looked at
again. The old keys stay readable until they are forgotten on request.
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
    """Raises CredentialsUnreadable when there are accounts and not one of them opens."""
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
    """Only for keys in a file; those in CREDENTIALS_KEYS are the operator's to change."""
    encryption.write_keys([Fernet.generate_key().decode(), *encryption.keys()])


def encrypt_anew() -> int:
    """Every secret with the newest key. Raises CredentialsUnreadable."""
    count = sum(_encrypt_row(model, field, pk, sealed) for model, field, pk, sealed in _with_an_old_key())
    if count:
        Revision.bump()  # servers keep credentials in memory, encrypted
    return count


def forget_old_keys() -> None:
    """Keep the newest key alone, once nothing needs another one. Raises CredentialsUnreadable."""
    all_keys = encryption.keys()
    while True:
        encrypt_anew()
        encryption.write_keys(all_keys[:1])
        if not any(_with_an_old_key()):
            return
        encryption.write_keys(all_keys)  # a server encrypted with an old one at the last moment


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
    """1 when the row was still as it was read, else 0."""
    unchanged = model._default_manager.filter(**{"pk": pk, field: sealed})
    return unchanged.update(**{field: reseal(sealed)})
