"""Which unpaid keys stand by. One at a time is used: Google's terms do not plainly permit several to multiply
the limits of the unpaid tier. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "gemini"


class KeyFacts(Protocol):
    """Of `Account`, or of an account in the pool."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def is_paid(self) -> bool: ...
    @property
    def priority(self) -> int: ...


def standing_by(usable: Iterable[KeyFacts]) -> set[int]:
    """Ids of the usable accounts that are not in the pool: unpaid keys of the Gemini API, except the first by
    priority, then by id."""
    unpaid = [one for one in usable if one.kind == KIND and not one.is_paid]
    return {one.id for one in sorted(unpaid, key=lambda one: (one.priority, one.id))[1:]}
