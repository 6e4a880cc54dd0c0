"""Storing of import rows that are API keys, and its preview. Providers are not asked, since a server checks
new accounts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.adding.keys import GivenKey, KnownKey, NotAdded, add, draft
from accounts.kinds.registry import KEYED
from accounts.transfer import model_names
from accounts.transfer.rows import ADDED, FAILED, UPDATED, Outcome

if TYPE_CHECKING:
    from accounts.models import Account
    from accounts.transfer.rows import ImportedRow


def preview_key(row: ImportedRow, place: str) -> Outcome:
    """Return the outcome that `store_key` would have, as far as it is known without the network."""
    if row.problem:
        return Outcome("", place, FAILED, row.problem)
    try:
        account = draft(_given(row))
    except KnownKey as known:
        return _kept(known.account, place, _names(row))
    except NotAdded as error:
        return Outcome("", place, FAILED, str(error))
    reason = _sentences(row.off_reason, _names(row))
    return Outcome("", place, ADDED, reason, account.label or KEYED[row.kind].title)


def store_key(row: ImportedRow, place: str) -> Outcome:
    """Add the key and routes for the names of its models. A name that has a route already keeps it."""
    if row.problem:
        return Outcome("", place, FAILED, row.problem)
    try:
        added = add(_given(row), unchecked=True, off_reason=row.off_reason)
    except KnownKey as known:
        return _kept(known.account, place, _kept_names(row))
    except NotAdded as error:
        return Outcome("", place, FAILED, str(error))
    reason = _sentences(row.off_reason, *added.remarks, _kept_names(row))
    return Outcome("", place, ADDED, reason, str(added.account))


def _kept(account: Account, place: str, names: str) -> Outcome:
    reason = _sentences("It is here already, and stays as it is", names)
    return Outcome("", place, UPDATED, reason, str(account))


def _names(row: ImportedRow) -> str:
    return model_names.in_words(model_names.new_names(row.model_names))


def _kept_names(row: ImportedRow) -> str:
    new = model_names.new_names(row.model_names)
    model_names.keeper.keep(new)
    return model_names.in_words(new)


def _sentences(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part)


def _given(row: ImportedRow) -> GivenKey:
    return GivenKey(
        row.kind,
        row.key,
        base_url=row.base_url,
        auth=row.auth,
        models=tuple(row.models),
        quota_group=row.quota_group,
        tier=row.tier,
        label=row.label,
        switches=row.switches,
    )
