"""CLIProxyAPI: a file for each account, `antigravity-NAME.json`, one object of which `type` is the provider.

{"type": "antigravity", "email": "a@b.example", "refresh_token": "1//…", "project_id": "p", "disabled": true}

Its files of other providers lie in the same folder. Google's own application default credentials have a
`type` as well (authorized_user, service_account).
"""

from __future__ import annotations

from accounts.transfer.rows import Entry, ImportedRow, build_row, not_yet

PROVIDER = "antigravity"
OTHERS = {
    "gemini": "Gemini CLI",
    "gemini-cli": "Gemini CLI",
    "claude": "Claude",
    "codex": "OpenAI Codex",
    "authorized_user": "gcloud",
    "service_account": "a Google service account",
}
"""Display names of other providers; one that is missing here is shown under its own name."""


def read(entry: Entry) -> ImportedRow | None:
    provider = entry.get("type")
    if not isinstance(provider, str) or not provider.strip():
        return None
    if (name := provider.strip().lower()) != PROVIDER:
        return not_yet(OTHERS.get(name, name), entry.get("email"))
    return build_row(
        entry, email=entry.get("email"), token=entry.get("refresh_token"), project=entry.get("project_id")
    )
