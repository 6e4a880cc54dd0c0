"""opencode with the plugin opencode-antigravity-auth.

`antigravity-accounts.json` of the plugin, versions 1 to 4; the `accounts.json` of Antigravity proxies for
Claude Code has the same fields, and `source` for entries without a refresh token:

{"version": 4, "accounts": [{"email": "a@example.com", "refreshToken": "1//…|proj|managed", "enabled": true}]}

opencode's own `auth.json` has one sign-in for each provider:

{"google": {"type": "oauth", "refresh": "1//…|proj|managed", "access": "…"}, "anthropic": {"type": "api", …}}
"""

from __future__ import annotations

from accounts.transfer.rows import Entry, ImportedRow, build_row
from accounts.values.sanitize import truncate


def read_account(entry: Entry) -> ImportedRow | None:
    source = entry.get("source")
    if isinstance(source, str) and source in {"manual", "database"} and "refreshToken" not in entry:
        what = truncate(source, 20)
        return ImportedRow(build_row(entry, email=entry.get("email"), token=None).email,
                   problem=f"it is no sign-in (source: {what}): add it with addaccount")  # fmt: skip
    if "refreshToken" not in entry:
        return None
    return build_row(
        entry,
        email=entry.get("email"),
        token=entry["refreshToken"],
        project=entry.get("projectId") or entry.get("project_id") or entry.get("managedProjectId"),
        client_id=entry.get("clientId"),
    )


def read_auth(entry: Entry) -> ImportedRow | None:
    if not isinstance(entry.get("refresh"), str):
        return None
    return build_row(
        entry,
        email=entry.get("email"),
        token=entry["refresh"],
        project=entry.get("projectId") or entry.get("managedProjectId"),
        client_id=entry.get("clientId"),
    )
