"""Which unpaid keys stand by. Only one at a time is used, because Google's terms do not plainly permit
multiplying the limits of the unpaid tier. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "gemini"


class KeyFacts(Protocol):
    """The facts that are read of an account; `Account` has them, and so has an account in the pool."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def is_paid(self) -> bool: ...
    @property
    def priority(self) -> int: ...


def standing_by(usable: Iterable[KeyFacts]) -> set[int]:
    """Return the ids of the usable accounts that are left out of the pool: unpaid keys of the Gemini API,
    except the first by priority, then by id."""
    unpaid = [one for one in usable if one.kind == KIND and not one.is_paid]
    return {one.id for one in sorted(unpaid, key=lambda one: (one.priority, one.id))[1:]}
