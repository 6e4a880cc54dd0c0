"""Shortened addresses of accounts for clients: unique, without giving the address away. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def short_labels(emails: Mapping[int, str]) -> dict[int, str]:
    """Labels by account id. Each account gets the first form that no other account has: `ac…@e…`,
    `ac…1@e…`, `ac…@e… #7`, where 7 is the account's id."""
    labels: dict[int, str] = {}
    for form in (_start, _start_and_end, _start_and_id):
        left = {key: form(email, key) for key, email in emails.items() if key not in labels}
        times = Counter(left.values())
        labels |= {key: label for key, label in left.items() if times[label] == 1}
    return labels


def _start(email: str, _: int) -> str:
    name, _at, domain = email.partition("@")
    return f"{name[:2]}…@{domain[:1]}…"


def _start_and_end(email: str, _: int) -> str:
    name, _at, domain = email.partition("@")
    return f"{name[:2]}…{name[-1:]}@{domain[:1]}…"


def _start_and_id(email: str, account_id: int) -> str:
    return f"{_start(email, account_id)} #{account_id}"
