"""Access to a provider: what a request needs of its account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from accounts.values.concealed import Concealed

if TYPE_CHECKING:
    from collections.abc import Mapping


class Access(Concealed):
    """A secret (token or key) that was valid when it was made, and further `details` by name that the
    account's upstream needs (Google: "project_id")."""

    secret: str
    details: Mapping[str, str] = field(default_factory=dict)
