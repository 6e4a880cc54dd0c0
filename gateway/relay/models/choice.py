"""The models that accounts offer now, and the ones that answer a name. From memory, nobody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


class ModelChoice:
    def __init__(self, accounts: AccountsService, routes: Callable[[], Routes]) -> None:
        self._accounts = accounts
        self._routes = routes
        self._known: tuple[object, object, str] = (None, None, "")
        """What `_by_kind` and `_all` were built from."""
        self._by_kind: Mapping[str, Offers] = {}
        self._all: Offers = {}

    def offers(self) -> Mapping[str, Offers]:
        """The models offered at each kind that has a usable account, Google's in the present header mode."""
        self._build()
        return self._by_kind

    def known_models(self) -> Offers:
        """The models offered in the present header mode, by whichever kind, as far as they are known. The
        same object until a list changes."""
        self._build()
        return self._all

    def named(self, name: str, thinking: bool | None) -> dict[str, UpstreamModel]:
        """Return the model of each kind that may be asked for a client's name or, after a route, its model;
        empty when none may. `thinking` as for `resolution.resolve`."""
        routed = self._routes().route(name).upstream_model
        return self.of_id(routed, thinking, is_routed=True) if routed else self.of_id(name, thinking)

    def of_id(
        self, model_id: str, thinking: bool | None, *, is_routed: bool = False
    ) -> dict[str, UpstreamModel]:
        mode = live("GEMINI_HEADER_MODE")
        return models_by_kind(model_id, self.offers(), is_routed=is_routed, thinking=thinking, mode=mode)

    def is_unknown(self, name: str, models: Mapping[str, UpstreamModel]) -> bool:
        """True for a name without a route when the lists are known and none has one of the models."""
        if self._routes().route(name).upstream_model or not self.known_models():
            return False
        return not is_offered(models.values(), self.offers())

    def _build(self) -> None:
        accounts, mode = self._accounts, live("GEMINI_HEADER_MODE")
        listed, in_cli = accounts.offered_by_kind(), accounts.cli_models()
        if self._known[0] is listed and self._known[1] is in_cli and self._known[2] == mode:
            return
        self._known, self._by_kind = (listed, in_cli, mode), listed
        if mode == "cli" and CLOUD_CODE in listed:
            self._by_kind = {**listed, CLOUD_CODE: resolution.offered_in_cli(listed[CLOUD_CODE], in_cli)}
        self._all = {
            model_id: offer
            for offers in reversed(list(self._by_kind.values()))
            for model_id, offer in offers.items()
        }
