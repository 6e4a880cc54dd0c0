"""Encryption of bytes with a passphrase, from which scrypt derives a Fernet key. The result is a JSON object
{"salt", "n", "r", "p", "sealed"}, with the salt in hexadecimal."""

from __future__ import annotations

import base64
import os
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

SCRYPT = {"n": 2**15, "r": 8, "p": 1}
"""The cost of one guess: about a tenth of a second and 32 MB (RFC 7914)."""


class PassphraseWrong(Exception):
    """Raised when the passphrase does not decrypt the file, or the file is damaged."""


def seal(plain: bytes, passphrase: str) -> dict[str, Any]:
    salt = os.urandom(16)
    sealed = Fernet(_key(passphrase, salt)).encrypt(plain).decode()
    return {"salt": salt.hex(), **SCRYPT, "sealed": sealed}


def unseal(content: dict[str, Any], passphrase: str) -> bytes:
    """Decrypt. Raises PassphraseWrong."""
    try:
        salt = bytes.fromhex(content["salt"])
        cost = {name: int(content[name]) for name in SCRYPT}
        if cost != SCRYPT:
            raise PassphraseWrong("The file asks for another cost than this version writes.")
        return Fernet(_key(passphrase, salt)).decrypt(content["sealed"].encode())
    except (InvalidToken, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PassphraseWrong("The passphrase is wrong, or the file is damaged.") from error


def _key(passphrase: str, salt: bytes) -> bytes:
    # A terminal may give bytes that are no UTF-8; Python keeps them as surrogates.
    typed = passphrase.encode("utf-8", "surrogateescape")
    return base64.urlsafe_b64encode(Scrypt(salt=salt, length=32, **SCRYPT).derive(typed))
