"""Accounts from a file: our own list, or the file other tools of this kind keep.

[{"email": "a@example.com", "refresh_token": "1//…", "project_id": "proj-1"}]
{"accounts": [{"email": "a@example.com", "refreshToken": "1//…|proj-1", "projectId": "proj-1"}]}
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from accounts.credentials import CredentialsUnreadable
from accounts.emails import parse_email
from accounts.exporting import decrypt, is_encrypted
from accounts.models import Account, Revision, SharedToken
from accounts.outside_values import NotJson, parse_json
from accounts.plain_text import fitting

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 500
"""Rows written at once: long enough to be quick, short enough not to hold up a running server."""
LONGEST_TOKEN = 4096
LONGEST_PROJECT = 200
LONGEST_REASON = 200

OFF_FIELDS = {"enabled": False, "disabled": True, "isInvalid": True, "proxy_disabled": True}
"""Which value of which field says that another tool does not use the account."""
FALSE_WORDS = {"", "0", "false", "no", "off", "null", "none"}


class ImportFileUnusable(Exception):
    """The file as a whole cannot be read as a list of accounts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One account as the file has it; `problem` says why it cannot be taken."""

    email: str
    refresh_token: str = field(default="", repr=False)
    project_id: str = ""
    off_reason: str = ""
    """Why the file has it switched off; empty: it is on."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    email: str
    result: str
    """added, updated or failed"""
    reason: str = ""


def parse_rows(text: bytes, ask_passphrase: Callable[[], str] = str) -> list[Row]:
    """Raises ImportFileUnusable, and PassphraseWrong for a file that `exportaccounts` has encrypted."""
    content = _parse_json(text)
    if is_encrypted(content):
        content = _parse_json(decrypt(content, ask_passphrase()))
    entries = content.get("accounts") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ImportFileUnusable('it holds neither a list of accounts nor {"accounts": [...]}')
    if not entries:
        raise ImportFileUnusable("its list of accounts is empty")
    return _without_duplicates([_parse_row(number, entry) for number, entry in enumerate(entries, start=1)])


def preview(rows: list[Row]) -> list[Outcome]:
    """What `store` would do, without doing it."""
    known = set(Account.objects.values_list("email", flat=True))
    return [_outcome(row, known=row.email in known) for row in rows]


def store(rows: list[Row], *, terms_accepted: bool) -> list[Outcome]:
    """A row whose e-mail is known updates that account; other rows add one."""
    outcomes: list[Outcome] = []
    for start in range(0, len(rows), BATCH):
        with transaction.atomic():
            outcomes += _store_batch(rows[start : start + BATCH], terms_accepted)
            Revision.bump()
    return outcomes


# Reading


def _parse_json(text: bytes) -> Any:
    try:
        return parse_json(text.removeprefix(codecs.BOM_UTF8))
    except NotJson as error:
        raise ImportFileUnusable(f"it is not JSON ({error})") from error


def _parse_row(number: int, entry: Any) -> Row:
    if not isinstance(entry, dict):
        return Row(f"row {number}", problem="it is not an object")
    email = parse_email(entry.get("email"))
    if email is None:
        return Row(f"row {number}", problem="email: must be an e-mail address")
    packed = entry.get("refresh_token", entry.get("refreshToken"))
    if not isinstance(packed, str) or not packed.strip() or not packed.isprintable():
        return Row(email, problem="refresh_token: must be a text")
    project_id = entry.get("project_id", entry.get("projectId")) or ""
    if not isinstance(project_id, str) or not project_id.isprintable() or len(project_id) > LONGEST_PROJECT:
        return Row(email, problem="project_id: must be a text of at most 200 characters")
    # Some tools keep `token|project|managed project` in one field.
    token, _, projects = packed.strip().partition("|")
    if not token or len(token) > LONGEST_TOKEN:
        return Row(email, problem="refresh_token: is empty or too long")
    return Row(
        email=email,
        refresh_token=token,
        project_id=project_id or next((part for part in projects.split("|") if part), "")[:LONGEST_PROJECT],
        off_reason=_off_reason(entry),
    )


def _off_reason(entry: dict[str, Any]) -> str:
    """Every tool of this kind has its own field for it; a reason beside it is told, too."""
    for name, is_off in OFF_FIELDS.items():
        if entry.get(name) is not None and _is_true(entry[name]) is is_off:
            reason = entry.get("invalidReason") or entry.get("disabled_reason")
            told = f": {fitting(reason.strip(), LONGEST_REASON)}" if isinstance(reason, str) else ""
            return f"Switched off in the imported file ({name}{told})"
    return ""


def _is_true(value: object) -> bool:
    """Also of a flag that was written as a text or a number."""
    if isinstance(value, str):
        return value.strip().lower() not in FALSE_WORDS
    return bool(value)


def _without_duplicates(rows: list[Row]) -> list[Row]:
    """The first row of an e-mail counts; two tokens for one account cannot both be right."""
    first: dict[str, int] = {}
    return [
        row
        if row.problem or first.setdefault(row.email, number) == number
        else replace(row, problem=f"the same e-mail as in row {first[row.email]}")
        for number, row in enumerate(rows, start=1)
    ]


# Storing


def _store_batch(rows: list[Row], terms_accepted: bool) -> list[Outcome]:
    emails = [row.email for row in rows if not row.problem]
    known = {account.email: account for account in Account.objects.filter(email__in=emails)}
    outcomes = [_outcome(row, known=row.email in known) for row in rows]
    accounts = [_fill(known.get(row.email), row, terms_accepted) for row in rows if not row.problem]
    Account.objects.bulk_create([account for account in accounts if account.email not in known])
    changed = [account for account in accounts if account.email in known]
    Account.objects.bulk_update(changed, UPDATED_FIELDS)
    SharedToken.objects.filter(account__in=changed).delete()
    return outcomes


UPDATED_FIELDS = [
    "sealed_refresh_token", "project_id", "enabled", "terms_accepted_at", *Account.STATE_FIELDS
]  # fmt: skip


def _fill(account: Account | None, row: Row, terms_accepted: bool) -> Account:
    """A sign-in that is new gives an account a fresh start; the one it had already leaves its state alone."""
    account = account or Account(email=row.email)
    if not _has_token(account, row.refresh_token):
        account.refresh_token = row.refresh_token
        account.enter_state(Account.State.OK)
    account.project_id = row.project_id or account.project_id
    account.enabled = not row.off_reason
    if terms_accepted:
        account.terms_accepted_at = account.terms_accepted_at or timezone.now()
    return account


def _has_token(account: Account, refresh_token: str) -> bool:
    try:
        return bool(account.sealed_refresh_token) and account.refresh_token == refresh_token
    except CredentialsUnreadable:
        return False


def _outcome(row: Row, *, known: bool) -> Outcome:
    if row.problem:
        return Outcome(row.email, "failed", row.problem)
    return Outcome(row.email, "updated" if known else "added", row.off_reason)
