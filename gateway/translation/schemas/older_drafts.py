"""Schemas of older or other dialects, rewritten to the dialect that answers are validated with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.translation.schemas.references import REFERENCE_KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

_SCHEMAS_BY_NAME = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_SCHEMAS = frozenset(
    {
        *("allOf", "anyOf", "oneOf"),
        *("prefixItems", "items", "additionalItems", "unevaluatedItems", "contains"),
        *("additionalProperties", "unevaluatedProperties", "propertyNames", "contentSchema"),
        *("not", "if", "then", "else"),
    }
)
# Keywords that may exclude null beside a type
_CONDITIONS = (*REFERENCE_KEYWORDS, "allOf", "anyOf", "oneOf", "not", "if", "then", "else")


def with_null_types(schema: Any) -> Any:
    """Rewrite ``nullable: true`` of OpenAPI 3.0 as a type: JSON Schema ignores the keyword."""
    return _document(schema, _with_null_type)


def without_unreadable(schema: Any, is_readable: Callable[[Schema], bool]) -> Any:
    """Drop each ``pattern`` and ``$schema`` that ``is_readable`` rejects: patterns are written for JavaScript
    or Python, whose syntaxes differ."""
    return _document(schema, lambda one: _without_unreadable(one, is_readable))


def _document(schema: Any, rewrite: Callable[[Schema], Schema]) -> Any:
    """Rewrite a document; one that is nested too deeply for recursion is returned unchanged."""
    try:
        return _rewritten(schema, rewrite)
    except RecursionError:
        return schema


def _rewritten(schema: Any, rewrite: Callable[[Schema], Schema]) -> Any:
    """Rewrite every subschema, innermost first; members of enum, const and examples are data, not schemas."""
    if not isinstance(schema, dict):
        return schema
    return rewrite({keyword: _member(keyword, member, rewrite) for keyword, member in schema.items()})


def _member(keyword: str, member: Any, rewrite: Callable[[Schema], Schema]) -> Any:
    if keyword in _SCHEMAS_BY_NAME and isinstance(member, dict):
        return {name: _rewritten(below, rewrite) for name, below in member.items()}
    if keyword in _SCHEMAS and isinstance(member, list):
        return [_rewritten(below, rewrite) for below in member]
    return _rewritten(member, rewrite) if keyword in _SCHEMAS else member


def _with_null_type(schema: Schema) -> Schema:
    if schema.get("nullable") is not True:
        return schema
    conditions = {keyword: schema[keyword] for keyword in _CONDITIONS if keyword in schema}
    rest = {keyword: member for keyword, member in schema.items() if keyword not in {*conditions, "nullable"}}
    if isinstance(rest.get("type"), (str, list)):
        kinds = [rest["type"]] if isinstance(rest["type"], str) else rest["type"]
        rest["type"] = [*kinds, *(["null"] if "null" not in kinds else [])]
    if "const" in rest:
        rest["enum"] = [rest.pop("const")]
    if isinstance(rest.get("enum"), list) and None not in rest["enum"]:
        rest["enum"] = [*rest["enum"], None]
    return {**rest, "anyOf": [conditions, {"type": "null"}]} if conditions else rest


def _without_unreadable(schema: Schema, is_readable: Callable[[Schema], bool]) -> Schema:
    kept = dict(schema)
    for keyword in ("pattern", "$schema"):
        if isinstance(kept.get(keyword), str) and not is_readable({keyword: kept[keyword]}):
            del kept[keyword]
    patterns = kept.get("patternProperties")
    if not isinstance(patterns, dict):
        return kept
    kept["patternProperties"] = {
        pattern: below for pattern, below in patterns.items() if is_readable({"pattern": pattern})
    }
    if len(kept["patternProperties"]) < len(patterns):
        # Without the pattern it is unknown which names are additional.
        kept.pop("additionalProperties", None)
        kept.pop("unevaluatedProperties", None)
    return kept
