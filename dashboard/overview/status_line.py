"""The first line of the overview: for how many accounts each family of models can be used now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.quota.outlook import FAMILIES, family_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from accounts.quota.pools import QuotaPool


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """`back_at`: when the first account can be used again; None while one can, or when it is unknown."""

    name: str
    available: int
    accounts: int
    back_at: datetime | None = None

    @property
    def level(self) -> str:
        if self.available == 0:
            return "bad"
        return "good" if self.available == self.accounts else "warn"

    @property
    def sign(self) -> str:
        return {"good": "●", "warn": "◐", "bad": "✕"}[self.level]


def status_of_families(
    accounts: Iterable[tuple[bool, Sequence[QuotaPool]]],
) -> list[FamilyStatus]:
    """`accounts`: of each, whether it is usable, and its quota pools that requests use now."""
    known = list(accounts)
    return [_status(family, known) for family in FAMILIES]


def _status(family: str, accounts: list[tuple[bool, Sequence[QuotaPool]]]) -> FamilyStatus:
    available, returns = 0, []
    for is_usable, pools in accounts:
        if not is_usable:
            continue
        own = [pool for pool in pools if family_of(pool.name) == family]
        if own and all(pool.is_empty for pool in own):
            returns += [pool.back_at for pool in own if pool.back_at is not None]
        else:
            available += 1
    back_at = min(returns, default=None) if available == 0 else None
    return FamilyStatus(family, available, len(accounts), back_at)
