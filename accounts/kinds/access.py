"""What a request needs of the account that sends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Access:
    """Valid at the moment it was made.

    `secret` is the token or key; `details` is what else the upstream of the account's kind needs, by name
    (Google: "project_id").
    """

    secret: str = field(repr=False)
    details: Mapping[str, str] = field(default_factory=dict)
