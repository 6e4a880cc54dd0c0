"""One account of an import file, the checks of its fields, and the outcome of its import, for all formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accounts.transfer.disabled_flags import off_reason
from accounts.values.emails import parse_email
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

Entry = dict[str, Any]

CLOUD_CODE = "google"
"""The kind of account that is signed in at Google and served by Cloud Code."""
KEYED = {"gemini", "anthropic", "compatible"}
"""The kinds of account that are keys (accounts/kinds/registry.py)."""

LONGEST_TOKEN = 4096
LONGEST_PROJECT = 200
LONGEST_CLIENT_ID = 200
WITHOUT_SIGN_IN = "refresh_token: there is none"

FOREIGN_TOKENS = {
    "ya29.": "refresh_token: that is an access token, which ends within the hour",
    "4/": "refresh_token: that is a code of a sign-in, which addaccount takes",
    "AIza": "a Gemini API key, which addaccount --kind gemini takes",
    "sk-ant-": "a credential of Anthropic; addaccount --kind anthropic takes API keys",
    "sk-": "an API key: such accounts cannot be added yet",
    "gh": "a credential of GitHub: such accounts cannot be added yet",
    "rt_": "a credential of OpenAI: such accounts cannot be added yet",
}
"""Messages for credentials that are not refresh tokens of Google and must not be sent there, by prefix."""


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One account of an import file. A row with a `problem` is not imported, and nothing of it is sent
    anywhere."""

    email: str = ""
    """The e-mail address; "" while the file does not name it and Google has not been asked yet."""
    refresh_token: str = field(default="", repr=False)
    project_id: str = ""
    off_reason: str = ""
    """Why the file has the account disabled; "" when it is enabled."""
    problem: str = ""
    client_id: str = ""
    """The id of the OAuth client that made the sign-in; "" when the file does not name it."""
    kind: str = CLOUD_CODE
    key: str = field(default="", repr=False)
    """The API key of an account that is a key; "" for a server that needs none."""
    base_url: str = ""
    auth: str = ""
    models: tuple[str, ...] = ()
    quota_group: str = ""
    tier: str = "unknown"
    label: str = ""
    switches: Mapping[str, Any] = field(default_factory=dict)
    """The switches of an account of kind "compatible" (accounts/values/switches.py), unchecked."""
    model_names: Mapping[str, str] = field(default_factory=dict)
    """The model for each name by which clients of the file's program ask for it."""
    place: str = ""
    """The position in the file, such as "row 3"."""
    file: str = ""


ADDED, UPDATED, FAILED = "added", "updated", "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    email: str
    """The e-mail address; "" when it is unknown or the account has none."""
    place: str
    """The position of the row, such as "accounts.json, row 3"."""
    result: str
    """ADDED, UPDATED or FAILED; in a preview WOULD_BE_ADDED, WOULD_BE_UPDATED or WOULD_FAIL."""
    reason: str = ""
    name: str = ""
    """The name of an account without an e-mail address."""


def build_row(
    entry: Entry, *, email: Any, token: Any, project: Any = None, client_id: Any = None
) -> ImportedRow:
    """Check the fields and build the row. `token` may have the form `token|project|managed project`, as some
    tools store it."""
    address = parse_email(email)
    if address is None and email not in (None, ""):
        return ImportedRow(problem="email: must be an e-mail address")
    row = ImportedRow(address or "")
    if token in (None, ""):
        return _refused(row, WITHOUT_SIGN_IN)
    if not isinstance(token, str) or not token.strip() or not token.isprintable():
        return _refused(row, "refresh_token: must be a text")
    text, _, projects = token.strip().partition("|")
    if not text or len(text) > LONGEST_TOKEN:
        return _refused(row, "refresh_token: is empty or too long")
    if foreign := next((why for beginning, why in FOREIGN_TOKENS.items() if text.startswith(beginning)), ""):
        return _refused(row, foreign)
    project = project or next((part for part in projects.split("|") if part), "")[:LONGEST_PROJECT]
    if not isinstance(project, str) or not project.isprintable() or len(project) > LONGEST_PROJECT:
        return _refused(row, "project_id: must be a text of at most 200 characters")
    made_with = truncate(client_id, LONGEST_CLIENT_ID) if isinstance(client_id, str) else ""
    return ImportedRow(row.email, text, project, off_reason(entry), client_id=made_with)


def not_yet(name: str, email: Any = None) -> ImportedRow:
    """Return a row with a problem, for an account of another provider, which cannot be imported yet."""
    shown = truncate(name, 60)
    return ImportedRow(
        parse_email(email) or "", problem=f"an account of {shown}: such accounts cannot be added yet"
    )


def _refused(row: ImportedRow, problem: str) -> ImportedRow:
    return ImportedRow(row.email, problem=problem)
