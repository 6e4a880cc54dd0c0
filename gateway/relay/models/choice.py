"""The models that accounts offer now, and those that answer a name. Everything is read from memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts import live_settings
from accounts.live_settings import live
from accounts.pool.request import Target
from gateway.routing import resolution
from gateway.routing.models_by_kind import is_offered, models_by_kind
from gateway.routing.upstream_model import CLOUD_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.offers import ModelOffer
    from accounts.pool.request import Targets
    from accounts.service import AccountsService, MergedOffers
    from gateway.routing.routes import Routes
    from gateway.routing.upstream_model import UpstreamModel

    Offers = Mapping[str, ModelOffer]


MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Chosen:
    """The models that answer a name, and what requests need to know about them. Kept until lists or routes
    change."""

    models: Mapping[str, UpstreamModel]
    """The models by `Account.kind`; empty when no kind may be asked."""
    targets: Targets
    """The targets for which the pool chooses an account."""
    listed_id: str
    """The listed id of the first kind's model, which names the model in the log and in messages."""
    is_unknown: bool = False
    """True when the name has no route, and lists are known but none has one of the models."""


def chosen(models: Mapping[str, UpstreamModel], *, is_unknown: bool = False) -> Chosen:
    targets = {kind: Target(model.quota_key, model.listed_id) for kind, model in models.items()}
    listed_id = next((model.listed_id for model in models.values()), "")
    return Chosen(models, targets, listed_id, is_unknown)


class ModelChoice:
    def __init__(self, accounts: AccountsService, routes: Callable[[], Routes]) -> None:
        self._accounts = accounts
        self._routes = routes
        self._offers_then: MergedOffers | None = None
        self._mode_then = ""
        """The header mode from which, with `_offers_then`, `_by_kind` and `_all` were built."""
        self._by_kind: Mapping[str, Offers] = {}
        self._all: Offers = {}
        self._chosen: dict[tuple[str, bool | None], Chosen] = {}
        self._routes_then: Routes | None = None
        """The routes with which `_chosen` was chosen."""

    def offers(self) -> Mapping[str, Offers]:
        """Return the models offered at each kind that has a usable account, Google's in the present header
        mode."""
        self._build()
        return self._by_kind

    def known_models(self) -> Offers:
        """Return the models offered in the present header mode by any kind, as far as they are known. It is
        the same object until a list changes."""
        self._build()
        return self._all

    def named(self, name: str, thinking: bool | None) -> Chosen:
        """Choose the model of each kind that may be asked for a client's name or, if it has a route, for its
        model. `thinking` is that of `resolution.resolve`. The result is kept until lists or routes change."""
        self._build()
        routes = self._routes()
        if routes is not self._routes_then:
            self._chosen, self._routes_then = {}, routes
        key = name, thinking
        if (known := self._chosen.get(key)) is None:
            if len(self._chosen) >= MOST_KEPT:
                self._chosen = {}
            known = self._chosen[key] = self.choose(name, thinking, routes.route(name).upstream_model)
        return known

    def choose(self, name: str, thinking: bool | None, routed: str) -> Chosen:
        """Choose as `named` does, but keep nothing. It may run in any thread. `routed` is the model of the
        name's route, "" without one."""
        if routed:
            return self.of_id(routed, thinking)
        models = self._models(name, thinking, is_routed=False)
        is_unknown = bool(self._all) and not is_offered(models.values(), self._by_kind)
        return chosen(models, is_unknown=is_unknown)

    def of_id(self, model_id: str, thinking: bool | None) -> Chosen:
        """Return the model with an upstream's id, as routes and fallbacks name it, at each kind that has
        it."""
        return chosen(self._models(model_id, thinking, is_routed=True))

    def _models(self, name: str, thinking: bool | None, *, is_routed: bool) -> dict[str, UpstreamModel]:
        mode = live("GEMINI_HEADER_MODE")
        return models_by_kind(name, self.offers(), is_routed=is_routed, thinking=thinking, mode=mode)

    def _build(self) -> None:
        offers, mode = self._accounts.merged_offers(), live_settings.current["GEMINI_HEADER_MODE"]
        if self._offers_then is offers and self._mode_then == mode:
            return
        by_kind = offers.by_kind
        if mode == "cli" and CLOUD_CODE in by_kind:
            in_cli = resolution.offered_in_cli(by_kind[CLOUD_CODE], offers.in_cli)
            by_kind = {**by_kind, CLOUD_CODE: in_cli}
        self._by_kind, self._chosen = by_kind, {}
        self._all = {
            model_id: offer
            for listed in reversed(list(by_kind.values()))
            for model_id, offer in listed.items()
        }
        self._offers_then, self._mode_then = offers, mode  # the last, since pages look from other threads
