"""A snapshot of the pool from memory, for health checks, the heartbeat and live pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.pool.cooldowns import ActiveCooldown
    from accounts.service import AccountsService


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """A usable account. Keys are model keys, `model:mode`."""

    name: str
    in_flight: int
    cooldowns: Mapping[str, ActiveCooldown]
    remaining: Mapping[str, float]

    @property
    def limits(self) -> dict[str, ActiveCooldown]:
        return {key: cooldown for key, cooldown in self.cooldowns.items() if cooldown.is_limit}

    def as_json(self) -> dict[str, Any]:
        return {
            "in_flight": self.in_flight,
            "cooldowns": {
                key: {"reason": cooldown.reason, "until": cooldown.until}
                for key, cooldown in self.cooldowns.items()
            },
            "remaining": dict(self.remaining),
        }


@dataclass(frozen=True, slots=True)
class PoolStatus:
    total: int
    """The number of all accounts, usable or not."""
    accounts: tuple[AccountStatus, ...]
    """The usable accounts."""
    waiting: int
    """Requests in the waiting queue."""

    @property
    def limited(self) -> int:
        return sum(bool(account.limits) for account in self.accounts)

    @property
    def available(self) -> int:
        """The number of usable accounts at no limit for any model."""
        return len(self.accounts) - self.limited

    @property
    def unusable(self) -> int:
        return max(0, self.total - len(self.accounts))

    @property
    def sentence(self) -> str:
        return (
            f"{self.total} total, {self.available} available, {self.limited} rate-limited, "
            f"{self.unusable} unusable"
        )


def pool_status(service: AccountsService) -> PoolStatus:
    pool = service.pool
    return PoolStatus(
        total=service.account_count,
        accounts=tuple(
            AccountStatus(
                name=account.name,
                in_flight=pool.in_flight(account.id),
                cooldowns=pool.cooldowns.of_account(account.id),
                remaining=pool.remaining(account.id),
            )
            for account in pool.accounts
        ),
        waiting=pool.waiting,
    )
