"""The models that accounts offer now, and the ones that answer a name. From memory, nobody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from accounts.live_settings import live
from gateway.routing import resolution
from gateway.routing.models_by_kind import is_offered, models_by_kind
from gateway.routing.upstream_model import CLOUD_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.offers import ModelOffer
    from accounts.service import AccountsService
    from gateway.routing.routes import Routes
    from gateway.routing.upstream_model import UpstreamModel

    Offers = Mapping[str, ModelOffer]


MOST_KEPT = 1000
NONE: Mapping[str, ModelOffer] = {}


class Chosen(NamedTuple):
    """The models that answer a name, by kind of account; empty when no kind may be asked. `is_unknown`: the
    name has no route, lists are known, and none has one of the models."""

    models: Mapping[str, UpstreamModel]
    is_unknown: bool


class ModelChoice:
    def __init__(self, accounts: AccountsService, routes: Callable[[], Routes]) -> None:
        self._accounts = accounts
        self._routes = routes
        self._known: tuple[object, object, str] = (None, None, "")
        """What `_by_kind` and `_all` were built from."""
        self._by_kind: Mapping[str, Offers] = {}
        self._all: Offers = {}
        self._chosen: dict[tuple[str, bool | None], Chosen] = {}
        self._routes_then: Routes | None = None
        """The routes by which `_chosen` was chosen."""

    def offers(self) -> Mapping[str, Offers]:
        """The models offered at each kind that has a usable account, Google's in the present header mode."""
        self._build()
        return self._by_kind

    def known_models(self) -> Offers:
        """The models offered in the present header mode, by whichever kind, as far as they are known. The
        same object until a list changes."""
        self._build()
        return self._all

    def named(self, name: str, thinking: bool | None) -> Chosen:
        """Choose the model of each kind that may be asked for a client's name or, after a route, its model.
        `thinking` as for `resolution.resolve`. What was chosen is kept until lists or routes change."""
        self._build()
        routes = self._routes()
        if routes is not self._routes_then or len(self._chosen) > MOST_KEPT:
            self._chosen, self._routes_then = {}, routes
        key = name, thinking
        if (known := self._chosen.get(key)) is None:
            known = self._chosen[key] = self._choose(name, thinking, routes.route(name).upstream_model)
        return known

    def _choose(self, name: str, thinking: bool | None, routed: str) -> Chosen:
        if routed:
            return Chosen(self.of_id(routed, thinking), is_unknown=False)
        models = self._models(name, thinking, is_routed=False)
        return Chosen(models, bool(self._all) and not is_offered(models.values(), self._by_kind))

    def of_id(self, model_id: str, thinking: bool | None) -> dict[str, UpstreamModel]:
        """The model with an upstream's id, as routes and fallbacks name it, at each kind that has it."""
        return self._models(model_id, thinking, is_routed=True)

    def _models(self, name: str, thinking: bool | None, *, is_routed: bool) -> dict[str, UpstreamModel]:
        mode = live("GEMINI_HEADER_MODE")
        return models_by_kind(name, self.offers(), is_routed=is_routed, thinking=thinking, mode=mode)

    def _build(self) -> None:
        accounts, mode = self._accounts, live("GEMINI_HEADER_MODE")
        listed = accounts.offered_by_kind()
        in_cli = accounts.cli_models() if mode == "cli" else NONE
        if self._known[0] is listed and self._known[1] is in_cli and self._known[2] == mode:
            return
        self._known, self._by_kind, self._chosen = (listed, in_cli, mode), listed, {}
        if mode == "cli" and CLOUD_CODE in listed:
            self._by_kind = {**listed, CLOUD_CODE: resolution.offered_in_cli(listed[CLOUD_CODE], in_cli)}
        self._all = {
            model_id: offer
            for offers in reversed(list(self._by_kind.values()))
            for model_id, offer in offers.items()
        }
