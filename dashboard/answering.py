"""What the relay of this process chooses for a name that clients ask for, for the pages that tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.live_settings import live
from dashboard.asked_models import Chosen, answered
from dashboard.model_rows import Serving
from gateway.routing import resolution
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from dashboard.account_pools import AccountPools
    from dashboard.asked_models import AskedNames
    from gateway.routing.routes import Routes


def serving_of(one: AccountPools) -> Serving:
    account = one.account
    cost_rank = int(account.is_paid and live("PAID_ACCOUNTS_LAST"))
    return Serving(
        one.is_used,
        [*one.pools, *one.models_at_limit],
        str(account),
        one.models,
        account.kind,
        (account.priority, cost_rank),
        one.limited_until,
    )


def chosen_now(routes: Routes, offered: Collection[str], name: str) -> Chosen:
    """Return what the relay would choose for the name now; no models in a process that serves no requests."""
    gateway = running_gateway()
    if gateway is None:
        return Chosen({})
    choice, route = gateway.relay.choice, routes.route(name)
    models = choice.choose(name, None, route.upstream_model).models
    fallbacks: Sequence[str] = ()
    if models and live("FALLBACK"):
        model_id = next(iter(models.values())).listed_id
        fallbacks = routes.fallback_chain(name, model_id, offered) or resolution.fallback_chain(
            model_id, offered, thinking=None
        )
    return Chosen(
        models,
        [choice.of_id(one, None).models for one in fallbacks],
        routes.routed_name(name) if route.upstream_model else "",
    )


def answered_now(name: str, accounts: Iterable[AccountPools]) -> AskedNames | None:
    """Return what answers the name now, by the routes that this process has in memory; None in a process that
    serves no requests. Makes no query."""
    gateway = running_gateway()
    if gateway is None:
        return None
    chosen = chosen_now(gateway.routes, gateway.accounts.offered_models(), name)
    return answered(name, 0, chosen, [serving_of(one) for one in accounts], live("GEMINI_HEADER_MODE"))
