"""What answers the names that clients ask for: the model and its accounts now, and what comes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from accounts.kinds.registry import KINDS
from dashboard.model_rows import what_is_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from dashboard.model_rows import Left, Serving
    from gateway.routing.upstream_model import HeaderMode, UpstreamModel

    ModelsByKind = Mapping[str, UpstreamModel]
    """The models that may be asked, by kind of account."""

MOST_ASKED = 10
ASKED_BY_CLAUDE_CODE = ("opus", "sonnet", "haiku")
"""The kinds of model that Claude Code offers by name; it asks for some version of them."""


class Chosen(NamedTuple):
    """The models that a name stands for: its own, and those of each fallback in turn."""

    models: ModelsByKind
    fallbacks: Sequence[ModelsByKind] = ()
    mapped_as: str = ""
    """The name of the operator's mapping that applies to it; "" without one."""


@dataclass(frozen=True, slots=True)
class Way:
    """A model at one kind of account. `left` is the quota of the accounts that are ready, or of all while
    none is."""

    model: str
    kind: str
    left: Left
    is_fallback: bool = False

    @property
    def provider(self) -> str:
        return KINDS[self.kind].provider


class Name(NamedTuple):
    text: str
    mapped_as: str = ""


@dataclass(frozen=True, slots=True)
class AskedNames:
    """Names that are answered alike."""

    names: Sequence[Name]
    asked: int
    """The number of requests for these names."""
    ways: Sequence[Way]
    """The models of the names and then of their fallbacks, also while their accounts are used up."""
    back_at: datetime | None = None
    """When the first account that serves the names can be used again; None while one can, or when
    unknown."""
    is_offered: bool = True
    """True when an account serves the names, usable or not."""

    @property
    def now(self) -> Way | None:
        """What answers now; None when no account can answer."""
        return next(self._ready(), None)

    @property
    def then(self) -> list[Way]:
        """What answers after that is used up, in this order."""
        return list(self._ready())[1:]

    def _ready(self) -> Iterator[Way]:
        return (way for way in self.ways if way.left.ready)


def asked_names(
    asked: Mapping[str, int],
    chosen: Callable[[str], Chosen],
    accounts: Sequence[Serving],
    header_mode: HeaderMode,
) -> list[AskedNames]:
    """Return Claude Code's names, then the other names that clients ask for, the most frequent first, with
    names that are answered alike beside the first of them. `asked` has the number of requests by name."""
    others = [name for name in asked if name and name not in ASKED_BY_CLAUDE_CODE]
    others.sort(key=lambda name: (-asked[name], name))
    found: list[AskedNames] = []
    for name in (*ASKED_BY_CLAUDE_CODE, *others[:MOST_ASKED]):
        _add(found, answered(name, asked.get(name, 0), chosen(name), accounts, header_mode))
    return found


def answered(
    name: str, asked: int, chosen: Chosen, accounts: Sequence[Serving], header_mode: HeaderMode
) -> AskedNames:
    """Return what answers one name. `asked` is the number of its requests."""
    own = _ways(chosen.models, accounts, header_mode)
    further = [
        way for models in chosen.fallbacks for way in _ways(models, accounts, header_mode, is_fallback=True)
    ]
    returns = [way.left.back_at for way in own if way.left.back_at is not None]
    return AskedNames(
        [Name(name, chosen.mapped_as)],
        asked,
        [*own, *further],
        back_at=min(returns, default=None),
        is_offered=bool(own),
    )


def _add(found: list[AskedNames], more: AskedNames) -> None:
    """Add a name, to the row of names that are answered alike if there is one."""
    for place, one in enumerate(found):
        if more.is_offered and one.ways == more.ways:
            found[place] = replace(one, names=[*one.names, *more.names], asked=one.asked + more.asked)
            return
    found.append(more)


def _ways(
    models: ModelsByKind,
    accounts: Sequence[Serving],
    header_mode: HeaderMode,
    *,
    is_fallback: bool = False,
) -> list[Way]:
    """Return the models that an account serves, first the kind whose ready accounts are asked first."""
    found: list[tuple[tuple[int, int], Way]] = []
    for kind, model in models.items():
        of_kind = [one for one in accounts if one.kind == kind]
        left = what_is_left(model.listed_id, header_mode, of_kind)
        if not left.accounts:
            continue
        names = {one.name for one in left.ready}
        ready = [one for one in of_kind if one.name in names]
        if ready:
            left = what_is_left(model.listed_id, header_mode, ready)
        rank = min((one.rank for one in ready), default=(0, 0))
        found.append((rank, Way(model.listed_id, kind, left, is_fallback)))
    return [way for _, way in sorted(found, key=lambda pair: pair[0])]
