"""What a JSON Schema names, and whether Google is told of it: an oracle that shares no code with ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS_BY_NAME = ("properties", "patternProperties", "dependentSchemas")
LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMAS = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")


@dataclass
class Told:
    names: set[str]
    values: set[str]
    words: str
    is_nullable: bool

    def has(self, named: Any) -> bool:
        """Whether a name or value is a property, a member of an enum, or a whole word of a description."""
        if named is None:
            return self.is_nullable or "null" in self.values or self._is_said("null")
        if isinstance(named, str):
            known = named in self.names or named in self.values
            written = orjson.dumps(named).decode()
            blank = named == "" and "(may be empty)" in self.words
            return known or blank or self._is_said(written) or (named != "" and self._is_said(named))
        text = orjson.dumps(named).decode()
        return text in self.values or self._is_said(text)

    def _is_said(self, text: str) -> bool:
        start = r"(?<!\w)" if re.match(r"\w", text) else ""
        end = r"(?!\w)" if re.search(r"\w$", text) else ""
        return re.search(start + re.escape(text) + end, self.words) is not None


def what_google_is_told(declared: dict[str, Any]) -> Told:
    told = Told(set(), set(), "", is_nullable=False)
    to_visit = [declared]
    descriptions = []
    while to_visit:
        schema = to_visit.pop()
        descriptions.append(schema.get("description", ""))
        told.values.update(schema.get("enum", ()))
        told.names.update(schema.get("properties", ()))
        told.is_nullable |= schema.get("nullable", False)
        to_visit += schema.get("properties", {}).values()
        to_visit += [schema["items"]] if "items" in schema else []
    told.words = "\n".join(descriptions)
    return told


def values_and_names(schema: dict[str, Any]) -> list[Any]:
    """Property names, constants and enum members, of all that can be reached from the top."""
    resource = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource("", resource).crawl().resolver()
    found: dict[bytes, Any] = {}
    seen: set[int] = set()
    to_visit: list[tuple[Any, Any]] = [(schema, resolver)]
    while to_visit:
        one, resolver = to_visit.pop()
        if not isinstance(one, dict) or id(one) in seen:
            continue
        seen.add(id(one))
        resolver = resolver.in_subresource(DRAFT202012.create_resource(one))
        for value in _named_by(one):
            found[orjson.dumps(value)] = value
        to_visit += [(below, resolver) for below in _below(one)]
        if isinstance(one.get("$ref"), str):
            try:
                resolved = resolver.lookup(one["$ref"])
            except Unresolvable:
                continue
            to_visit.append((resolved.contents, resolved.resolver))
    return list(found.values())


def _named_by(schema: dict[str, Any]) -> Iterator[Any]:
    yield from schema.get("properties", ())
    yield from schema.get("enum", ())
    yield from schema.get("required", ())
    if "const" in schema:
        yield schema["const"]


def _below(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in SCHEMAS_BY_NAME:
        yield from schema.get(keyword, {}).values()
    for keyword in LISTS_OF_SCHEMAS:
        yield from schema.get(keyword, ())
    for keyword in SCHEMAS:
        yield schema.get(keyword)
