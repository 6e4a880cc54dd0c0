"""What a schema allows, type by type, so that alternatives can be joined and conditions combined.

A shape has one facet for each JSON type that is allowed. The union of two shapes allows what either allows,
the intersection what both allow; neither drops a name or a value: what no longer fits is kept separately, to
be described in words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    float: "number",
    int: "integer",
    bool: "boolean",
    type(None): "null",
}
"""The JSON type of a parsed value, by its Python type."""
JSON_TYPES = tuple(KINDS.values())
CONTAINERS = ("object", "array")
SCALARS = ("string", "number", "integer", "boolean")
_EVERYTHING = frozenset({"object", "array", "string", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class SchemaPosition:
    """A position in the document: base URI, depth, and the targets of the references on the path."""

    base: str = ""
    depth: int = 0
    targets: tuple[int, ...] = ()
    # Name of a definition that was described before and is not described again
    described: str | None = None

    def below(self) -> SchemaPosition:
        return SchemaPosition(self.base, self.depth + 1, self.targets, self.described)


@dataclass(frozen=True, slots=True)
class Located:
    """A schema as the client wrote it, and its position."""

    schema: Any
    position: SchemaPosition


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Expression, ...]


Expression = Located | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class DescribedCondition:
    """A condition that Google's schema has no field for, described in words after its label."""

    label: str
    expression: Expression


@dataclass(slots=True)
class Facet:
    """One type of a shape. ``values``: the only ones allowed; None for all of the type."""

    values: list[Any] | None = None
    # Fields of an object
    properties: dict[str, Expression] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    # Schemas of values under other names, with the pattern of the names or ""
    maps: list[tuple[str, Expression]] = field(default_factory=list)
    is_map: bool = False
    # The objects that were joined to this one
    members: list[Facet] = field(default_factory=list)
    # Fields of an array
    items: list[Expression] = field(default_factory=list)
    tuples: list[tuple[Expression, ...]] = field(default_factory=list)

    def is_detailed(self) -> bool:
        return bool(
            self.values is not None
            or self.properties
            or self.required
            or self.maps
            or self.items
            or self.tuples
        )


@dataclass(slots=True)
class Shape:
    """The facets of a schema, by JSON type, in the order in which the types were named."""

    facets: dict[str, Facet] = field(default_factory=dict)
    # Any other type is allowed as well
    is_any: bool = False
    # The types were guessed from the keywords
    is_implied: bool = False
    description: str | None = None
    # Sentences: about alternatives, about constraints
    alternatives: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    conditions: list[DescribedCondition] = field(default_factory=list)
    # Facets and values excluded by other conditions
    excluded: list[tuple[str, Facet]] = field(default_factory=list)

    def non_null(self) -> dict[str, Facet]:
        if "null" not in self.facets:
            return self.facets
        return {kind: facet for kind, facet in self.facets.items() if kind != "null"}

    def values(self) -> list[Any] | None:
        """Return all values allowed beside null; None when they cannot be listed."""
        facets = self.non_null().values()
        if self.is_any or any(facet.values is None for facet in facets):
            return None
        return [value for facet in facets for value in facet.values or ()]

    def allows_everything(self) -> bool:
        if len(self.facets) < len(_EVERYTHING):
            return False
        kinds = {kind for kind, facet in self.facets.items() if facet.values is None}
        return kinds | {"number"} >= _EVERYTHING and not kinds.isdisjoint({"number", "integer"})

    def is_unconstrained(self) -> bool:
        return self.is_any and not self.facets


# --- union ---


def union(shapes: list[Shape]) -> Shape:
    """Return what any of the shapes allows. Describing which properties go together is the caller's task."""
    joined = Shape(is_implied=all(shape.is_implied for shape in shapes))
    by_kind: dict[str, list[Facet]] = {}
    for shape in shapes:
        for kind, facet in shape.facets.items():
            by_kind.setdefault(kind, []).append(facet)
        joined.is_any |= shape.is_any
        _add_words(joined, shape)
    for kind, facets in by_kind.items():
        joined.facets[kind] = facets[0] if len(facets) == 1 else _union_of_facets(kind, facets, joined)
    described = [shape for shape in shapes if shape.facets.keys() != {"null"} or shape.is_any]
    if len(described) == 1:
        joined.description = described[0].description
    return joined


def _union_of_facets(kind: str, facets: list[Facet], joined: Shape) -> Facet:
    closed = [facet.values for facet in facets if facet.values is not None]
    open_facets = [facet for facet in facets if facet.values is None]
    values = unique_values(value for some in closed for value in some)
    if not open_facets:
        return Facet(values)
    if values:
        joined.excluded.append((kind, Facet(values)))
    if len(open_facets) == 1:
        return open_facets[0]
    return Facet(
        properties=_union_of_properties(open_facets),
        required=[
            name for name in open_facets[0].required if all(name in one.required for one in open_facets)
        ],
        maps=unique_maps(entry for facet in open_facets for entry in facet.maps),
        is_map=any(facet.is_map for facet in open_facets),
        members=[member for facet in open_facets for member in facet.members or [facet]],
        items=unique(item for facet in open_facets for item in facet.items),
        tuples=[one for facet in open_facets for one in facet.tuples],
    )


def _union_of_properties(facets: list[Facet]) -> dict[str, Expression]:
    by_name: dict[str, list[Expression]] = {}
    for facet in facets:
        for name, expression in facet.properties.items():
            by_name.setdefault(name, []).append(expression)
    return {name: any_of(expressions) for name, expressions in by_name.items()}


# --- intersection ---


def intersection(first: Shape, second: Shape) -> Shape:
    """Return the intersection of both shapes; the second's description wins."""
    description = first.description if second.description is None else second.description
    both = Shape(is_any=first.is_any and second.is_any, description=description)
    _add_words(both, first)
    _add_words(both, second)
    if first.is_unconstrained() or second.is_unconstrained():
        other = second if first.is_unconstrained() else first
        both.facets, both.is_implied = other.facets, other.is_implied
        return both
    if first.is_implied and second.is_implied:
        both.is_implied = True
        both.facets = {**_narrowed(first, second, both), **_missing(first, second), **_missing(second, first)}
        return both
    both.facets = _narrowed(first, second, both)
    if first.is_any:
        both.facets.update(_missing(second, first))
    if second.is_any:
        both.facets.update(_missing(first, second))
    if not both.facets and not both.is_any:
        # Nothing satisfies both: an error of the schema's author. The more detailed one is used.
        both.facets = dict(max(first, second, key=_detail).facets)
    _exclude_missing(first, both)
    _exclude_missing(second, both)
    return both


def _narrowed(first: Shape, second: Shape, both: Shape) -> dict[str, Facet]:
    narrowed: dict[str, Facet] = {}
    for kind, facet in first.facets.items():
        for other in _matching_kinds(kind, second):
            narrower = "integer" if "integer" in (kind, other) else kind
            narrowed[narrower] = _intersection_of_facets(narrower, facet, second.facets[other], both)
    if first.is_implied and not second.is_implied:
        narrowed = {kind: narrowed.get(kind, facet) for kind, facet in second.facets.items()}
    elif second.is_implied and not first.is_implied:
        narrowed = {kind: narrowed.get(kind, facet) for kind, facet in first.facets.items()}
    return narrowed


def _matching_kinds(kind: str, shape: Shape) -> list[str]:
    if kind in shape.facets:
        return [kind]
    other = {"integer": "number", "number": "integer"}.get(kind)
    return [other] if other in shape.facets and other is not None else []


def _missing(shape: Shape, other: Shape) -> dict[str, Facet]:
    return {kind: facet for kind, facet in shape.facets.items() if not _matching_kinds(kind, other)}


def _exclude_missing(shape: Shape, both: Shape) -> None:
    for kind, facet in shape.facets.items():
        if facet.is_detailed() and not _matching_kinds(kind, both):
            both.excluded.append((kind, facet))


def _detail(shape: Shape) -> int:
    return sum(facet.is_detailed() for facet in shape.facets.values())


def _intersection_of_facets(kind: str, first: Facet, second: Facet, both: Shape) -> Facet:
    if first.values is not None or second.values is not None:
        return _intersection_of_values(kind, first, second, both)
    properties = dict(first.properties)
    for name, expression in second.properties.items():
        properties[name] = all_of([properties[name], expression]) if name in properties else expression
    return Facet(
        properties=properties,
        required=list(dict.fromkeys(first.required + second.required)),
        maps=unique_maps([*first.maps, *second.maps]),
        is_map=first.is_map or second.is_map,
        members=first.members + second.members,
        items=_intersection_of_items(first.items, second.items),
        tuples=first.tuples + second.tuples,
    )


def _intersection_of_values(kind: str, first: Facet, second: Facet, both: Shape) -> Facet:
    if first.values is None or second.values is None:
        closed, opened = (second, first) if first.values is None else (first, second)
        if opened.is_detailed():
            both.excluded.append((kind, opened))
        return closed
    in_second = set(map(fingerprint, second.values))
    common = [value for value in first.values if fingerprint(value) in in_second]
    in_common = set(map(fingerprint, common))
    others = [value for value in [*first.values, *second.values] if fingerprint(value) not in in_common]
    if others:
        both.excluded.append((kind, Facet(unique_values(others))))
    return Facet(common or first.values)


def _intersection_of_items(first: list[Expression], second: list[Expression]) -> list[Expression]:
    if not first or not second:
        return first or second
    return [all_of([any_of(first), any_of(second)])]


def _add_words(shape: Shape, other: Shape) -> None:
    shape.alternatives += other.alternatives
    shape.hints += other.hints
    shape.conditions += other.conditions
    shape.excluded += other.excluded


# --- expressions ---


def any_of(parts: Iterable[Expression]) -> Expression:
    distinct = unique(parts)
    return distinct[0] if len(distinct) == 1 else AnyOf(tuple(distinct))


def all_of(parts: Iterable[Expression]) -> Expression:
    distinct = unique(parts)
    return distinct[0] if len(distinct) == 1 else AllOf(tuple(distinct))


def unique(expressions: Iterable[Expression]) -> list[Expression]:
    expressions = list(expressions)
    if len(expressions) < 2:
        return expressions
    return list({_key(expression): expression for expression in expressions}.values())


def unique_maps(entries: Iterable[tuple[str, Expression]]) -> list[tuple[str, Expression]]:
    return list({(pattern, _key(one)): (pattern, one) for pattern, one in entries}.values())


def unique_values(values: Iterable[Any]) -> list[Any]:
    return list({fingerprint(value): value for value in values}.values())


def _key(expression: Expression) -> Any:
    if isinstance(expression, Located):
        position = expression.position
        return fingerprint(expression.schema), position.base, position.described
    return type(expression), tuple(map(_key, expression.parts))


def fingerprint(value: Any) -> bytes | int | str:
    """Return a value that is equal for equal JSON; ``1``, ``1.0`` and ``true`` differ.

    A text, the most frequent member of an enum, is its own fingerprint.
    """
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value)
    except TypeError:  # deeper than orjson writes
        return id(value)
