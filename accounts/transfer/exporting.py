"""Export of accounts with their secrets to a file, for a move to another machine.

The file is the plain list that `importaccounts` reads. With a passphrase that list is encrypted
(accounts/credentials/passphrases.py) and wrapped in an object with "format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from accounts.credentials import passphrases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.models import Account

FORMAT = "antigravity-claude-proxy accounts, scrypt and fernet"


def export(accounts: Iterable[Account], passphrase: str = "") -> bytes:
    """Return the content of the file. Raises CredentialsUnreadable."""
    rows = [
        {
            "email": account.email,
            **account.credential,
            "project_id": account.project_id,
            "enabled": account.enabled,
            **_further(account),
        }
        for account in accounts
    ]
    plain = orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    return _encrypt(plain, passphrase) if passphrase else plain


def _further(account: Account) -> dict[str, Any]:
    """Return the fields that only accounts of other kinds than Google's have."""
    if account.kind == "google":
        return {}
    facts: dict[str, Any] = {
        "base_url": account.base_url, "quota_group": account.quota_group, "label": account.label,
    }  # fmt: skip
    if account.given_switches:
        facts["switches"] = account.given_switches
    return {"kind": account.kind, "name": account.name, "tier": account.tier, **facts}


def is_encrypted(content: Any) -> bool:
    return isinstance(content, dict) and content.get("format") == FORMAT


def _encrypt(plain: bytes, passphrase: str) -> bytes:
    return orjson.dumps({"format": FORMAT, **passphrases.seal(plain, passphrase)}, option=orjson.OPT_INDENT_2)
