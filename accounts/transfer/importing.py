"""Storing of import rows in the database, and the preview of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.credentials.encryption import CredentialsUnreadable
from accounts.kinds.registry import KINDS
from accounts.models import Account, Revision, SharedToken
from accounts.transfer.imported_keys import preview_key, store_key
from accounts.transfer.rows import ADDED, FAILED, KEYED, UPDATED, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.transfer.rows import ImportedRow

BATCH = 500
"""Rows per transaction: few enough not to block a running server's writes."""
WOULD_BE_ADDED, WOULD_BE_UPDATED, WOULD_FAIL = "would be added", "would be updated", "would fail"
STAYS_OFF = "It stays switched off here"
OWNER_IS_ASKED = "Google is asked for its e-mail"


def summary(outcomes: Sequence[Outcome], results: Sequence[str] = (ADDED, UPDATED, FAILED)) -> str:
    """Return the counts as text: "3 added, 1 updated, 0 failed"."""
    return ", ".join(f"{sum(one.result == result for one in outcomes)} {result}" for result in results)


def preview(rows: Sequence[ImportedRow]) -> list[Outcome]:
    """Return the outcomes that `store` would have, without storing anything or asking Google."""
    rows = checked(rows)
    known = {account.email: account for account in Account.objects.all()}
    names = {ADDED: WOULD_BE_ADDED, UPDATED: WOULD_BE_UPDATED, FAILED: WOULD_FAIL}
    outcomes = [
        preview_key(row, _place(row)) if row.kind in KEYED else _outcome(row, known.get(row.email))
        for row in rows
    ]
    return [
        replace(outcome, result=names[outcome.result], reason=_expected(row, outcome.reason))
        for row, outcome in zip(rows, outcomes, strict=True)
    ]


def store(rows: Sequence[ImportedRow], *, terms_accepted: bool) -> list[Outcome]:
    """Store rows, each of which has an e-mail, a key or a problem. A row with the e-mail of an account
    updates it; a new key or e-mail adds an account."""
    rows = checked(rows)
    outcomes: list[Outcome] = []
    signed_in = [row for row in rows if row.kind not in KEYED]
    for start in range(0, len(signed_in), BATCH):
        with transaction.atomic():
            outcomes += _store_batch(signed_in[start : start + BATCH], terms_accepted)
            Revision.bump()
    done = iter(outcomes)
    return [store_key(row, _place(row)) if row.kind in KEYED else next(done) for row in rows]


# Checks of rows against each other


def checked(rows: Sequence[ImportedRow]) -> list[ImportedRow]:
    """Return the rows, with a problem added to duplicates and to those of another OAuth client.
    Idempotent."""
    first: dict[str, ImportedRow] = {}
    return [_unless_seen(_of_our_client(row), first) for row in rows]


def _of_our_client(row: ImportedRow) -> ImportedRow:
    """Add a problem to a row of another OAuth client, since Google refreshes a sign-in for its own client
    only."""
    ours = settings.OAUTH_CLIENT_ID
    if row.problem or not row.client_id or not ours or row.client_id == ours:
        return row
    problem = f"its sign-in works with the OAuth client alone that made it ({row.client_id})"
    return replace(row, problem=problem)


def _unless_seen(row: ImportedRow, first: dict[str, ImportedRow]) -> ImportedRow:
    """Add a problem to a row unless it is the first of its account; `first` has the first rows by e-mail,
    token or key."""
    if row.problem:
        return row
    key, what = _identity(row)
    seen = first.setdefault(key, row)
    return row if seen is row else replace(row, problem=f"the same {what} as in {_place(seen)}")


def _identity(row: ImportedRow) -> tuple[str, str]:
    """Return what identifies the account of a row, and what that is called in messages."""
    if row.kind in KEYED:
        return f"{row.kind}\n{row.base_url}\n{row.key}", "key" if row.key else "address"
    return (row.email, "e-mail") if row.email else (row.refresh_token, "refresh token")


def _place(row: ImportedRow) -> str:
    return ", ".join(part for part in (row.file, row.place) if part)


def _expected(row: ImportedRow, reason: str) -> str:
    if row.email or row.problem or row.kind in KEYED:
        return reason
    return ". ".join(part for part in (OWNER_IS_ASKED, reason) if part)


# Storing


def _store_batch(rows: list[ImportedRow], terms_accepted: bool) -> list[Outcome]:
    emails = [row.email for row in rows if not row.problem]
    known = {account.email: account for account in Account.objects.filter(email__in=emails)}
    outcomes = [_outcome(row, known.get(row.email)) for row in rows]
    accounts = [_fill(known.get(row.email), row, terms_accepted) for row in rows if not row.problem]
    Account.objects.bulk_create([account for account in accounts if account.email not in known])
    changed = [account for account in accounts if account.email in known]
    Account.objects.bulk_update(changed, UPDATED_FIELDS)
    SharedToken.objects.filter(account__in=changed).delete()
    return outcomes


UPDATED_FIELDS = [
    "sealed_credential", "project_id", "enabled", "terms_accepted_at", *Account.STATE_FIELDS
]  # fmt: skip


def _fill(account: Account | None, row: ImportedRow, terms_accepted: bool) -> Account:
    """Apply the row to the account, or to a new one. A new refresh token resets its state to OK; a known one
    leaves the state unchanged. An account disabled here or in the file is disabled afterwards."""
    account = account or Account(email=row.email, kind=row.kind)
    credential = KINDS[row.kind].credential(row.refresh_token)
    if not _has(account, credential):
        account.credential = credential
        account.enter_state(Account.State.OK)
    account.project_id = row.project_id or account.project_id
    if row.off_reason:
        account.enabled = False
        if account.state == Account.State.OK:
            account.state_reason = row.off_reason
    if terms_accepted:
        account.terms_accepted_at = account.terms_accepted_at or timezone.now()
    return account


def _has(account: Account, credential: dict[str, str]) -> bool:
    try:
        return bool(account.sealed_credential) and account.credential == credential
    except CredentialsUnreadable:
        return False


def _outcome(row: ImportedRow, account: Account | None) -> Outcome:
    """Return the outcome of a row; `account` is the known one with this e-mail, before the change."""
    if row.problem:
        return Outcome(row.email, _place(row), FAILED, row.problem)
    stays_off = STAYS_OFF if account is not None and not account.enabled else ""
    return Outcome(row.email, _place(row), UPDATED if account else ADDED, row.off_reason or stays_off)
