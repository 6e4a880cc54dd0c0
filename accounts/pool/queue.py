"""Queue of the requests that wait for an account, grouped by what they need.

All requests of a group can be served by the same accounts, so one evaluation of a group covers all of its
requests. Within a group and among groups, requests are served in order of arrival.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accounts.pool.request import Need

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from accounts.pool.pool import Lease, NoAccount
    from accounts.pool.request import AccountRequest, WaitLimits


@dataclass(eq=False, slots=True)
class Waiter:
    """A request in the queue."""

    number: int
    """A number that counts arrivals."""
    place: int
    """Position in the queue on arrival; 1 is next."""
    request: AccountRequest
    group: Group
    wait_limits: WaitLimits
    answer: asyncio.Future[Lease | NoAccount] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def __lt__(self, other: Waiter) -> bool:
        return self.number < other.number


class _Limits:
    """A heap of waiters by the latest end they accept. Waiters that have left the queue are dropped lazily,
    and all at once when they are most of the heap, so that no operation grows with the number of waiters."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Waiter]] = []

    def add(self, limit: float, waiter: Waiter) -> None:
        heapq.heappush(self._heap, (limit, waiter))

    def pop_below(self, moment: float) -> Iterator[Waiter]:
        while self._heap and self._heap[0][0] < moment:
            yield heapq.heappop(self._heap)[1]

    def tidy(self, waiting: Collection[int]) -> None:
        if len(self._heap) > 2 * len(waiting) + 64:
            self._heap = [entry for entry in self._heap if entry[1].number in waiting]
            heapq.heapify(self._heap)


class Group:
    """Waiting requests with equal needs. `return_at` is the first end of a limit or backoff among their
    accounts at the last evaluation, in seconds since the epoch; None when there was none."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self.targets = dict(need.targets)
        self.return_at: float | None = None
        self._waiters: dict[int, Waiter] = {}
        self._limits, self._backoffs = _Limits(), _Limits()

    def __lt__(self, other: Group) -> bool:
        return self.first < other.first

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter.number in self._waiters

    @property
    def first(self) -> Waiter:
        return next(iter(self._waiters.values()))

    def add(self, waiter: Waiter) -> None:
        self._waiters[waiter.number] = waiter
        self._limits.add(waiter.wait_limits.limit_until, waiter)
        self._backoffs.add(waiter.wait_limits.backoff_until, waiter)

    def remove(self, waiter: Waiter) -> None:
        del self._waiters[waiter.number]
        self._limits.tidy(self._waiters)
        self._backoffs.tidy(self._waiters)

    def impatient(self, moment: float | None, *, for_backoff: bool) -> list[Waiter]:
        """Return the waiters that accept no end as late as `moment`; all of them when it is None. The caller
        must remove them, since each is returned once."""
        if moment is None:
            return list(self._waiters.values())
        limits = self._backoffs if for_backoff else self._limits
        return [waiter for waiter in limits.pop_below(moment) if waiter in self]


class WaitingQueue:
    def __init__(self) -> None:
        self.count = 0
        self._arrivals = 0
        self._groups: dict[Need, Group] = {}
        self._by_model: dict[str, dict[Need, Group]] = {}
        """The groups by model key; each group is under the keys of all its targets."""

    def groups(self) -> list[Group]:
        return list(self._groups.values())

    def groups_of(self, *model_keys: str) -> list[Group]:
        """Return the groups that wait for one of these models, each once."""
        found: dict[Need, Group] = {}
        for model_key in model_keys:
            found |= self._by_model.get(model_key, {})
        return list(found.values())

    def add(self, request: AccountRequest, wait_limits: WaitLimits) -> Waiter:
        need = Need.of(request)
        group = self._groups.get(need) or self._add_group(need)
        self._arrivals += 1
        self.count += 1
        waiter = Waiter(self._arrivals, self.count, request, group, wait_limits)
        group.add(waiter)
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Remove the waiter; a second removal does nothing."""
        group = waiter.group
        if waiter not in group:
            return
        group.remove(waiter)
        self.count -= 1
        if not group:
            self._remove_group(group)

    def _add_group(self, need: Need) -> Group:
        group = self._groups[need] = Group(need)
        for target in group.targets.values():
            self._by_model.setdefault(target.model_key, {})[need] = group
        return group

    def _remove_group(self, group: Group) -> None:
        del self._groups[group.need]
        for target in group.targets.values():
            groups = self._by_model[target.model_key]
            del groups[group.need]
            if not groups:
                del self._by_model[target.model_key]
