"""The operator's model routes, in memory. Names without a route are resolved by resolution.py. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.routing.names import plain_name
from gateway.routing.resolution import MAX_HOPS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Route:
    """A route. `upstream_model` and `fallback` are upstream ids; "" leaves the choice to resolution.py."""

    upstream_model: str = ""
    fallback: str = ""
    hidden: bool = False
    pinned: bool = False


NO_ROUTE = Route()


@dataclass(frozen=True, slots=True)
class Routes:
    by_name: Mapping[str, Route] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """Return the route for the name as received, else for its plain name; one step, never a chain."""
        return self.by_name.get(self.routed_name(name), NO_ROUTE)

    def routed_name(self, name: str) -> str:
        """Return the name that has the route for `name`; "" when none has one."""
        if (own := name.strip()) in self.by_name:
            return own
        plain = plain_name(name)
        return plain if plain in self.by_name else ""

    def fallback_chain(self, client_name: str, model_id: str, offered: Collection[str]) -> list[str]:
        """Return the fallbacks that routes name, in order; empty when none does."""
        chain: list[str] = []
        following = self.route(client_name).fallback or self.route(model_id).fallback
        while following and following != model_id and following not in chain and len(chain) < MAX_HOPS:
            chain.append(following)
            following = self.route(following).fallback
        return [substitute for substitute in chain if substitute in offered]

    def listed(self, ids: Collection[str], offered: Collection[str]) -> list[str]:
        """Return the names to list, pinned ones first: ids and routed names, without hidden ones and those
        routed to a model that is not offered."""
        shown = [name for name in {*ids, *self.by_name} if self._is_shown(name, ids, offered)]
        return sorted(shown, key=lambda name: (not self.route(name).pinned, name))

    def _is_shown(self, name: str, ids: Collection[str], offered: Collection[str]) -> bool:
        route = self.route(name)
        on_offer = route.upstream_model in offered if route.upstream_model else name in ids
        return on_offer and not route.hidden


def cycle_through(name: str, fallback: str, fallbacks: Mapping[str, str]) -> list[str]:
    """Return the cycle that arises if the fallback of `name` becomes `fallback`; [] when none does."""
    way = [name]
    following = fallback
    while following:
        if following in way:
            return [*way, following]
        way.append(following)
        following = fallbacks.get(following, "") if following != name else ""
    return []
