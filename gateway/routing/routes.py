"""The operator's own answers to a model name, in memory. What no route decides, model_catalog does. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.routing.catalog import MAX_HOPS
from gateway.routing.names import plain_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Route:
    """`upstream_model` and `fallback` are upstream ids; "" leaves the choice to the built-in tables."""

    upstream_model: str = ""
    fallback: str = ""
    hidden: bool = False
    pinned: bool = False


NO_ROUTE = Route()


@dataclass(frozen=True, slots=True)
class Routes:
    by_name: Mapping[str, Route] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """For the name as it came, then without what is for the client only; one step, never a chain."""
        return self.by_name.get(name.strip()) or self.by_name.get(plain_name(name)) or NO_ROUTE

    def fallback_chain(self, client_name: str, model_id: str, offered: Collection[str]) -> list[str]:
        """What the operator wants to step in, in order; empty when no route says so."""
        chain: list[str] = []
        following = self.route(client_name).fallback or self.route(model_id).fallback
        while following and following != model_id and following not in chain and len(chain) < MAX_HOPS:
            chain.append(following)
            following = self.route(following).fallback
        return [substitute for substitute in chain if substitute in offered]

    def listed(self, ids: Collection[str], offered: Collection[str]) -> list[str]:
        """Of the ids to show and the routed names: pinned ones first, hidden ones not at all, nor those that
        are routed to a model that is not on offer."""
        shown = [name for name in {*ids, *self.by_name} if self._is_shown(name, ids, offered)]
        return sorted(shown, key=lambda name: (not self.route(name).pinned, name))

    def _is_shown(self, name: str, ids: Collection[str], offered: Collection[str]) -> bool:
        route = self.route(name)
        on_offer = route.upstream_model in offered if route.upstream_model else name in ids
        return on_offer and not route.hidden


def cycle_through(name: str, fallback: str, fallbacks: Mapping[str, str]) -> list[str]:
    """The circle there would be if the fallback of `name` became `fallback`; [] when there is none."""
    way = [name]
    following = fallback
    while following:
        if following in way:
            return [*way, following]
        way.append(following)
        following = fallbacks.get(following, "") if following != name else ""
    return []
