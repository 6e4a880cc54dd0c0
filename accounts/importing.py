"""Accounts from a file: our own list, or the file other tools of this kind keep.

[{"email": "a@example.com", "refresh_token": "1//…", "project_id": "proj-1"}]
{"accounts": [{"email": "a@example.com", "refreshToken": "1//…|proj-1", "projectId": "proj-1"}]}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils import timezone

from accounts.emails import parse_email
from accounts.models import Account


class ImportFileUnusable(Exception):
    """The file as a whole cannot be read as a list of accounts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One account as the file has it; `problem` says why it cannot be taken."""

    email: str
    refresh_token: str = field(default="", repr=False)
    project_id: str = ""
    enabled: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    email: str
    result: str
    """added, updated or failed"""
    reason: str = ""


def parse_rows(text: bytes) -> list[Row]:
    """Raises ImportFileUnusable."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ImportFileUnusable(f"it is not JSON ({error})") from error
    entries = content.get("accounts") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ImportFileUnusable('it holds neither a list of accounts nor {"accounts": [...]}')
    if not entries:
        raise ImportFileUnusable("its list of accounts is empty")
    return [_parse_row(number, entry) for number, entry in enumerate(entries, start=1)]


def store(rows: list[Row], *, terms_accepted: bool) -> list[Outcome]:
    """A row whose e-mail is known updates that account and clears its state; other rows add one."""
    return [_store_row(row, terms_accepted) for row in rows]


def _parse_row(number: int, entry: Any) -> Row:
    if not isinstance(entry, dict):
        return Row(f"row {number}", problem="it is not an object")
    email = parse_email(entry.get("email"))
    if email is None:
        return Row(f"row {number}", problem="email: must be an e-mail address")
    packed = entry.get("refresh_token", entry.get("refreshToken"))
    if not isinstance(packed, str) or not packed.strip():
        return Row(email, problem="refresh_token: must be a text")
    project_id = entry.get("project_id", entry.get("projectId")) or ""
    if not isinstance(project_id, str):
        return Row(email, problem="project_id: must be a text")
    # Some tools keep `token|project|managed project` in one field.
    token, _, projects = packed.strip().partition("|")
    return Row(
        email=email,
        refresh_token=token,
        project_id=project_id or next((part for part in projects.split("|") if part), ""),
        enabled=entry.get("enabled") is not False,
    )


def _store_row(row: Row, terms_accepted: bool) -> Outcome:
    if row.problem:
        return Outcome(row.email, "failed", row.problem)
    account = Account.objects.filter(email=row.email).first()
    known = account is not None
    account = account or Account(email=row.email)
    account.refresh_token = row.refresh_token
    account.project_id = row.project_id or account.project_id
    account.enabled = row.enabled
    account.enter_state(Account.State.OK)
    if terms_accepted:
        account.terms_accepted_at = account.terms_accepted_at or timezone.now()
    account.save()
    return Outcome(row.email, "updated" if known else "added")
