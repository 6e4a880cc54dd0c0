"""The usable accounts, and a view of their state for one model. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from accounts.values.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from accounts.pool.cooldowns import ActiveCooldown, ModelBackoff
    from accounts.pool.request import Target
    from accounts.pool.strategies import Candidate


@dataclass(frozen=True, slots=True)
class PooledAccount:
    id: int
    name: str
    """The e-mail address or the given name, for the operator."""
    project_id: str
    kind: str = "google"
    quota_threshold: float | None = None
    """The threshold, a remaining fraction; None for the setting GLOBAL_QUOTA_THRESHOLD."""
    model_quota_thresholds: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    base_url: str = ""
    """The server's address, for kinds whose accounts each have an address of their own."""
    quota_group: str = ""
    """Accounts of one kind with the same quota group share their limits; "" for an account that shares
    none."""
    switches: Switches = field(default_factory=Switches)
    """The features of its server, for an account of kind "compatible"."""
    is_paid: bool = False
    """True when its requests cost money or may do so."""
    needs_project: bool = False
    """True when its kind needs a Cloud project, which is looked up before the first request."""
    label: str = ""
    """The account's name for clients, unique in the pool (accounts/pool/labels.py)."""

    @property
    def lacks_project(self) -> bool:
        return self.needs_project and not self.project_id

    def threshold_for(self, target: Target) -> float | None:
        """Return the model's threshold by its listed id, else by its sent id, else the account's
        threshold."""
        if not (thresholds := self.model_quota_thresholds):
            return self.quota_threshold
        return thresholds.get(target.model_id, thresholds.get(target.sent_id, self.quota_threshold))


def without(accounts: list[PooledAccount], excluded: Collection[int]) -> list[PooledAccount]:
    return [account for account in accounts if account.id not in excluded] if excluded else accounts


@dataclass(frozen=True, slots=True)
class FirstRanked:
    account: PooledAccount
    target: Target
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Eligible:
    """The accounts that have a model, in the order of the pool."""

    by_id: dict[int, PooledAccount]
    ids: list[int]
    """The ids in ascending order."""
    candidates: dict[int, Candidate]
    """The same accounts as the strategies see them, by id. Their scores and times of use are those of the
    last comparison."""
    first_ranked: dict[int, FirstRanked]
    """The accounts before which no other ranks, by id, without those whose project is unknown."""


@dataclass(slots=True)
class PoolView:
    """The accounts that have the model, at one time. Each is in one of `free`, `busy`, `backed_off` and
    `limited`."""

    now: float
    """When the view was taken, in seconds since the epoch."""
    free: list[PooledAccount] = field(default_factory=list)
    """Accounts at no limit, with fewer requests in flight than MAX_CONCURRENT_REQUESTS allows."""
    healthy: list[PooledAccount] = field(default_factory=list)
    """Those of `free` that are in no cooldown at all."""
    busy: list[PooledAccount] = field(default_factory=list)
    """Accounts at no limit, with as many requests in flight as allowed."""
    backed_off: list[PooledAccount] = field(default_factory=list)
    """Accounts at no limit, whose kind has no capacity for the model."""
    limited: list[tuple[PooledAccount, ActiveCooldown]] = field(default_factory=list)
    """Accounts at a limit, each with its cooldown, the earliest end first."""
    probes: list[PooledAccount] = field(default_factory=list)
    """Those of `limited` that one request may try now, if no other account can answer."""
    backoffs: dict[str, ModelBackoff] = field(default_factory=dict)
    """The active backoffs, by kind of account."""

    @property
    def not_limited(self) -> list[PooledAccount]:
        return self.free + self.busy

    @property
    def leasable(self) -> list[PooledAccount]:
        """The accounts that a request can lease now."""
        return self.free + self.probes

    def backoff(self, excluded: Collection[int] = ()) -> ModelBackoff | None:
        """Return the backoff that ends first, when the model has no capacity at any kind of the remaining
        accounts. These are the accounts that are not excluded, or all if each is excluded. Else None."""
        if not self.backoffs:
            return None
        known = [*self.free, *self.busy, *self.backed_off, *(account for account, _ in self.limited)]
        kinds = {account.kind for account in without(known, excluded) or known}
        if not kinds or not kinds <= self.backoffs.keys():
            return None
        return min((self.backoffs[kind] for kind in kinds), key=attrgetter("until"))

    def return_at(self, excluded: Collection[int] = ()) -> float | None:
        """Return the end of the backoff, else that of the first limit or backoff; None when none is known."""
        if (backoff := self.backoff(excluded)) is not None:
            return backoff.until
        ends = [cooldown.until for account, cooldown in self.limited if account.id not in excluded]
        ends += [self.backoffs[account.kind].until for account in without(self.backed_off, excluded)]
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class NoAccount:
    """Why a request gets no account, for the error message."""

    view: PoolView
    """The view on which the decision was made."""
    waiting: int
    """The number of requests in the queue, for any model."""
    is_queue_full: bool = False
    """True when the request would have waited, but the queue was full."""
