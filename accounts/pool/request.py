"""What one client request needs of an account, and what it knows of the accounts it has tried. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class AccountRequest:
    """One client request and one model. The caller adds ids of accounts as they fail; the pool reads them,
    and notes the wait for a backoff."""

    model_key: str
    """The quota that is used: upstream model and header mode, `model:mode`."""
    conversation: str = ""
    """The id of the conversation. Its turns are sent with one account while that can answer, for its prompt
    cache."""
    listed_id: str = ""
    """The model's name in the accounts' model lists, which decides the eligible accounts. Empty: all are
    eligible."""
    refused: set[int] = field(default_factory=set)
    """Ids of accounts that refused this request for good. Accounts at a limit are not among them, since the
    pool knows when their limits end."""
    without_capacity: set[int] = field(default_factory=set)
    """Ids of accounts that have reported no capacity since the model's last backoff."""
    failed: list[int] = field(default_factory=list)
    """Ids of accounts with a transient failure, in order. They are used after all others, the last failed one
    last."""
    capacity_hint_seconds: float | None = None
    """How long the model will lack capacity, by the last report."""
    backoff_deadline: float = -math.inf
    """The latest end of a backoff that is waited for, in seconds since the epoch; set by a report."""
    has_waited_for_backoff: bool = False
    """A request waits for a backoff once."""

    @property
    def model_id(self) -> str:
        return self.listed_id or self.sent_id

    @property
    def sent_id(self) -> str:
        return self.model_key.partition(":")[0]

    @property
    def excluded(self) -> set[int]:
        return self.refused | self.without_capacity

    def preferences(self) -> list[set[int]]:
        """The sets of accounts to exclude, in the order to try them."""
        excluded = self.excluded
        if not self.failed:
            return [excluded]
        return [excluded.union(self.failed), excluded | {self.failed[-1]}, excluded]

    def report_no_capacity(self, account_id: int, hint_seconds: float | None, deadline: float) -> None:
        """`deadline`: the latest end of a backoff that this request waits for."""
        self.without_capacity.add(account_id)
        self.capacity_hint_seconds, self.backoff_deadline = hint_seconds, deadline

    def wait_limits(self, deadline: float, *, may_wait: bool) -> WaitLimits:
        """What the request waits for. `deadline` is that of the first content; infinite: it waits for any end
        of a limit or backoff."""
        if not may_wait:
            return WaitLimits(-math.inf, -math.inf)
        if math.isinf(deadline):
            return WaitLimits()
        backoff_deadline = -math.inf if self.has_waited_for_backoff else self.backoff_deadline
        return WaitLimits(deadline, min(backoff_deadline, deadline))


class WaitLimits(NamedTuple):
    """The latest end a request waits for, in seconds since the epoch: of an account's limit, and of the
    model's backoff. A request always waits for an account that is only busy."""

    limit_until: float = math.inf
    backoff_until: float = math.inf


class Need(NamedTuple):
    """What decides which accounts can serve a request. Requests with equal needs wait in one group."""

    model_key: str
    listed_id: str
    excluded: frozenset[int]
    """Ids of accounts that must not serve these requests."""
