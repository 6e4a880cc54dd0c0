"""Antigravity-Manager (lbjlaq, alimtvnetwork and others): a file for each account in `accounts/`.

{"id": "…", "email": "a@b.example", "token": {"refresh_token": "1//…", "project_id": "p"}, "disabled": false}

Beside the folder is an index, `accounts.json`, without refresh tokens. The tool's export,
{"accounts": [{"email", "refresh_token"}]}, is a plain list (plain_list.py).
"""

from __future__ import annotations

from accounts.transfer.rows import Entry, ImportedRow, build_row

ONLY_INDEX = "holds no sign-in: this is the tool's index; import its folder accounts instead"


def read(entry: Entry) -> ImportedRow | None:
    token = entry.get("token")
    if isinstance(token, dict):
        return build_row(
            entry,
            email=entry.get("email") or token.get("email"),
            token=token.get("refresh_token"),
            project=token.get("project_id") or entry.get("project_id"),
        )
    if {"id", "email", "created_at", "last_used"} <= entry.keys() and "refresh_token" not in entry:
        return ImportedRow(build_row(entry, email=entry["email"], token=None).email, problem=ONLY_INDEX)
    return None
