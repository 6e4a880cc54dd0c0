"""Names that an imported configuration file gives to models, under which its clients go on asking for them.

Each name becomes a route. Routes belong to the gateway, which sets `keeper`: accounts may not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LONGEST_NAME = 200
MOST_NAMES = 200
MOST_SHOWN = 3


class Keeper(Protocol):
    def taken(self, names: Collection[str]) -> set[str]:
        """Return the names that have a route already."""

    def keep(self, names: Mapping[str, str]) -> None:
        """Store a route from each name to its model."""


class _NoKeeper:
    def taken(self, names: Collection[str]) -> set[str]:
        return set(names)

    def keep(self, names: Mapping[str, str]) -> None:
        pass


keeper: Keeper = _NoKeeper()


def usable(names: Mapping[object, object]) -> dict[str, str]:
    """Return the models by the names that clients use, without names that are the model's own or patterns."""
    texts = ((str(name).strip(), str(model).strip()) for name, model in names.items())
    found = {name: model for name, model in texts if name != model and _is_name(name) and _is_name(model)}
    return dict(list(found.items())[:MOST_NAMES])


def new_names(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names that have no route yet, with their models. Existing routes stay as they are."""
    taken = keeper.taken(names) if names else ()
    return {name: model for name, model in names.items() if name not in taken}


def in_words(names: Mapping[str, str]) -> str:
    """Return which model each name means, as a sentence without its full stop; "" when there are no names."""
    if not names:
        return ""
    shown = [f"{name} means {model}" for name, model in list(names.items())[:MOST_SHOWN]]
    more = [f"{len(names) - MOST_SHOWN} more"] if len(names) > MOST_SHOWN else []
    *others, last = [truncate(text, 120) for text in (*shown, *more)]
    return f"For clients {', '.join(others)} and {last}" if others else f"For clients {last}"


def _is_name(text: str) -> bool:
    return bool(text) and len(text) <= LONGEST_NAME and text.isprintable() and "*" not in text
