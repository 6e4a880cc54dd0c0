"""The keywords of one schema, without its references and combinations, as a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.translation.schemas.references import REFERENCE_KEYWORDS
from gateway.translation.schemas.shapes import (
    JSON_TYPES,
    KINDS,
    DescribedCondition,
    Facet,
    Located,
    SchemaPosition,
    Shape,
    intersection,
    unique_values,
)
from gateway.translation.schemas.words import as_text, name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_HINTED_VALUE = 200

# Described to the model, in this order.
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
# Keywords whose schema is described in words
_TOLD_KEYWORDS = ("not", "if", "then", "else", "contains", "propertyNames", "contentSchema")
_CONDITIONAL_KEYWORDS = ("if", "then", "else")
# The schema that generators of schemas write as propertyNames of every map
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
# Most schemas have none of these, which their keys show.
COMBINING_KEYWORDS = frozenset(
    {*REFERENCE_KEYWORDS, "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies"}
)
_MEMBER_KEYWORDS = frozenset(
    {"properties", "required", "patternProperties", "additionalProperties", "unevaluatedProperties"}
    | {"items", "prefixItems", "additionalItems", "unevaluatedItems"}
)
_TELLING_KEYWORDS = frozenset({*_TOLD_KEYWORDS, "dependentSchemas", "dependencies"})
CONSTRAINING_KEYWORDS = frozenset(
    {*COMBINING_KEYWORDS, *_MEMBER_KEYWORDS, *_TELLING_KEYWORDS, "enum", "const", "nullable", "$id"}
)
_WORDED_KEYWORDS = frozenset({*HINTED_KEYWORDS, "dependentRequired", "dependencies"})


def own_shape(schema: Mapping[str, Any], position: SchemaPosition) -> Shape:
    """Return the shape that the keywords other than references and combinations describe."""
    description = schema.get("description")
    shape = _typed_shape(schema)
    shape.description = description if isinstance(description, str) else None
    if schema.get("nullable") is True and not shape.is_unconstrained():
        shape.facets["null"] = Facet()
    if not _MEMBER_KEYWORDS.isdisjoint(schema):
        _put_facet(shape, "object", _object_facet(schema, position))
        _put_facet(shape, "array", _array_facet(schema, position))
    shape.hints = list(hints_of(schema))
    if not _TELLING_KEYWORDS.isdisjoint(schema):
        shape.conditions = list(_described_conditions(schema, position))
    return shape


def _put_facet(shape: Shape, kind: str, facet: Facet) -> None:
    if kind in shape.facets and shape.facets[kind].values is None:
        shape.facets[kind] = facet
    elif facet.is_detailed():
        shape.excluded.append((kind, facet))


def _typed_shape(schema: Mapping[str, Any]) -> Shape:
    declared = schema.get("type")
    names = declared if isinstance(declared, list) else [declared]
    kinds = [_type_named(name) for name in names if isinstance(name, str)]
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return _shape_of_values(unique_values(values), kinds)
    if kinds:
        return Shape({kind: Facet() for kind in kinds})
    implied = [kind for kind, keywords in _IMPLYING_KEYWORDS.items() if schema.keys() & set(keywords)]
    return Shape({kind: Facet() for kind in implied}, is_any=not implied, is_implied=bool(implied))


def _type_named(name: str) -> str:
    """Return a JSON type for Google's older upper-case names; ``string`` for a type JSON does not have."""
    return name.lower() if name.lower() in JSON_TYPES else "string"


def _shape_of_values(values: list[Any], kinds: list[str]) -> Shape:
    facets: dict[str, Facet] = {}
    for value in values:
        kind = KINDS[type(value)]
        facet = facets.setdefault(kind, Facet(None if kind == "null" else []))
        if facet.values is not None:
            facet.values.append(value)
    shape = Shape(facets)
    if not kinds:
        return shape
    typed = Shape({kind: Facet() for kind in kinds})
    return intersection(typed, shape)


def _object_facet(schema: Mapping[str, Any], position: SchemaPosition) -> Facet:
    below = position.below()
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


def _array_facet(schema: Mapping[str, Any], position: SchemaPosition) -> Facet:
    below = position.below()
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
        if schema.get(keyword) is not None:
            text = as_text(schema[keyword])
            if len(text) <= MAX_HINTED_VALUE:
                yield f"({keyword}: {text})"


def _described_conditions(
    schema: Mapping[str, Any], position: SchemaPosition
) -> Iterator[DescribedCondition]:
    below = position.below()
    is_conditional = "if" in schema and ("then" in schema or "else" in schema)
    for keyword in _TOLD_KEYWORDS:
        member = schema.get(keyword)
        if keyword in _CONDITIONAL_KEYWORDS and not is_conditional:
            continue
        if keyword == "propertyNames" and member == _TEXT:
            continue
        if isinstance(member, dict) and member:
            yield DescribedCondition(keyword, Located(schema[keyword], below))
    for keyword in ("dependentSchemas", "dependencies"):
        members = schema.get(keyword)
        for name, member in members.items() if isinstance(members, dict) else ():
            if isinstance(member, dict):
                yield DescribedCondition(f"with {name_in_words(name)}", Located(member, below))
