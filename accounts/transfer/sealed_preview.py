"""Rows of an import between their preview and the operator's confirmation, encrypted into the preview's form.

The server keeps nothing meanwhile, and the page shows no secret. The text is encrypted as credentials are,
and is valid for one session and for LIFETIME_SECONDS.
"""

from __future__ import annotations

import time
import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from accounts.credentials.encryption import CredentialsUnreadable, seal, unseal
from accounts.transfer.rows import ImportedRow

if TYPE_CHECKING:
    from collections.abc import Sequence

PURPOSE = "import of accounts"
LIFETIME_SECONDS = 15 * 60
LONGEST = 2_000_000
"""The longest text in characters; Django reads forms of at most 2.5 MB."""


class PreviewUnusable(Exception):
    """Raised when rows cannot be kept in the form or read from it. The text is for the operator."""


def seal_rows(rows: Sequence[ImportedRow], session: str) -> str:
    """Encrypt the rows for a session. Raises PreviewUnusable when they are too many."""
    content = {
        "purpose": PURPOSE,
        "session": session,
        "until": time.time() + LIFETIME_SECONDS,
        "rows": [asdict(row) for row in rows],
    }
    sealed = seal(b64encode(zlib.compress(orjson.dumps(content))).decode())
    if len(sealed) > LONGEST:
        raise PreviewUnusable("These are too many accounts for a page.")
    return sealed


def unseal_rows(sealed: str, session: str) -> list[ImportedRow]:
    """Decrypt the rows. Raises PreviewUnusable, also for the text of another session."""
    try:
        content = orjson.loads(zlib.decompress(b64decode(unseal(sealed), validate=True)))
    except (CredentialsUnreadable, UnicodeError, ValueError, zlib.error) as error:
        raise PreviewUnusable("This preview cannot be read. Choose the files again.") from error
    if content.get("purpose") != PURPOSE or content["session"] != session:
        raise PreviewUnusable("This preview belongs to another session. Choose the files again.")
    if content["until"] < time.time():
        raise PreviewUnusable("This preview is older than a quarter of an hour. Choose the files again.")
    return [ImportedRow(**row) for row in content["rows"]]
