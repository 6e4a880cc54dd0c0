"""The plain list that most tools and `exportaccounts` write: e-mail, refresh token, optionally a project.

[{"email": "a@example.com", "refresh_token": "1//…", "project_id": "proj", "enabled": true}]

An account that is a key has `kind`, `api_key` and what belongs to it instead of an e-mail and a token.
antigravity2api writes `enable` and `projectId`, and no e-mail addresses in older versions.
"""

from __future__ import annotations

from accounts.transfer.disabled_flags import off_reason
from accounts.transfer.rows import KEYED, Entry, ImportedRow, build_row
from accounts.values.outside import as_object


def read(entry: Entry) -> ImportedRow | None:
    if entry.get("kind") in KEYED:
        return _read_key(entry)
    return build_row(
        entry,
        email=entry.get("email"),
        token=entry.get("refresh_token"),
        project=entry.get("project_id") or entry.get("projectId"),
    )


def _read_key(entry: Entry) -> ImportedRow:
    names = ("api_key", "base_url", "auth", "models", "quota_group", "tier", "label")
    facts = {name: entry.get(name) or "" for name in names}
    if not all(isinstance(value, str) for value in facts.values()):
        return ImportedRow(problem="an account that is a key has texts only")
    return ImportedRow(
        key=facts["api_key"],
        kind=str(entry["kind"]),
        base_url=facts["base_url"],
        auth=facts["auth"],
        models=tuple(name for name in facts["models"].split("\n") if name),
        quota_group=facts["quota_group"],
        tier=facts["tier"] or "unknown",
        label=facts["label"],
        switches=as_object(entry.get("switches")),
        off_reason=off_reason(entry),
    )
