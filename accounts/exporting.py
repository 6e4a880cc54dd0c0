"""Accounts with their secrets as a file: for a move to another machine. `importing` reads it back.

Plain, it is the list that `importaccounts` takes. With a passphrase that list is encrypted by a Fernet key
that scrypt derives from it: {"format", "salt", "n", "r", "p", "sealed"}, salt in hexadecimal.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.models import Account

FORMAT = "antigravity-claude-proxy accounts, scrypt and fernet"
SCRYPT = {"n": 2**15, "r": 8, "p": 1}
"""About a tenth of a second and 32 MB for each guess (RFC 7914)."""


class PassphraseWrong(Exception):
    """The passphrase does not open the file, or the file is damaged."""


def export(accounts: Iterable[Account], passphrase: str = "") -> bytes:
    """Raises CredentialsUnreadable."""
    rows = [
        {
            "email": account.email,
            "refresh_token": account.refresh_token,
            "project_id": account.project_id,
            "enabled": account.enabled,
        }
        for account in accounts
    ]
    plain = orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    return _encrypt(plain, passphrase) if passphrase else plain


def is_encrypted(content: Any) -> bool:
    return isinstance(content, dict) and content.get("format") == FORMAT


def decrypt(content: dict[str, Any], passphrase: str) -> bytes:
    """Raises PassphraseWrong."""
    try:
        salt = bytes.fromhex(content["salt"])
        cost = {name: int(content[name]) for name in SCRYPT}
        if cost != SCRYPT:
            raise PassphraseWrong("The file asks for another cost than this version writes.")
        return Fernet(_key(passphrase, salt)).decrypt(content["sealed"].encode())
    except (InvalidToken, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PassphraseWrong("The passphrase is wrong, or the file is damaged.") from error


def _encrypt(plain: bytes, passphrase: str) -> bytes:
    salt = os.urandom(16)
    sealed = Fernet(_key(passphrase, salt)).encrypt(plain).decode()
    content = {"format": FORMAT, "salt": salt.hex(), **SCRYPT, "sealed": sealed}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _key(passphrase: str, salt: bytes) -> bytes:
    return base64.urlsafe_b64encode(Scrypt(salt=salt, length=32, **SCRYPT).derive(passphrase.encode()))
