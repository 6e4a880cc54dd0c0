"""Labels of accounts for clients: unique, without giving an e-mail address away. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def short_labels(names: Mapping[int, str]) -> dict[int, str]:
    """Labels by account id. An address gets the first form that no other account has: `ac…@e…`,
    `ac…1@e…`, `ac…@e… #7`, where 7 is the account's id. A name that is no address is its own label."""
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
