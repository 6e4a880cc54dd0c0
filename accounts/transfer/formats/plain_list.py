"""The plain list that most tools and `exportaccounts` write: e-mail, refresh token, optionally a project.

[{"email": "a@example.com", "refresh_token": "1//…", "project_id": "proj", "enabled": true}]

antigravity2api writes `enable` and `projectId`, and no e-mail addresses in older versions.
"""

from __future__ import annotations

from accounts.transfer.rows import Entry, ImportedRow, build_row


def read(entry: Entry) -> ImportedRow | None:
    return build_row(
        entry,
        email=entry.get("email"),
        token=entry.get("refresh_token"),
        project=entry.get("project_id") or entry.get("projectId"),
    )
