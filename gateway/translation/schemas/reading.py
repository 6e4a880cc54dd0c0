"""A schema's keywords as a shape: references followed, conditions combined, alternatives joined.

A shape is about one place; the schemas of properties and items stay as they are, to be read in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.translation.schemas.references import References, base_of, name_of
from gateway.translation.schemas.shapes import (
    JSON_TYPES,
    SCALARS,
    AnyOf,
    Expression,
    Facet,
    Located,
    Place,
    Shape,
    Told,
    fingerprint,
    intersection,
    union,
    unique_values,
)
from gateway.translation.schemas.words import alternatives_of_values, as_text, name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_DEPTH = 32
# Combinations within combinations and references to references, at one place.
MAX_NESTING = 64
TOO_DEEP = "(nested too deeply to describe)"
TOO_LARGE = "(too large to describe)"
MAX_HINTED_VALUE = 200
MAX_NAMED_VALUES = 5

# A type that is not JSON's is text.
_TYPES = {name: name for name in JSON_TYPES}

# Told to the model in its description, in this order.
HINTED_KEYWORDS = (
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "default",
)
# Keywords whose schema is told in words.
_TOLD_KEYWORDS = ("not", "if", "then", "else", "contains", "propertyNames", "contentSchema")
_CONDITIONAL_KEYWORDS = ("if", "then", "else")
# What generators write as propertyNames of every map
_TEXT = {"type": "string"}
_OBJECT_KEYWORDS = (
    "properties",
    "required",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
)
_IMPLYING_KEYWORDS = {
    "object": _OBJECT_KEYWORDS,
    "array": ("items", "prefixItems", "additionalItems", "contains", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


# Most schemas have none of these: a look at their keys is enough.
_COMBINING_KEYWORDS = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "dependentSchemas",
        "dependencies",
    }
)
_MEMBER_KEYWORDS = frozenset(
    {"properties", "required", "patternProperties", "additionalProperties", "unevaluatedProperties"}
    | {"items", "prefixItems", "additionalItems", "unevaluatedItems"}
)
_TELLING_KEYWORDS = frozenset({*_TOLD_KEYWORDS, "dependentSchemas", "dependencies"})
_SPEAKING_KEYWORDS = frozenset(
    {*_COMBINING_KEYWORDS, *_MEMBER_KEYWORDS, *_TELLING_KEYWORDS, "enum", "const", "nullable", "$id"}
)
_WORDED_KEYWORDS = frozenset({*HINTED_KEYWORDS, "dependentRequired", "dependencies"})


class SchemaTooLarge(Exception):
    """More schemas than this expansion may read."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """How far definitions are put in place: so often on one path, or each of them once in all."""

    max_nodes: int
    max_repeats: int
    is_once_in_all: bool = False
    # Else SchemaTooLarge is raised
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class _Way:
    """How we came to a schema within one shape: targets of references, and how many steps."""

    targets: frozenset[int] = frozenset()
    nesting: int = 0
    # Labels look ahead; only what is declared counts as described
    is_label: bool = False

    def deeper(self) -> _Way:
        return replace(self, nesting=self.nesting + 1)


class Reader:
    def __init__(self, root: object, references: References, expansion: Expansion) -> None:
        self._references = references
        self._expansion = expansion
        self._nodes_left = expansion.max_nodes
        self._described: set[int] = set()

    def is_exhausted(self) -> bool:
        return self._nodes_left <= 0

    def may_look_ahead(self) -> bool:
        """What describes a schema twice must leave enough to describe all others once."""
        return self._nodes_left > self._expansion.max_nodes // 2

    def shape_of(self, expression: Expression) -> Shape:
        shape = self._shape(expression, _Way())
        return shape if shape is not None else Shape({"object": Facet()})

    def plain_scalar(self, expression: Expression) -> Mapping[str, Any] | None:
        """The schema itself, when it says one scalar type and nothing else but words, as most do."""
        if not isinstance(expression, Located) or expression.place.described is not None:
            return None
        schema = expression.schema
        if not isinstance(schema, dict) or not _SPEAKING_KEYWORDS.isdisjoint(schema):
            return None
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in SCALARS or expression.place.depth > MAX_DEPTH:
            return None
        return schema if self._spend() else None

    def looked_up(self, expression: Expression) -> Shape:
        """The shape without its words, for a place that is described elsewhere."""
        return self._shape(expression, _Way(is_label=True)) or Shape(is_any=True)

    def _shape(self, expression: Expression, way: _Way) -> Shape | None:
        """None for a schema that is only a reference to itself."""
        if isinstance(expression, Located):
            return self._shape_of_located(expression.schema, expression.place, way)
        if isinstance(expression, AnyOf):
            return self._union(expression.parts, way)
        return _combined(self._shape(part, way.deeper()) for part in expression.parts)

    def _shape_of_located(self, schema: object, place: Place, way: _Way) -> Shape | None:
        if not isinstance(schema, dict):
            return Shape(is_any=schema is not False)
        if not self._spend():
            return Shape({"object": Facet()}, hints=[TOO_LARGE])
        if place.depth > MAX_DEPTH or way.nesting > MAX_NESTING:
            return Shape({"object": Facet()}, hints=[TOO_DEEP])
        if "$id" in schema:
            place = replace(place, base=base_of(schema, place.base))
        own = own_shape(schema, place)
        if place.described is not None:
            own = _without_members(own, place.described)
        if _COMBINING_KEYWORDS.isdisjoint(schema):
            return own
        referred = list(self._referred(schema, place, way))
        if None in referred and own.says_nothing():
            return None
        conditions = (self._shape(part, way.deeper()) for part in _members(schema, "allOf", place))
        shape = _combined([*referred, own, *conditions])
        for joined in self._unions(schema, place, way):
            description = own.description or joined.description
            shape = _combined([shape, replace(joined, description=description)])
        return shape

    def _spend(self) -> bool:
        self._nodes_left -= 1
        if self._nodes_left < 0 and not self._expansion.is_last:
            raise SchemaTooLarge
        return self._nodes_left >= 0

    # --- references ---

    def _referred(self, schema: Mapping[str, Any], place: Place, way: _Way) -> Iterator[Shape | None]:
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            ref = schema.get(keyword)
            if isinstance(ref, str):
                yield self._target(ref, place, way)

    def _target(self, ref: str, place: Place, way: _Way) -> Shape | None:
        found = self._references.lookup(ref, place.base)
        if found is None:
            return Shape({"object": Facet()}, is_implied=True, hints=[_see(ref)])
        target, base = found
        if not isinstance(target, dict):
            return Shape(is_any=target is not False)
        identity = id(target)
        if identity in way.targets:
            return None
        place = replace(place, base=base, targets=(*place.targets, identity))
        if place.described is None and self._is_described(identity, place, way):
            place = replace(place, described=name_of(ref))
        way = replace(way.deeper(), targets=way.targets | {identity})
        return self._shape_of_located(target, place, way)

    def _is_described(self, identity: int, place: Place, way: _Way) -> bool:
        if self._expansion.is_once_in_all:
            is_described = identity in self._described
            if not way.is_label:
                self._described.add(identity)
            return is_described
        return place.targets.count(identity) > self._expansion.max_repeats

    # --- unions ---

    def _unions(self, schema: Mapping[str, Any], place: Place, way: _Way) -> Iterator[Shape]:
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                yield self._union(_members(schema, keyword, place), way)
        branches = [Located(schema[keyword], place) for keyword in ("then", "else") if keyword in schema]
        if "if" in schema and branches:
            # Their properties are declared; when which of them hold is told in words.
            yield _optional(self._union(branches, way))
        dependent = [
            Located(member, place)
            for keyword in ("dependentSchemas", "dependencies")
            for member in _values(schema, keyword)
            if isinstance(member, dict)
        ]
        if dependent:
            yield _optional(self._union(dependent, way))

    def _union(self, members: Iterable[Expression], way: _Way) -> Shape:
        shapes: list[Shape] = []
        for member in members:
            shape = self._shape(member, way.deeper())
            if shape is not None and (shape.facets or shape.is_any):
                shapes.append(shape)
            if self.is_exhausted():
                break
        if len(shapes) < 2:
            return shapes[0] if shapes else Shape(is_any=True)
        joined = union(shapes)
        if not way.is_label:
            joined.alternatives += self._alternatives(shapes, way)
        if self.is_exhausted():
            joined.hints.append(TOO_LARGE)
        return joined

    def _alternatives(self, shapes: list[Shape], way: _Way) -> list[str]:
        """Which properties go together, and what the alternatives say about themselves."""
        objects = [shape for shape in shapes if _is_open_object(shape)]
        sentences = []
        if len(objects) > 1:
            names = self._telling_names([shape.facets["object"] for shape in objects])
            described = list(dict.fromkeys(self._object_in_words(shape, names, way) for shape in objects))
            if len(described) > 1:
                sentences.append(f"(One of: {' | '.join(described)})")
        if len([shape for shape in shapes if shape.non_null() or shape.is_any]) > 1:
            sentences += [
                f"({_label(shape)}: {shape.description})"
                for shape in shapes
                if shape.description and not (len(objects) > 1 and _is_open_object(shape))
            ]
        return sentences

    def _telling_names(self, facets: list[Facet]) -> frozenset[str]:
        """Properties whose schemas differ from member to member, and so tell the members apart."""
        seen: dict[str, set[Any]] = {}
        for facet in facets:
            for name, expression in facet.properties.items():
                schema = expression.schema if isinstance(expression, Located) else repr(id(expression))
                seen.setdefault(name, set()).add(fingerprint(schema))
        return frozenset(name for name, schemas in seen.items() if len(schemas) > 1)

    def _object_in_words(self, shape: Shape, telling: frozenset[str], way: _Way) -> str:
        facet = shape.facets["object"]
        words = []
        for name in dict.fromkeys([*facet.properties, *facet.required]):
            word = name_in_words(name) + ("" if name in facet.required else "?")
            if name in telling and self.may_look_ahead():
                label = replace(way, targets=frozenset(), nesting=0, is_label=True)
                member = self._shape(facet.properties[name], label) if name in facet.properties else None
                word += f": {_label(member)}" if member is not None else ""
            words.append(word)
        described = "{" + ", ".join(words) + "}"
        return f"{described} ({shape.description})" if shape.description else described


# --- one schema's own keywords ---


def own_shape(schema: Mapping[str, Any], place: Place) -> Shape:
    """What the keywords beside references and combinations say."""
    description = schema.get("description")
    shape = _typed_shape(schema)
    shape.description = description if isinstance(description, str) else None
    if schema.get("nullable") is True and not shape.says_nothing():
        shape.facets["null"] = Facet()
    if not _MEMBER_KEYWORDS.isdisjoint(schema):
        _put_facet(shape, "object", _object_facet(schema, place))
        _put_facet(shape, "array", _array_facet(schema, place))
    shape.hints = list(hints_of(schema))
    if not _TELLING_KEYWORDS.isdisjoint(schema):
        shape.told = list(_told(schema, place))
    return shape


def _put_facet(shape: Shape, kind: str, facet: Facet) -> None:
    if kind in shape.facets and shape.facets[kind].values is None:
        shape.facets[kind] = facet
    elif facet.is_detailed():
        shape.excluded.append((kind, facet))


def _typed_shape(schema: Mapping[str, Any]) -> Shape:
    declared = schema.get("type")
    names = declared if isinstance(declared, list) else [declared]
    kinds = [_TYPES.get(name.lower(), "string") for name in names if isinstance(name, str)]
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return _shape_of_values(unique_values(values), kinds)
    if kinds:
        return Shape({kind: Facet() for kind in kinds})
    implied = [kind for kind, keywords in _IMPLYING_KEYWORDS.items() if schema.keys() & set(keywords)]
    return Shape({kind: Facet() for kind in implied}, is_any=not implied, is_implied=bool(implied))


def _shape_of_values(values: list[Any], kinds: list[str]) -> Shape:
    facets: dict[str, Facet] = {}
    for value in values:
        kind = kind_of(value)
        facet = facets.setdefault(kind, Facet(None if kind == "null" else []))
        if facet.values is not None:
            facet.values.append(value)
    shape = Shape(facets)
    if not kinds:
        return shape
    typed = Shape({kind: Facet() for kind in kinds})
    return intersection(typed, shape)


def kind_of(value: Any) -> str:
    return _KINDS[type(value)]


_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _object_facet(schema: Mapping[str, Any], place: Place) -> Facet:
    below = place.below()
    facet = Facet()
    properties = schema.get("properties")
    if isinstance(properties, dict):
        facet.properties = {name: Located(member, below) for name, member in properties.items()}
    required = schema.get("required")
    if isinstance(required, list):
        facet.required = list(dict.fromkeys(name for name in required if isinstance(name, str)))
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict):
        facet.maps = [(pattern, Located(member, below)) for pattern, member in patterns.items()]
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        other = schema.get(keyword)
        if isinstance(other, dict):
            facet.maps.append(("", Located(other, below)))
        facet.is_map |= other is True
    facet.is_map |= bool(facet.maps)
    return facet


def _array_facet(schema: Mapping[str, Any], place: Place) -> Facet:
    below = place.below()
    items = schema.get("items")
    first = items if isinstance(items, list) else schema.get("prefixItems")
    rest = [items, schema.get("additionalItems"), schema.get("unevaluatedItems")]
    facet = Facet(items=[Located(one, below) for one in rest if isinstance(one, dict)])
    if isinstance(first, list) and first:
        facet.tuples = [tuple(Located(one, below) for one in first)]
    return facet


def hints_of(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False:
        yield "(No extra properties allowed)"
    if _WORDED_KEYWORDS.isdisjoint(schema):
        return
    for keyword in ("dependentRequired", "dependencies"):
        dependent = schema.get(keyword)
        pairs = [
            f"with {name_in_words(name)} also {', '.join(map(as_text, names))}"
            for name, names in (dependent.items() if isinstance(dependent, dict) else ())
            if isinstance(names, list) and names
        ]
        if pairs:
            yield f"({'; '.join(pairs)})"
    for keyword in HINTED_KEYWORDS:
        if keyword in schema:
            text = as_text(schema[keyword])
            if len(text) <= MAX_HINTED_VALUE:
                yield f"({keyword}: {text})"


def _told(schema: Mapping[str, Any], place: Place) -> Iterator[Told]:
    below = place.below()
    is_conditional = "if" in schema and ("then" in schema or "else" in schema)
    for keyword in _TOLD_KEYWORDS:
        member = schema.get(keyword)
        if keyword in _CONDITIONAL_KEYWORDS and not is_conditional:
            continue
        if keyword == "propertyNames" and member == _TEXT:
            continue
        if isinstance(member, dict) and member:
            yield Told(keyword, Located(schema[keyword], below))
    for keyword in ("dependentSchemas", "dependencies"):
        members = schema.get(keyword)
        for name, member in members.items() if isinstance(members, dict) else ():
            if isinstance(member, dict):
                yield Told(f"with {name_in_words(name)}", Located(member, below))


# --- small things ---


def _combined(shapes: Iterable[Shape | None]) -> Shape | None:
    """The intersection of all, in pairs, so that it nests no deeper than it must."""
    combined = [shape for shape in shapes if shape is not None]
    while len(combined) > 1:
        pairs = zip(combined[::2], combined[1::2], strict=False)
        left_over = combined[-1:] if len(combined) % 2 else []
        combined = [*(intersection(first, second) for first, second in pairs), *left_over]
    return combined[0] if combined else None


def _without_members(shape: Shape, name: str) -> Shape:
    """An object that was described before: open, with its name. Items and scalars stay."""
    facets = {
        kind: Facet() if kind == "object" and facet.values is None else facet
        for kind, facet in shape.facets.items()
    }
    return replace(shape, facets=facets, told=[], hints=[*shape.hints, f"(see {name})"], excluded=[])


def _optional(shape: Shape) -> Shape:
    """Only what it declares, since it need not hold."""
    facet = shape.facets.get("object")
    if facet is None:
        return Shape(is_any=True, told=shape.told, excluded=shape.excluded)
    facet = replace(facet, required=[])
    return Shape({"object": facet}, is_implied=True, told=shape.told, excluded=shape.excluded)


def _members(schema: Mapping[str, Any], keyword: str, place: Place) -> Iterator[Expression]:
    members = schema.get(keyword)
    return (Located(member, place) for member in (members if isinstance(members, list) else ()))


def _values(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    members = schema.get(keyword)
    return list(members.values()) if isinstance(members, dict) else []


def _is_open_object(shape: Shape) -> bool:
    facet = shape.facets.get("object")
    return facet is not None and facet.values is None


def _label(shape: Shape) -> str:
    """A shape in a word or two."""
    labels = []
    for kind, facet in shape.facets.items():
        is_short = facet.values is not None and len(facet.values) <= MAX_NAMED_VALUES
        labels.append(alternatives_of_values(facet.values or ()) if is_short else kind)
    return " | ".join([*labels, "any"] if shape.is_any else labels)


def _see(ref: str) -> str:
    return f"(see {name_of(ref)})"
