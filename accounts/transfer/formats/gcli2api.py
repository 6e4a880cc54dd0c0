"""gcli2api: a file for each account, as Google's libraries write credentials, without an e-mail address.

{"client_id": "…", "client_secret": "…", "token": "ya29.…", "refresh_token": "1//…", "project_id": "proj"}

Its `creds.toml` has a table for each such file, with `disabled`, `error_codes` and `user_email`.
"""

from __future__ import annotations

from accounts.transfer.rows import Entry, ImportedRow, build_row

MARKS = {"client_id", "token_uri", "user_email"}


def read(entry: Entry) -> ImportedRow | None:
    if "refresh_token" not in entry or not MARKS & entry.keys():
        return None
    return build_row(
        entry,
        email=entry.get("email") or entry.get("user_email"),
        token=entry["refresh_token"],
        project=entry.get("project_id"),
        client_id=entry.get("client_id"),
    )
