"""What one client request needs of an account, and what it knows about the accounts that it has tried. Pure.

request = AccountRequest({
    "google": Target("claude-sonnet-4-6:antigravity", "claude-sonnet-4-6"),
    "anthropic": Target("claude-sonnet-4-6:anthropic", "claude-sonnet-4-6"),
})
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    Targets = Mapping[str, "Target"]
    """The targets by kind of account (`Account.kind`). An account whose kind has no target cannot serve the
    request."""


@dataclass(frozen=True, slots=True)
class Target:
    """The model that accounts of one kind are asked for."""

    model_key: str
    """The key of the quota: the upstream's model id, and the kind or Google's header mode, `model:kind`. It
    belongs to only one kind of account."""
    listed_id: str = ""
    """The model's name in the accounts' model lists, which decides the eligible accounts; "" when all
    accounts of the kind are eligible."""

    @property
    def model_id(self) -> str:
        return self.listed_id or self.sent_id

    @property
    def sent_id(self) -> str:
        return self.model_key.rpartition(":")[0]


class NoCapacity(NamedTuple):
    """An account's report that a model has no capacity."""

    model_key: str
    hint_seconds: float | None
    """How long the lack of capacity will last, in seconds; None when the upstream names no time."""


class AccountRequest(Struct):
    """One client request, with the model of each kind of account. The caller adds ids of accounts as they
    fail; the pool reads them, and notes that the request has waited for a backoff."""

    targets: Targets
    conversation: str = ""
    """The id of the conversation. Its turns are sent with one account while that can answer, for the sake of
    the prompt cache."""
    refused: set[int] = field(default_factory=set)
    """Ids of accounts that refused this request for good. Accounts at a limit are not among them, because the
    pool knows when their limits end."""
    without_capacity: dict[int, NoCapacity] = field(default_factory=dict)
    """The reports of no capacity by account id, since the last backoff of the model of that kind."""
    failed: list[int] = field(default_factory=list)
    """Ids of accounts with a transient failure, in order. They are used after all others, and the one that
    failed last is used last."""
    backoff_deadline: float = -math.inf
    """The latest end of a backoff to wait for, in seconds since the epoch; set by a report."""
    has_waited_for_backoff: bool = False
    """True after the request has waited for a backoff, which it does only once."""

    @property
    def model_id(self) -> str:
        """The model's name for people: that of the first kind."""
        return next(iter(self.targets.values())).model_id

    @property
    def excluded(self) -> set[int]:
        return self.refused.union(self.without_capacity)

    def preferences(self) -> list[set[int]]:
        """Return the sets of accounts to exclude, in the order in which to try them."""
        excluded = self.excluded
        if not self.failed:
            return [excluded]
        return [excluded.union(self.failed), excluded | {self.failed[-1]}, excluded]

    def report_no_capacity(self, account_id: int, report: NoCapacity, deadline: float) -> None:
        """Note that an account has reported no capacity. `deadline` is the latest end of a backoff that this
        request waits for."""
        self.without_capacity[account_id] = report
        self.backoff_deadline = deadline

    def forget_reports(self, model_key: str) -> None:
        self.without_capacity = {
            account_id: report
            for account_id, report in self.without_capacity.items()
            if report.model_key != model_key
        }

    def wait_limits(self, deadline: float, *, may_wait: bool) -> WaitLimits:
        """Return what the request waits for. `deadline` is that of the first content; when it is infinite,
        the request waits for any end of a limit or backoff."""
        if not may_wait:
            return WaitLimits(-math.inf, -math.inf)
        if math.isinf(deadline):
            return WaitLimits()
        backoff_deadline = -math.inf if self.has_waited_for_backoff else self.backoff_deadline
        return WaitLimits(deadline, min(backoff_deadline, deadline))


class WaitLimits(NamedTuple):
    """The latest ends that a request waits for, in seconds since the epoch: that of an account's limit, and
    that of the model's backoff. A request always waits for an account that is only busy."""

    limit_until: float = math.inf
    backoff_until: float = math.inf


class Need(NamedTuple):
    """The properties that decide which accounts can serve a request. Requests with equal needs wait in one
    group."""

    targets: frozenset[tuple[str, Target]]
    excluded: frozenset[int]
    """Ids of accounts that must not serve these requests."""

    @classmethod
    def of(cls, request: AccountRequest) -> Need:
        return cls(frozenset(request.targets.items()), frozenset(request.excluded))
