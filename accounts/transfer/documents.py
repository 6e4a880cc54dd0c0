"""Parsing of an import file into its list of entries, for each known file structure."""

from __future__ import annotations

import codecs
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from accounts.credentials.passphrases import unseal
from accounts.transfer.exporting import is_encrypted
from accounts.transfer.formats.environment import variables_of
from accounts.transfer.formats.refresh_tokens import lines_of
from accounts.values.outside import NotJson, is_too_deep, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

ZIP = b"PK\x03\x04"
KINDS_OF_AUTH = {"oauth", "api", "wellknown"}
"""Values of `type` in opencode's `auth.json`, which do not name a provider."""
OTHER_FILES = {
    "claudeAiOauth": "Claude Code's own sign-in",
    "OPENAI_API_KEY": "OpenAI Codex' own sign-in",
    "installed": "an OAuth client: its id and secret belong into .env",
    "web": "an OAuth client, and not of the type Desktop app",
}
"""Known files without accounts for the gateway, by a key of their top-level object."""
LONGEST_YAML = 512 * 1024
LONGEST_TOML = 1024 * 1024
"""The longest file, in characters; tomllib takes about a second for each million."""
THE_ONLY_ONE = "its account"
"""The place, in messages, of an entry that is the whole file."""
NO_ACCOUNTS = 'it holds neither a list of accounts nor {"accounts": [...]} nor an account'


class ImportFileUnusable(Exception):
    """Raised when no account can be read from the file as a whole."""


@dataclass(frozen=True, slots=True)
class Document:
    entries: list[tuple[str, Any]]
    """The place and the value of each entry."""
    is_list: bool = True
    """False for an object. Unless one of its entries is an account, the file may be something else
    altogether."""


def parse_content(text: bytes, ask_passphrase: Callable[[], str]) -> Any:
    """Parse a file, decrypting an encrypted export. Raises ImportFileUnusable and PassphraseWrong."""
    content = _parse(text)
    return _parse(unseal(content, ask_passphrase())) if is_encrypted(content) else content


def document_of(content: Any) -> Document:
    """Return the entries of a file. Raises ImportFileUnusable."""
    if isinstance(content, dict):
        return _of_object(content)
    if not isinstance(content, list):
        raise ImportFileUnusable(NO_ACCOUNTS)
    return _of_list(content)


def _of_object(content: dict[str, Any]) -> Document:
    for name, what in OTHER_FILES.items():
        if name in content:
            raise ImportFileUnusable(f"it is {what}")
    accounts = content.get("accounts")
    if isinstance(accounts, list):
        return _of_list(accounts)
    if isinstance(accounts, dict):
        content = accounts
    if content and all(isinstance(value, dict) for value in content.values()):
        entries = [(name, _with_provider(name, value)) for name, value in content.items()]
        return Document(entries, is_list=False)
    return Document([(THE_ONLY_ONE, content)], is_list=False)


def _of_list(entries: list[Any]) -> Document:
    if not entries:
        raise ImportFileUnusable("its list of accounts is empty")
    return Document([(f"row {number}", entry) for number, entry in enumerate(entries, start=1)])


def _with_provider(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Add the provider, which opencode's `auth.json` names only as the key of the entry."""
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in KINDS_OF_AUTH:
        return value
    rest = {key: value[key] for key in value if key != "type"}
    return {**rest, "provider": name if kind == "oauth" else f"{name} ({kind})"}


def _parse(text: bytes) -> Any:
    """Return the content of JSON, TOML or YAML, the lines of a list of refresh tokens, or the variables of an
    `.env` file. Raises ImportFileUnusable."""
    if text.startswith(ZIP):
        raise ImportFileUnusable("it is a ZIP archive: unpack it, and import the folder")
    text = text.removeprefix(codecs.BOM_UTF8)
    if not text.strip():
        raise ImportFileUnusable("it is empty")
    try:
        return parse_json(text)
    except NotJson as error:
        plain = _decoded(text)
        content = lines_of(plain) or _parse_toml(plain) or variables_of(plain) or _parse_yaml(plain)
        if content is None:
            raise ImportFileUnusable(f"it is not JSON ({error}), nor a list of refresh tokens") from error
        return content


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ""


def _parse_yaml(text: str) -> dict[str, Any] | None:
    """Return the object in YAML, with all values as texts; None for other text. Aliases are refused, because
    a few lines of them can stand for any number of values."""
    if len(text) > LONGEST_YAML:
        return None
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CBaseLoader)):
            return None
        content = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506  # it makes texts, lists and objects only
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return content if isinstance(content, dict) and content and not is_too_deep(content) else None


def _parse_toml(text: str) -> dict[str, Any] | None:
    """Return the content of TOML, such as gcli2api's `creds.toml`; None for other text."""
    if len(text) > LONGEST_TOML or not text.lstrip().startswith("["):
        return None
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    return None if is_too_deep(content) else content
