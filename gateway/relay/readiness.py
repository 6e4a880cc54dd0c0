"""Whether a request for a model would be answered now, from memory. Nothing is sent, and nobody waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.live_settings import live
from accounts.values.sanitize import truncate
from gateway.errors import NotFound
from gateway.relay.error_messages import next_try
from gateway.routing import resolution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.offers import ModelOffer
    from accounts.pool.view import PoolView
    from accounts.service import AccountsService
    from gateway.relay.models.choice import Chosen, ModelChoice
    from gateway.routing.routes import Routes

    Offers = Mapping[str, ModelOffer]

LISTS_READ_SECONDS = 5.0
"""The `retry-after` while no account's list of models is known: the time between two tries to read one."""
LONGEST_NAME_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Readiness:
    model_id: str
    """The upstream model that would answer, which may be a fallback."""
    problem: str = ""
    """Why no account would answer, as a sentence that names no account; "" when one would."""
    retry_after_seconds: float | None = None
    """The seconds until that may change; None when it will not change by itself, or the time is unknown."""


class ModelReadiness:
    def __init__(self, accounts: AccountsService, routes: Callable[[], Routes], choice: ModelChoice) -> None:
        self._accounts = accounts
        self._pool = accounts.pool
        self._routes = routes
        self._choice = choice

    def of(self, name: str) -> Readiness:
        """Return the readiness of the model that a client's name means. Raises NotFound for a name that is
        neither routed nor resolves to an offered model."""
        if problem := self.account_problem():
            return Readiness(name, problem)
        offered = self._choice.known_models()
        routed = self._routes().route(name).upstream_model
        if not routed and not offered:
            return Readiness(
                name, "No account has been able to say yet which models it offers.", LISTS_READ_SECONDS
            )
        named = self._choice.named(name, thinking=None)
        if not named.models or named.is_unknown:
            shown = truncate(name, LONGEST_NAME_SHOWN)
            raise NotFound(f"model: {shown} is not known here. /v1/models lists those that are.")
        fallbacks = self._fallbacks(name, named.listed_id, offered)
        ways = [named, *(self._choice.of_id(one, None) for one in fallbacks)]
        found = [self._of_models(way) for way in ways if way.models]
        return next((one for one in found if not one.problem), found[0])

    def account_problem(self) -> str:
        """Return why no model can be answered at all; "" while an account is usable."""
        if self._pool.accounts:
            return ""
        count = self._accounts.account_count
        return f"None of the {count} accounts can be used now." if count else "There is no account yet."

    def exhausted(self) -> list[Readiness]:
        """Return the listed models that no account would answer now, and no fallback."""
        offered = self._choice.known_models()
        found = (self.of(name) for name in self._routes().listed(resolution.visible(offered), offered))
        return [one for one in found if one.problem]

    def _fallbacks(self, name: str, model_id: str, offered: Offers) -> list[str]:
        if not live("FALLBACK"):
            return []
        named = self._routes().fallback_chain(name, model_id, offered)
        return named or resolution.fallback_chain(model_id, offered, thinking=None)

    def _of_models(self, chosen: Chosen) -> Readiness:
        model_id = chosen.listed_id
        view = self._pool.view(chosen.targets)
        until = view.return_at()
        if until is None or view.not_limited:
            return Readiness(model_id)
        tail = next_try(until, view.now, settings.LOCAL_TIME_ZONE)
        return Readiness(model_id, f"{_why(model_id, view)} {tail}", max(0.0, until - view.now))


def _why(model_id: str, view: PoolView) -> str:
    if view.backoff() is not None:
        return f"{model_id} has no capacity at the moment, whichever account asks."
    count = len(view.limited) + len(view.backed_off)
    accounts = "The account that has" if count == 1 else f"Each of the {count} accounts that have"
    return f"{accounts} {model_id} is at its limit."
