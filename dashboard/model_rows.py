"""The rows of the models page: each listed or mapped name, and the remaining quota of its model. Pure except
for `offered_models`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.outlook import family_of
from accounts.quota.pools import readiness
from gateway.routing import resolution
from gateway.routing.upstream_model import upstream_model
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.quota.pools import QuotaPool
    from gateway.routing.routes import Routes
    from gateway.routing.upstream_model import HeaderMode


@dataclass(frozen=True, slots=True)
class Serving:
    """An account. `pools` are those that requests use now; `models` are the ids that its list has, None while
    the list is unknown."""

    is_usable: bool
    pools: Sequence[QuotaPool]
    name: str = ""
    models: Collection[str] | None = None
    kind: str = "google"
    rank: tuple[int, int] = (0, 0)
    """The order in which accounts are asked, lower ones first."""
    limited_until: Mapping[str, datetime] = field(default_factory=dict)
    """When its limits end, by model key or ALL_MODELS."""

    def limit_ends_at(self, model_key: str) -> datetime | None:
        ends = [self.limited_until[key] for key in (model_key, ALL_MODELS) if key in self.limited_until]
        return max(ends, default=None)


def offered_models() -> Collection[str]:
    """Return the listed ids of the models that the accounts of this process have now."""
    gateway = running_gateway()
    return gateway.accounts.offered_models() if gateway is not None else ()


class Ready(NamedTuple):
    """An account that can be used now. `left` is the least of its fractions that are known, None without
    one."""

    name: str
    left: float | None


@dataclass(frozen=True, slots=True)
class Left:
    """The remaining quota of a model. `least` and `most` are fractions over usable accounts whose quota is
    known, None when there is none. `available` of the `accounts` that serve this very model are ready;
    accounts.quota.pools.readiness says which are."""

    least: float | None
    most: float | None
    available: int
    accounts: int
    back_at: datetime | None
    ready: Sequence[Ready] = ()
    """The accounts counted in `available`."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    name: str
    answered_by: str
    """The upstream id of the model; the name itself when no offered model fits it."""
    is_offered: bool
    is_routed: bool
    """True when the operator has mapped the name."""
    is_pinned: bool
    is_hidden: bool
    left: Left
    requests: int | None = None
    """The requests that the model answered within the page's span; None when another row counts them."""

    @property
    def is_of_interest(self) -> bool:
        """Whether the page shows the row at once: it is used, mapped or pinned, and not hidden."""
        return not self.is_hidden and bool(self.is_routed or self.is_pinned or self.requests)


def model_rows(
    offered: Collection[str],
    routes: Routes,
    accounts: Iterable[Serving],
    requests: Mapping[str, int],
    header_mode: HeaderMode,
) -> list[ModelRow]:
    """Return the rows, pinned names first and hidden ones last. `requests` has the answered requests by
    model."""
    known = list(accounts)
    names = {*resolution.visible(offered), *routes.by_name}
    ordered = sorted(names, key=lambda name: (not routes.route(name).pinned, routes.route(name).hidden, name))
    return _counted_once([_row(name, offered, routes, known, header_mode) for name in ordered], requests)


def _counted_once(rows: list[ModelRow], requests: Mapping[str, int]) -> list[ModelRow]:
    """Return the rows, with a model's requests in the row of its own name, or else in its first row."""
    place = {row.answered_by: row.name for row in reversed(rows)}
    place |= {row.name: row.name for row in rows if row.name == row.answered_by}
    return [
        replace(row, requests=requests.get(row.answered_by, 0)) if place[row.answered_by] == row.name else row
        for row in rows
    ]


def _row(
    name: str,
    offered: Collection[str],
    routes: Routes,
    accounts: list[Serving],
    header_mode: HeaderMode,
) -> ModelRow:
    route = routes.route(name)
    model_id = route.upstream_model or resolution.resolve(name, offered, thinking=None)
    return ModelRow(
        name=name,
        answered_by=model_id,
        is_offered=model_id in offered,
        is_routed=bool(route.upstream_model or route.fallback),
        is_pinned=route.pinned,
        is_hidden=route.hidden,
        left=what_is_left(model_id, header_mode, accounts),
    )


def what_is_left(model_id: str, header_mode: HeaderMode, accounts: Iterable[Serving]) -> Left:
    # In header mode cli a quota is stored under the sent id.
    ids = {model_id, upstream_model(model_id, header_mode=header_mode).sent_id}
    serving = [(one, [pool for pool in one.pools if _has(pool, ids, model_id)]) for one in accounts]
    serving = [(one, pools) for one, pools in serving if _serves(one, pools, ids)]
    known = [fraction for one, pools in serving if one.is_usable for fraction in _known(pools)]
    ready, returns = [], []
    for one, pools in serving:
        key = upstream_model(model_id, header_mode=header_mode, kind=one.kind).quota_key
        found = readiness(pools, is_used=one.is_usable, limited_until=one.limit_ends_at(key))
        if found.is_ready:
            ready.append(Ready(one.name, min(_known(pools), default=None)))
        elif found.back_at is not None:
            returns.append(found.back_at)
    return Left(
        least=min(known, default=None),
        most=max(known, default=None),
        available=len(ready),
        accounts=len(serving),
        back_at=min(returns, default=None) if not ready else None,
        ready=ready,
    )


def _known(pools: Iterable[QuotaPool]) -> list[float]:
    return [pool.remaining_fraction for pool in pools if pool.remaining_fraction is not None]


def _serves(account: Serving, pools: list[QuotaPool], ids: set[str]) -> bool:
    """Return whether the account serves the model. `pools` are its pools that have the model; they decide
    while its list is unknown."""
    return bool(pools) if account.models is None else not ids.isdisjoint(account.models)


def _has(pool: QuotaPool, ids: set[str], model_id: str) -> bool:
    """Return whether the pool has the model. For a pool that was never read, only the family is compared."""
    return not ids.isdisjoint(pool.models) or (
        not pool.models and family_of(pool.name) == family_of(model_id)
    )
