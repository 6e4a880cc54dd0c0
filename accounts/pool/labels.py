"""Labels of accounts for clients. They are unique and do not reveal an e-mail address. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def short_labels(names: Mapping[int, str]) -> dict[int, str]:
    """Return the labels by account id. An e-mail address gets the first of these forms that no other account
    has: `ac…@e…`, `ac…1@e…`, `ac…@e… #7`, where 7 is the account's id. Any other name is its own label."""
    labels: dict[int, str] = {}
    for form in (_start, _start_and_end, _start_and_id):
        left = {key: form(name, key) for key, name in names.items() if key not in labels}
        times = Counter(left.values())
        labels |= {key: label for key, label in left.items() if times[label] == 1}
    return labels


def _start(name: str, _: int) -> str:
    local, at, domain = name.partition("@")
    return f"{local[:2]}…@{domain[:1]}…" if at else name


def _start_and_end(name: str, _: int) -> str:
    local, at, domain = name.partition("@")
    return f"{local[:2]}…{local[-1:]}@{domain[:1]}…" if at else name


def _start_and_id(name: str, account_id: int) -> str:
    return f"{_start(name, account_id)} #{account_id}"
