"""The usable accounts, and a view of their state for one model. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

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
    """A remaining fraction; None: the setting GLOBAL_QUOTA_THRESHOLD."""
    model_quota_thresholds: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    base_url: str = ""
    """Where it is served, for kinds whose accounts each have an address of their own."""
    quota_group: str = ""
    """Accounts of one kind with the same name here share their limits; empty: with no other."""
    switches: Switches = field(default_factory=Switches)
    """Of kind "compatible": what its server takes."""
    is_paid: bool = False
    """Its requests cost money, or may."""
    needs_project: bool = False
    """Its kind needs a Cloud project, which is found out before the first request."""
    label: str = ""
    """Shown to clients instead of the name; unique in the pool (accounts/pool/labels.py)."""

    @property
    def lacks_project(self) -> bool:
        return self.needs_project and not self.project_id

    def threshold_for(self, target: Target) -> float | None:
        """The model's threshold by its listed id, else by its sent id, else the account's."""
        if not (thresholds := self.model_quota_thresholds):
            return self.quota_threshold
        return thresholds.get(target.model_id, thresholds.get(target.sent_id, self.quota_threshold))


def without(accounts: list[PooledAccount], excluded: Collection[int]) -> list[PooledAccount]:
    return [account for account in accounts if account.id not in excluded] if excluded else accounts


class FirstRanked(NamedTuple):
    account: PooledAccount
    target: Target
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Eligible:
    """The accounts that have a model, in the order of the pool."""

    by_id: dict[int, PooledAccount]
    ids: list[int]
    """In ascending order."""
    candidates: dict[int, Candidate]
    """The same accounts as the strategies see them. Scores and times of use are those of the last
    comparison."""
    first_ranked: dict[int, FirstRanked]
    """Those before which no other ranks, without those whose project is not known."""


@dataclass(slots=True)
class PoolView:
    """The accounts that have the model at one time. Each is in one of `free`, `busy`, `backed_off` and
    `limited`."""

    now: float
    """When it was taken, in seconds since the epoch."""
    free: list[PooledAccount] = field(default_factory=list)
    """At no limit, and with fewer requests in flight than MAX_CONCURRENT_REQUESTS allows."""
    healthy: list[PooledAccount] = field(default_factory=list)
    """Those of `free` that are in no cooldown at all."""
    busy: list[PooledAccount] = field(default_factory=list)
    """At no limit, with as many requests in flight as allowed."""
    backed_off: list[PooledAccount] = field(default_factory=list)
    """At no limit, but the model itself has no capacity for their kind."""
    limited: list[tuple[PooledAccount, ActiveCooldown]] = field(default_factory=list)
    """Accounts at a limit with its cooldown, the earliest end first."""
    probes: list[PooledAccount] = field(default_factory=list)
    """Those of `limited` that one request may try now, if no other account can answer."""
    backoffs: dict[str, ModelBackoff] = field(default_factory=dict)
    """The backoffs that last, by kind of account."""

    @property
    def not_limited(self) -> list[PooledAccount]:
        return self.free + self.busy

    @property
    def leasable(self) -> list[PooledAccount]:
        """The accounts that a request could lease now."""
        return self.free + self.probes

    def backoff(self, excluded: Collection[int] = ()) -> ModelBackoff | None:
        """The backoff that ends first, when the model has no capacity for any kind of account that is left:
        those not excluded, or all when each is."""
        if not self.backoffs:
            return None
        known = [*self.free, *self.busy, *self.backed_off, *(account for account, _ in self.limited)]
        kinds = {account.kind for account in without(known, excluded) or known}
        if not kinds or not kinds <= self.backoffs.keys():
            return None
        return min((self.backoffs[kind] for kind in kinds), key=attrgetter("until"))

    def return_at(self, excluded: Collection[int] = ()) -> float | None:
        """The end of the backoff, else of the first limit or backoff; None: none is known."""
        if (backoff := self.backoff(excluded)) is not None:
            return backoff.until
        ends = [cooldown.until for account, cooldown in self.limited if account.id not in excluded]
        ends += [self.backoffs[account.kind].until for account in without(self.backed_off, excluded)]
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class NoAccount:
    """Why a request gets no account, for the error message."""

    view: PoolView
    """Taken when the decision was made."""
    waiting: int
    """Requests in the queue, for any model."""
    is_queue_full: bool = False
    """True when the request would have waited, but the queue had no place."""
