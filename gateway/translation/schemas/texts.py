"""The texts in a call that stand for other values, by what the schema allows and what was declared."""

from __future__ import annotations

from typing import Any

from gateway.translation.schemas.restoration import Restoration
from gateway.translation.schemas.shapes import CONTAINERS, JSON_TYPES, SCALARS, Shape, unique_values
from gateway.translation.schemas.words import as_text

ANY_KINDS = frozenset(JSON_TYPES)
# How texts are read for a schema of a single type, by type
SCALAR_READINGS = {
    kind: Restoration(reads_text_as=frozenset() if kind == "string" else frozenset({kind}))
    for kind in SCALARS
}


def reading_of(shape: Shape, declared: str, *, is_told: bool = False) -> Restoration:
    """Return how texts in a call are read. ``declared`` is Google's type; ``is_told``: it was only described,
    in words."""
    facets = shape.non_null()
    if not facets and not shape.is_any:
        return Restoration(reads_text_as=frozenset({"null"}))
    if shape.is_any or shape.allows_everything():
        asks_for_text = declared == "STRING" and not is_told
        return Restoration(reads_text_as=ANY_KINDS if asks_for_text else frozenset())
    if shape.values() is not None and scalar_of_values(shape) is None:
        return Restoration(enum_values=_values_of_texts(shape))
    if "string" not in facets:
        return Restoration(reads_text_as=frozenset(shape.facets))
    if facets["string"].values is not None:
        texts = frozenset(facets["string"].values)
        return Restoration(reads_text_as=frozenset(shape.facets) - {"string"}, texts=texts)
    if declared == "STRING" and not is_told:
        # A text is allowed as it is; but an object or an array could only be written as one.
        return Restoration(reads_text_as=frozenset(CONTAINERS) & facets.keys())
    return Restoration()


def scalar_of_values(shape: Shape) -> str | None:
    """Return Google's type of an enum whose members are all numbers or all booleans."""
    kinds = shape.non_null().keys()
    if kinds == {"boolean"}:
        return "BOOLEAN"
    if kinds <= {"integer", "number"}:
        return "NUMBER" if "number" in kinds else "INTEGER"
    return None


def _values_of_texts(shape: Shape) -> dict[str, Any]:
    """Return the values that the texts of an enum stand for, where that is not a text."""
    values = unique_values(shape.values() or ())
    strings = {value for value in values if isinstance(value, str)}
    others = [value for value in values if not isinstance(value, str)]
    if "null" in shape.facets:
        others.append(None)
    return {as_text(value): value for value in others if as_text(value) not in strings}
