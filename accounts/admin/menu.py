"""The entries of the admin's menu. Knows no other module, so that apps can add theirs while Django starts."""

from __future__ import annotations

MENU: dict[str, list[tuple[str, str, str]]] = {
    "Dashboard": [],
    "Accounts": [
        ("Accounts", "group", "admin:accounts_account_changelist"),
        ("Add an account", "person_add", "admin:accounts_account_add"),
    ],
    "Gateway": [
        ("Audit log", "history", "admin:admin_logentry_changelist"),
    ],
}
"""Title, icon and URL name of each entry, by section. Apps above add their own when they are ready."""
