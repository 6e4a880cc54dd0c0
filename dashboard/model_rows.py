"""Rows of the page of models: a name, what answers, its fallbacks, and what is left of it. Pure but for
`offered_models`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.quota.outlook import family_of
from gateway.routing import resolution
from gateway.routing.upstream_model import upstream_model
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from accounts.quota.pools import QuotaPool
    from gateway.routing.routes import Routes
    from gateway.routing.upstream_model import HeaderMode

AccountQuotas = tuple[bool, "Sequence[QuotaPool]"]
"""Of an account, whether it is usable, and its quota pools that requests use now."""
ASKED_BY_CLAUDE_CODE = ("opus", "sonnet", "haiku")
"""The kinds that Claude Code offers by name, and asks for in some version."""


def offered_models() -> Collection[str]:
    """Listed ids of the models that the accounts of this process have now."""
    gateway = running_gateway()
    return gateway.accounts.offered_models() if gateway is not None else ()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a model's quota. `least` and `most` are of usable accounts whose quota is known, None
    without one. `available` counts as the overview does: usable accounts that are not known to be empty."""

    least: float | None
    most: float | None
    available: int
    accounts: int
    back_at: datetime | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    name: str
    answered_by: str
    """An upstream id; the name itself when nothing offered fits it."""
    fallbacks: Sequence[str]
    is_offered: bool
    is_routed: bool
    """The operator has mapped the name."""
    is_pinned: bool
    is_hidden: bool
    left: Left
    requests: int | None = None
    """Those that the model answered within the span of the page; None where another row has them."""


def model_rows(
    offered: Collection[str],
    routes: Routes,
    accounts: Iterable[AccountQuotas],
    requests: Mapping[str, int],
    header_mode: HeaderMode,
) -> list[ModelRow]:
    """`requests`: how many each model answered. Claude Code's names come first, then pinned ones."""
    known = list(accounts)
    listed = [
        name for name in {*resolution.visible(offered), *routes.by_name} if name not in ASKED_BY_CLAUDE_CODE
    ]
    listed.sort(key=lambda name: (not routes.route(name).pinned, routes.route(name).hidden, name))
    names = [*ASKED_BY_CLAUDE_CODE, *listed]
    rows = [_row(name, offered, routes, known, header_mode) for name in names]
    return _counted_once(rows, requests)


def _counted_once(rows: list[ModelRow], requests: Mapping[str, int]) -> list[ModelRow]:
    """The rows, with a model's requests in the row of its own name, or else in its first one."""
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
    accounts: list[AccountQuotas],
    header_mode: HeaderMode,
) -> ModelRow:
    route = routes.route(name)
    model_id = route.upstream_model or resolution.resolve(name, offered, thinking=None)
    fallbacks = routes.fallback_chain(name, model_id, offered) or resolution.fallback_chain(
        model_id, offered, thinking=None
    )
    return ModelRow(
        name=name,
        answered_by=model_id,
        fallbacks=fallbacks,
        is_offered=model_id in offered,
        is_routed=bool(route.upstream_model or route.fallback),
        is_pinned=route.pinned,
        is_hidden=route.hidden,
        left=_left(model_id, header_mode, accounts),
    )


def _left(model_id: str, header_mode: HeaderMode, accounts: list[AccountQuotas]) -> Left:
    # In header mode cli a quota has the name that is sent.
    ids = {model_id, upstream_model(model_id, header_mode=header_mode).sent_id}
    found = [
        (is_usable, pool) for is_usable, pools in accounts for pool in pools if _has(pool, ids, model_id)
    ]
    usable = [pool for is_usable, pool in found if is_usable]
    known = [pool.remaining_fraction for pool in usable if pool.remaining_fraction is not None]
    available = sum(not pool.is_empty for pool in usable)
    returns = [pool.back_at for pool in usable if pool.is_empty and pool.back_at is not None]
    return Left(
        least=min(known, default=None),
        most=max(known, default=None),
        available=available,
        accounts=len(found),
        back_at=min(returns, default=None) if not available else None,
    )


def _has(pool: QuotaPool, ids: set[str], model_id: str) -> bool:
    """Of a pool that was never read, only its family is known."""
    return not ids.isdisjoint(pool.models) or (
        not pool.models and family_of(pool.name) == family_of(model_id)
    )
