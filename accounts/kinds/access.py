"""Access to a provider: what a request needs of its account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Access:
    """A secret (token or key) that was valid when it was made, and further `details` by name that the
    account's upstream needs (Google: "project_id")."""

    secret: str = field(repr=False)
    details: Mapping[str, str] = field(default_factory=dict)
