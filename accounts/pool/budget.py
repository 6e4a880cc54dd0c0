"""A budget that is used up, as a cooldown for all models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from accounts.failures import FailureKind
from accounts.pool.cooldowns import ActiveCooldown

if TYPE_CHECKING:
    from accounts.pool.cooldowns import Cooldowns

REASON_BEGINS = "budget of "
"""The beginning of the reason of such a cooldown, which tells it from a provider's, also after a restart."""


class UsedUp(NamedTuple):
    """A budget that is used up: when the account may be used again, in seconds since the epoch, and the
    reason for people, which begins with REASON_BEGINS."""

    until: float
    reason: str


def is_of_budget(cooldown: ActiveCooldown | None) -> bool:
    return cooldown is not None and cooldown.reason.startswith(REASON_BEGINS)


def keep_to_budget(cooldowns: Cooldowns, key: tuple[int, str], used_up: UsedUp | None, now: float) -> bool:
    """Begin or end the cooldown of a budget. Returns True when that changed anything."""
    known = cooldowns.get(key)
    if used_up is None:
        if is_of_budget(known):
            cooldowns.set(key, None)
        return is_of_budget(known)
    if known is not None and (known.until, known.reason) == used_up:
        return False
    cooldowns.set(key, ActiveCooldown(used_up.until, FailureKind.QUOTA, used_up.reason, now))
    return True
