"""The families of models that an account offers, for pages and commands that count accounts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.kinds.registry import KINDS
from accounts.quota.outlook import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Collection

OTHERS = "Other models"
"""The family of an account that offers none of FAMILIES."""


def families_offered(kind: str, models: Collection[str] | None) -> tuple[str, ...]:
    """Return the families of the models that an account offers. `models` are the ids that the provider lists;
    None while unknown, when the families of its kind are returned."""
    if models is None:
        return KINDS[kind].families or (OTHERS,)
    names = [model.lower() for model in models]
    return tuple(family for family in FAMILIES if any(family.lower() in name for name in names)) or (OTHERS,)
