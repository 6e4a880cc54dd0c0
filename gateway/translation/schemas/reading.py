"""A schema as one shape: references followed, conditions combined, alternatives joined.

A shape describes one position; the schemas of properties and items are kept as expressions, to be read later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.translation.schemas.keywords import COMBINING_KEYWORDS, CONSTRAINING_KEYWORDS, own_shape
from gateway.translation.schemas.references import REFERENCE_KEYWORDS, References, base_of, name_of
from gateway.translation.schemas.shapes import (
    SCALARS,
    AnyOf,
    Expression,
    Facet,
    Located,
    SchemaPosition,
    Shape,
    fingerprint,
    intersection,
    union,
)
from gateway.translation.schemas.words import alternatives_of_values, name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_DEPTH = 32
# Limit for combinations within combinations and references to references, at one position.
MAX_NESTING = 64
TOO_DEEP = "(nested too deeply to describe)"
TOO_LARGE = "(too large to describe)"
MAX_NAMED_VALUES = 5


class SchemaTooLarge(Exception):
    """Raised when an expansion would read more schemas than it may."""


class BudgetSpent(Exception):
    """Raised when more schemas are read than a strict budget allows."""


@dataclass(slots=True)
class NodeBudget:
    """The number of schemas that may be read for all tools of a request together. A budget that is not
    ``is_strict`` leaves each tool the schemas it has itself, so that only repeated reading is cut."""

    left: int
    is_strict: bool = False

    def spend(self) -> None:
        """Count one schema. Raises BudgetSpent."""
        self.left -= 1
        if self.left < 0 and self.is_strict:
            raise BudgetSpent


@dataclass(frozen=True, slots=True)
class Expansion:
    """How references are replaced by definitions: each up to ``max_repeats`` times on one path, or once in
    all."""

    max_nodes: int
    max_repeats: int
    is_once_in_all: bool = False
    # Else SchemaTooLarge is raised.
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class _ReadingPath:
    """The path to a schema within one shape: targets of references, and how many steps."""

    targets: frozenset[int] = frozenset()
    nesting: int = 0
    # Labels look ahead and do not mark a definition as described.
    is_label: bool = False

    def deeper(self) -> _ReadingPath:
        return replace(self, nesting=self.nesting + 1)


class Reader:
    def __init__(self, references: References, expansion: Expansion, budget: NodeBudget) -> None:
        self._references = references
        self._expansion = expansion
        self._budget = budget
        self._nodes_left = expansion.max_nodes
        self._described: set[int] = set()
        self._is_cut = False

    def is_exhausted(self) -> bool:
        return self._nodes_left <= 0

    def is_cut(self) -> bool:
        """Return True when a part of the schema was left out: too deep, too large, recursive, or missing."""
        return self._is_cut or self.is_exhausted()

    def may_look_ahead(self) -> bool:
        """Return True while a schema may be described a second time, leaving half of the nodes to read all
        others once."""
        return self._nodes_left > self._expansion.max_nodes // 2

    def shape_of(self, expression: Expression) -> Shape:
        shape = self._shape(expression, _ReadingPath())
        return shape if shape is not None else Shape({"object": Facet()})

    def plain_scalar(self, expression: Expression) -> Mapping[str, Any] | None:
        """Return the schema itself when it has one scalar type and no constraints, as most do."""
        if not isinstance(expression, Located) or expression.position.described is not None:
            return None
        schema = expression.schema
        if not isinstance(schema, dict) or not CONSTRAINING_KEYWORDS.isdisjoint(schema):
            return None
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in SCALARS or expression.position.depth > MAX_DEPTH:
            return None
        return schema if self._spend() else None

    def looked_up(self, expression: Expression) -> Shape:
        """Return the shape without its descriptions, for a position that is described elsewhere."""
        return self._shape(expression, _ReadingPath(is_label=True)) or Shape(is_any=True)

    def _shape(self, expression: Expression, path: _ReadingPath) -> Shape | None:
        """Return the shape; None for a schema that is only a reference to itself."""
        if isinstance(expression, Located):
            return self._shape_of_located(expression.schema, expression.position, path)
        if isinstance(expression, AnyOf):
            return self._union(expression.parts, path)
        return _combined(self._shape(part, path.deeper()) for part in expression.parts)

    def _shape_of_located(self, schema: object, position: SchemaPosition, path: _ReadingPath) -> Shape | None:
        if not isinstance(schema, dict):
            return Shape(is_any=schema is not False)
        if not self._spend():
            return Shape({"object": Facet()}, hints=[TOO_LARGE])
        if position.depth > MAX_DEPTH or path.nesting > MAX_NESTING:
            self._is_cut = True
            return Shape({"object": Facet()}, hints=[TOO_DEEP])
        if "$id" in schema:
            position = replace(position, base=base_of(schema, position.base))
        own = own_shape(schema, position)
        if position.described is not None:
            self._is_cut = True
            own = _without_members(own, position.described)
        if COMBINING_KEYWORDS.isdisjoint(schema):
            return own
        referred = list(self._referred(schema, position, path))
        if None in referred and own.is_unconstrained():
            return None
        conditions = (self._shape(part, path.deeper()) for part in _members(schema, "allOf", position))
        shape = _combined([*referred, own, *conditions])
        for joined in self._unions(schema, position, path):
            description = own.description or joined.description
            shape = _combined([shape, replace(joined, description=description)])
        return shape

    def _spend(self) -> bool:
        self._budget.spend()
        self._nodes_left -= 1
        if self._nodes_left < 0 and not self._expansion.is_last:
            raise SchemaTooLarge
        return self._nodes_left >= 0

    # --- references ---

    def _referred(
        self, schema: Mapping[str, Any], position: SchemaPosition, path: _ReadingPath
    ) -> Iterator[Shape | None]:
        for keyword in REFERENCE_KEYWORDS:
            ref = schema.get(keyword)
            if isinstance(ref, str):
                yield self._target(ref, position, path)

    def _target(self, ref: str, position: SchemaPosition, path: _ReadingPath) -> Shape | None:
        found = self._references.lookup(ref, position.base)
        if found is None:
            self._is_cut = True
            return Shape({"object": Facet()}, is_implied=True, hints=[f"(see {name_of(ref)})"])
        target, base = found
        if not isinstance(target, dict):
            return Shape(is_any=target is not False)
        identity = id(target)
        if identity in path.targets:
            return None
        position = replace(position, base=base, targets=(*position.targets, identity))
        if position.described is None and self._is_described(identity, position, path):
            position = replace(position, described=name_of(ref))
        path = replace(path.deeper(), targets=path.targets | {identity})
        return self._shape_of_located(target, position, path)

    def _is_described(self, identity: int, position: SchemaPosition, path: _ReadingPath) -> bool:
        if self._expansion.is_once_in_all:
            is_described = identity in self._described
            if not path.is_label:
                self._described.add(identity)
            return is_described
        return position.targets.count(identity) > self._expansion.max_repeats

    # --- unions ---

    def _unions(
        self, schema: Mapping[str, Any], position: SchemaPosition, path: _ReadingPath
    ) -> Iterator[Shape]:
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                yield self._union(_members(schema, keyword, position), path)
        branches = [Located(schema[keyword], position) for keyword in ("then", "else") if keyword in schema]
        if "if" in schema and branches:
            # Their properties are declared; which of them apply when is described in words.
            yield _optional(self._union(branches, path))
        dependent = [
            Located(member, position)
            for keyword in ("dependentSchemas", "dependencies")
            for member in _values(schema, keyword)
            if isinstance(member, dict)
        ]
        if dependent:
            yield _optional(self._union(dependent, path))

    def _union(self, members: Iterable[Expression], path: _ReadingPath) -> Shape:
        shapes: list[Shape] = []
        for member in members:
            shape = self._shape(member, path.deeper())
            if shape is not None and (shape.facets or shape.is_any):
                shapes.append(shape)
            if self.is_exhausted():
                break
        if len(shapes) < 2:
            return shapes[0] if shapes else Shape(is_any=True)
        joined = union(shapes)
        if not path.is_label:
            joined.alternatives += self._alternatives(shapes, path)
        if self.is_exhausted():
            joined.hints.append(TOO_LARGE)
        return joined

    def _alternatives(self, shapes: list[Shape], path: _ReadingPath) -> list[str]:
        """Return sentences with the properties of each alternative and the alternatives' own descriptions."""
        objects = [shape for shape in shapes if _is_open_object(shape)]
        sentences = []
        if len(objects) > 1:
            names = self._identifying_names([shape.facets["object"] for shape in objects])
            described = list(dict.fromkeys(self._object_in_words(shape, names, path) for shape in objects))
            if len(described) > 1:
                sentences.append(f"(One of: {' | '.join(described)})")
        if len([shape for shape in shapes if shape.non_null() or shape.is_any]) > 1:
            sentences += [
                f"({_label(shape)}: {shape.description})"
                for shape in shapes
                if shape.description and not (len(objects) > 1 and _is_open_object(shape))
            ]
        return sentences

    def _identifying_names(self, facets: list[Facet]) -> frozenset[str]:
        """Return the properties whose schemas differ between members, and so identify a member."""
        seen: dict[str, set[Any]] = {}
        for facet in facets:
            for name, expression in facet.properties.items():
                schema = expression.schema if isinstance(expression, Located) else repr(id(expression))
                seen.setdefault(name, set()).add(fingerprint(schema))
        return frozenset(name for name, schemas in seen.items() if len(schemas) > 1)

    def _object_in_words(self, shape: Shape, identifying: frozenset[str], path: _ReadingPath) -> str:
        facet = shape.facets["object"]
        words = []
        for name in dict.fromkeys([*facet.properties, *facet.required]):
            word = name_in_words(name) + ("" if name in facet.required else "?")
            if name in identifying and self.may_look_ahead():
                label = replace(path, targets=frozenset(), nesting=0, is_label=True)
                member = self._shape(facet.properties[name], label) if name in facet.properties else None
                word += f": {_label(member)}" if member is not None else ""
            words.append(word)
        described = "{" + ", ".join(words) + "}"
        return f"{described} ({shape.description})" if shape.description else described


# --- small things ---


def _combined(shapes: Iterable[Shape | None]) -> Shape | None:
    """Return the intersection of all, formed in pairs to keep the nesting low."""
    combined = [shape for shape in shapes if shape is not None]
    while len(combined) > 1:
        pairs = zip(combined[::2], combined[1::2], strict=False)
        left_over = combined[-1:] if len(combined) % 2 else []
        combined = [*(intersection(first, second) for first, second in pairs), *left_over]
    return combined[0] if combined else None


def _without_members(shape: Shape, name: str) -> Shape:
    """Return an object described before as an open one that refers to it by name. Items and scalars stay."""
    facets = {
        kind: Facet() if kind == "object" and facet.values is None else facet
        for kind, facet in shape.facets.items()
    }
    return replace(shape, facets=facets, conditions=[], hints=[*shape.hints, f"(see {name})"], excluded=[])


def _optional(shape: Shape) -> Shape:
    """Return only a shape's properties and conditions in words, since they need not hold."""
    facet = shape.facets.get("object")
    if facet is None:
        return Shape(is_any=True, conditions=shape.conditions, excluded=shape.excluded)
    facet = replace(facet, required=[])
    return Shape({"object": facet}, is_implied=True, conditions=shape.conditions, excluded=shape.excluded)


def _members(schema: Mapping[str, Any], keyword: str, position: SchemaPosition) -> Iterator[Expression]:
    members = schema.get(keyword)
    return (Located(member, position) for member in (members if isinstance(members, list) else ()))


def _values(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    members = schema.get(keyword)
    return list(members.values()) if isinstance(members, dict) else []


def _is_open_object(shape: Shape) -> bool:
    facet = shape.facets.get("object")
    return facet is not None and facet.values is None


def _label(shape: Shape) -> str:
    """Name a shape's types in a word or two."""
    labels = []
    for kind, facet in shape.facets.items():
        is_short = facet.values is not None and len(facet.values) <= MAX_NAMED_VALUES
        labels.append(alternatives_of_values(facet.values or ()) if is_short else kind)
    return " | ".join([*labels, "any"] if shape.is_any else labels)
