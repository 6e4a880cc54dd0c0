"""The table of readers, and the parsing of a file into rows with it.

A new format is a module in formats/ with `read(entry)`, which returns a row, or None for an entry of another
format, and a line in READERS. An entry of no known format becomes a row with a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accounts.transfer.documents import (
    NO_ACCOUNTS,
    THE_ONLY_ONE,
    ImportFileUnusable,
    document_of,
    parse_content,
)
from accounts.transfer.formats import (
    antigravity_manager,
    bifrost,
    claude_code_router,
    cliproxyapi,
    cliproxyapi_config,
    environment,
    gcli2api,
    litellm,
    opencode,
    plain_list,
    refresh_tokens,
)
from accounts.transfer.rows import CLOUD_CODE, KEYED, WITHOUT_SIGN_IN, Entry, ImportedRow, not_yet
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.transfer.key_rows import Rows

LONGEST_PLACE = 100
GOOGLE_SIGN_INS = {"antigravity", "agy", "cloud-code", "cloudcode", "google", "google-antigravity"}
"""Values of `provider` and `platform` by which tools name accounts of kind CLOUD_CODE."""


@dataclass(frozen=True, slots=True)
class Reader:
    tool: str
    kind: str
    """The kind of account that its rows have."""
    read: Callable[[Entry], ImportedRow | None]
    """Parse an entry; returns None for one of another format."""


READERS = (
    Reader("opencode", CLOUD_CODE, opencode.read_auth),
    Reader("CLIProxyAPI", CLOUD_CODE, cliproxyapi.read),
    Reader("opencode-antigravity-auth", CLOUD_CODE, opencode.read_account),
    Reader("Antigravity-Manager", CLOUD_CODE, antigravity_manager.read),
    Reader("gcli2api", CLOUD_CODE, gcli2api.read),
    Reader("list of accounts", CLOUD_CODE, plain_list.read),
)
"""The readers in the order in which they are tried; the last one accepts any entry."""


def parse_rows(text: bytes, ask_passphrase: Callable[[], str] = str, file: str = "") -> list[ImportedRow]:
    """Parse a file into rows. `file` is its name for messages about the rows, and may be empty.

    Raises ImportFileUnusable, and PassphraseWrong for a file that `exportaccounts` has encrypted.
    """
    content = parse_content(text, ask_passphrase)
    if (configured := _configured(content)) is not None:
        return [_named(row, place, file) for place, row in configured]
    document = document_of(content)
    rows = [_named(_read(value), place, file) for place, value in document.entries]
    if not document.is_list and all(row.problem == WITHOUT_SIGN_IN for row in rows):
        raise ImportFileUnusable(NO_ACCOUNTS)
    return rows


CONFIGURATIONS = (
    cliproxyapi_config.read_config,
    litellm.read_config,
    claude_code_router.read_config,
    bifrost.read_config,
    environment.read_config,
)
"""Readers of whole configuration files, each of which returns None for a file of another tool."""


def _configured(content: Any) -> Rows | None:
    """Return the keys of another tool's configuration file; None when the file is not one."""
    if not isinstance(content, dict):
        return None
    return next((rows for read in CONFIGURATIONS if (rows := read(content)) is not None), None)


def _read(value: Any) -> ImportedRow:
    if not isinstance(value, dict):
        return refresh_tokens.read(value)
    if other := _other_provider(value):
        return not_yet(other, value.get("email"))
    for reader in READERS:
        if (row := reader.read(value)) is not None:
            return row if row.kind in KEYED else replace(row, kind=reader.kind)
    raise AssertionError("the last reader takes any entry")


def _other_provider(entry: Entry) -> str:
    """Return the provider that the entry names, unless it is Google's; else ""."""
    for name in ("provider", "platform"):
        value = entry.get(name)
        if isinstance(value, str) and value.strip() and value.strip().lower() not in GOOGLE_SIGN_INS:
            return value.strip()
    return ""


def _named(row: ImportedRow, place: str, file: str) -> ImportedRow:
    if file and place == THE_ONLY_ONE:
        place = ""
    return replace(row, place=truncate(place, LONGEST_PLACE), file=truncate(file, LONGEST_PLACE))
