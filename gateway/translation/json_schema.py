"""A tool's JSON Schema as the small part of it that Google accepts, in one pass.

What Google knows is kept: type, description, properties, required, items, enum, nullable. What it does not
know is either resolved ($ref, allOf, unions), or told to the model in the description ("(minLength: 1)"),
or dropped. Every output is built from scratch, so nothing unknown can slip through.

Some resolutions change what the model will send. For those a Restoration says how to turn the arguments
back into what the client's schema asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Schema = dict[str, Any]

MAX_DEPTH = 32
MAX_REF_DEPTH = 3
# Recursive definitions that refer to each other could otherwise unfold to millions of nodes.
MAX_NODES = 4_000

PLACEHOLDER = "reason"
PLACEHOLDER_SCHEMA = {"type": "STRING", "description": "In a few words, why this call is made"}

TYPES = {
    "string": "STRING",
    "number": "NUMBER",
    "integer": "INTEGER",
    "boolean": "BOOLEAN",
    "array": "ARRAY",
    "object": "OBJECT",
}
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
    "default",
)
# A schema with none but these says nothing about the value.
ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "$anchor", "$defs", "definitions", "title", "description", "examples"}
    | {"default", "readOnly", "writeOnly", "deprecated"}
)
UNION_SCORES = {"OBJECT": 3, "ARRAY": 2}
MAX_HINTED_VALUE = 200


@dataclass(slots=True)
class Restoration:
    """What to undo in the arguments of a call, at this place and below it."""

    has_placeholder: bool = False
    enum_values: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Restoration] = field(default_factory=dict)
    items: Restoration | None = None

    def is_needed(self) -> bool:
        return bool(self.has_placeholder or self.enum_values or self.properties or self.items)

    def apply(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._apply_to_object(value)
        if isinstance(value, list):
            return [self.items.apply(item) for item in value] if self.items else value
        return self.enum_values.get(value, value) if isinstance(value, str) else value

    def _apply_to_object(self, value: dict[str, Any]) -> dict[str, Any]:
        restored = {
            name: self.properties[name].apply(member) if name in self.properties else member
            for name, member in value.items()
        }
        if self.has_placeholder:
            restored.pop(PLACEHOLDER, None)
        return restored


def parameters_schema(schema: object, *, with_placeholders: bool) -> tuple[Schema, Restoration | None]:
    """The parameters of a function: always an OBJECT, whatever the schema was.

    ``with_placeholders``: Claude's VALIDATED mode refuses an object without properties, so it gets one.
    """
    converter = _Converter(schema, with_placeholders=with_placeholders)
    converted, restoration = converter.convert(schema, _Place())
    if converted["type"] != "OBJECT":
        converted, restoration = converter.convert({"type": "object"}, _Place())
    return converted, restoration if restoration.is_needed() else None


def response_schema(schema: object) -> Schema:
    """The schema of a structured answer; here any type may stand at the top."""
    converted, _ = _Converter(schema, with_placeholders=False).convert(schema, _Place())
    return converted


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the schema we are: how deep, and through which references."""

    depth: int = 0
    refs: tuple[str, ...] = ()

    def below(self) -> _Place:
        return _Place(self.depth + 1, self.refs)

    def through(self, ref: str) -> _Place:
        return _Place(self.depth, (*self.refs, ref))


class _Hints:
    """Sentences for the description, each once."""

    def __init__(self, description: object) -> None:
        self._is_described = isinstance(description, str)
        self._description = description if isinstance(description, str) else ""

    def describe(self, description: object) -> None:
        """For a schema that says nothing about itself, but its chosen member does."""
        if not self._is_described and isinstance(description, str):
            self._is_described = True
            self._description = f"{description} {self._description}".rstrip()

    def add(self, hint: str) -> None:
        if hint not in self._description:
            self._description = f"{self._description} {hint}".lstrip()

    def put_into(self, converted: Schema) -> None:
        if self._description:
            converted["description"] = self._description


class _Converter:
    def __init__(self, root: object, *, with_placeholders: bool) -> None:
        self._root = root
        self._with_placeholders = with_placeholders
        self._nodes_left = MAX_NODES

    def convert(self, schema: object, place: _Place) -> tuple[Schema, Restoration]:
        """A schema of one type, and what to undo in values made after it."""
        self._nodes_left -= 1
        restoration = Restoration()
        if is_anything(schema):
            return _anything(schema), restoration
        if place.depth > MAX_DEPTH or self._nodes_left < 0:
            return self._finished_object("(nested too deeply to describe)", restoration), restoration
        schema, place = self._resolve(schema, place)
        hints = _Hints(schema.get("description"))
        schema, place = self._choose_from_unions(schema, place, hints)
        converted: Schema = {"type": self._type_of(schema, hints)}
        if schema.get("nullable") is True:
            converted["nullable"] = True
        _convert_enum(schema, converted, restoration, hints)
        self._convert_members(schema, converted, restoration, place, hints)
        _add_constraint_hints(schema, hints)
        hints.put_into(converted)
        return converted, restoration

    # --- $ref, allOf, anyOf, oneOf ---

    def _resolve(self, schema: Any, place: _Place) -> tuple[Schema, _Place]:
        """The schema without $ref and allOf."""
        while isinstance(schema.get("$ref"), str):
            ref = schema["$ref"]
            siblings = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._look_up(ref)
            if target is None or place.refs.count(ref) >= MAX_REF_DEPTH or self._nodes_left < 0:
                return {**siblings, **_see(ref, siblings)}, place
            place = place.through(ref)
            self._nodes_left -= 1
            schema = _merge(target, siblings)
        if isinstance(schema.get("allOf"), list):
            return self._merge_all_of(schema, place)
        return schema, place

    def _look_up(self, ref: str) -> Schema | None:
        """Local references only, as a JSON pointer: ``#``, ``#/$defs/Point``."""
        if not ref.startswith("#"):
            return None
        target: Any = self._root
        for step in ref[1:].split("/")[1:]:
            target = _step_into(target, step.replace("~1", "/").replace("~0", "~"))
        if target is True:
            return {}
        return target if isinstance(target, dict) else None

    def _merge_all_of(self, schema: Schema, place: _Place) -> tuple[Schema, _Place]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for member in schema["allOf"]:
            self._nodes_left -= 1
            if isinstance(member, dict) and self._nodes_left >= 0 and place.depth <= MAX_DEPTH:
                resolved, inner = self._resolve(member, place.below())
                place = _Place(place.depth, inner.refs)
                merged = _merge(merged, resolved)
        return merged, place

    def _choose_from_unions(self, schema: Schema, place: _Place, hints: _Hints) -> tuple[Schema, _Place]:
        for keyword in ("anyOf", "oneOf"):
            members = schema.get(keyword)
            if isinstance(members, list) and place.depth <= MAX_DEPTH:
                schema = {key: value for key, value in schema.items() if key != keyword}
                schema, place = self._choose(schema, members, place, hints)
        return schema, place

    def _choose(
        self, schema: Schema, members: list[Any], place: _Place, hints: _Hints
    ) -> tuple[Schema, _Place]:
        resolved = [self._resolve(member, place) for member in members if isinstance(member, dict)]
        candidates = [member for member, _ in resolved if not _is_null(member)]
        if len(candidates) < len(resolved):
            schema = {**schema, "nullable": True}
        if not candidates or _only_narrow(schema, candidates):
            return schema, place
        if all("const" in member for member in candidates):
            return {**schema, "enum": [member["const"] for member in candidates]}, place
        if len(candidates) > 1:
            _hint_types(map(_types_of, candidates), hints)
        best = max(candidates, key=_score)
        hints.describe(best.get("description"))
        # The way to the chosen one goes through its references, and a union inside it is resolved as well.
        place = next(through for member, through in resolved if member is best)
        return self._choose_from_unions(_merge(schema, best), place.below(), hints)

    # --- type ---

    def _type_of(self, schema: Schema, hints: _Hints) -> str:
        names = _types_of(schema)
        declared = schema.get("type")
        if isinstance(declared, list):
            _hint_types([names], hints)
        if declared == "null" or (isinstance(declared, list) and "null" in declared):
            hints.add("(nullable)")
        return TYPES.get(names[0], "STRING") if names else _implied_type(schema)

    # --- properties and items ---

    def _convert_members(
        self, schema: Schema, converted: Schema, restoration: Restoration, place: _Place, hints: _Hints
    ) -> None:
        if converted["type"] == "OBJECT":
            self._convert_properties(schema, converted, restoration, place)
            _hint_additional_properties(schema, hints)
        elif converted["type"] == "ARRAY":
            converted["items"], below = self._convert_items(schema, place.below())
            restoration.items = below if below.is_needed() else None

    def _convert_properties(
        self, schema: Schema, converted: Schema, restoration: Restoration, place: _Place
    ) -> None:
        properties = schema.get("properties")
        converted["properties"] = {}
        for name, member in properties.items() if isinstance(properties, dict) else ():
            if member is False:
                continue  # no value is valid, so the model need not know of it
            converted["properties"][name], below = self.convert(member, place.below())
            if below.is_needed():
                restoration.properties[name] = below
        required = _required(schema, converted["properties"])
        if required:
            converted["required"] = required
        self._add_placeholder(converted, restoration)

    def _add_placeholder(self, converted: Schema, restoration: Restoration) -> None:
        if self._with_placeholders and not converted["properties"]:
            converted["properties"] = {PLACEHOLDER: PLACEHOLDER_SCHEMA}
            converted["required"] = [PLACEHOLDER]
            restoration.has_placeholder = True

    def _convert_items(self, schema: Schema, place: _Place) -> tuple[Schema, Restoration]:
        items = schema.get("items")
        tuple_items = items if isinstance(items, list) else schema.get("prefixItems")
        if isinstance(tuple_items, list) and not isinstance(items, dict):
            members = [
                member for member in tuple_items if isinstance(member, dict) and not is_anything(member)
            ]
            items = max(members, key=_score, default=None)
        if items is None or isinstance(items, bool | list):
            return {"type": "STRING"}, Restoration()
        return self.convert(items, place)

    def _finished_object(self, description: str, restoration: Restoration) -> Schema:
        converted: Schema = {"type": "OBJECT", "properties": {}, "description": description}
        self._add_placeholder(converted, restoration)
        return converted


# --- what a schema says ---


def is_anything(schema: object) -> bool:
    return not isinstance(schema, dict) or schema.keys() <= ANNOTATIONS


def _anything(schema: object) -> Schema:
    """Any JSON value, as text: lossy, but the model can say what it wants."""
    hints = _Hints(schema.get("description") if isinstance(schema, dict) else None)
    hints.add("(any JSON)")
    converted: Schema = {"type": "STRING"}
    hints.put_into(converted)
    return converted


def _types_of(schema: Mapping[str, Any]) -> list[str]:
    """The type names without null, in lower case, as older Google schemas shout them."""
    declared = schema.get("type")
    names = declared if isinstance(declared, list) else [declared]
    return [name.lower() for name in names if isinstance(name, str) and name.lower() != "null"] or (
        ["string"] if declared in ("null", ["null"]) else []
    )


def _implied_type(schema: Mapping[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "OBJECT"
    if "items" in schema or "prefixItems" in schema:
        return "ARRAY"
    return "STRING" if "enum" in schema or "const" in schema else "OBJECT"


def _score(schema: Mapping[str, Any]) -> int:
    names = _types_of(schema)
    if names:
        return UNION_SCORES.get(TYPES.get(names[0], "STRING"), 1)
    is_untyped = not schema.keys() & {"properties", "required", "items", "prefixItems", "enum", "const"}
    return 0 if is_untyped else UNION_SCORES.get(_implied_type(schema), 1)


def _is_null(schema: Mapping[str, Any]) -> bool:
    return (
        schema.get("type") in ("null", ["null"])
        or ("const" in schema and schema["const"] is None)
        or schema.get("enum") == [None]
    )


def _only_narrow(schema: Mapping[str, Any], members: Iterable[Mapping[str, Any]]) -> bool:
    """``{"properties": ..., "anyOf": [{"required": ["a"]}, ...]}`` is a rule, not a choice of types."""
    return ("type" in schema or "properties" in schema) and all(
        member.keys() <= {"required", "not"} | ANNOTATIONS or _score(member) == 0 for member in members
    )


def _required(schema: Mapping[str, Any], properties: Mapping[str, Schema]) -> list[str]:
    names = schema.get("required")
    if not isinstance(names, list):
        return []
    declared = schema.get("properties", {})
    return [
        name
        for name in dict.fromkeys(name for name in names if isinstance(name, str))
        if name in properties and not _may_be_null_by_type_list(declared[name])
    ]


def _may_be_null_by_type_list(schema: object) -> bool:
    return isinstance(schema, dict) and isinstance(schema.get("type"), list) and "null" in schema["type"]


# --- merging ---


def _merge(first: Schema, second: Schema) -> Schema:
    """Both must hold: properties and required are joined, of other keywords the last wins."""
    merged = {**first, **second}
    if isinstance(first.get("properties"), dict) and isinstance(second.get("properties"), dict):
        merged["properties"] = {**first["properties"], **second["properties"]}
    if isinstance(first.get("required"), list) and isinstance(second.get("required"), list):
        merged["required"] = first["required"] + second["required"]
    if isinstance(first.get("allOf"), list) and isinstance(second.get("allOf"), list):
        merged["allOf"] = first["allOf"] + second["allOf"]
    return merged


def _step_into(target: Any, step: str) -> Any:
    if isinstance(target, dict):
        return target.get(step)
    if isinstance(target, list) and step.isdecimal() and int(step) < len(target):
        return target[int(step)]
    return None


def _see(ref: str, siblings: Mapping[str, Any]) -> Schema:
    description = siblings.get("description")
    hint = f"see {ref.rsplit('/', 1)[-1]}"
    return {
        "type": "object",
        "description": f"{description} ({hint})" if isinstance(description, str) else hint,
    }


# --- enum ---


def _convert_enum(schema: Schema, converted: Schema, restoration: Restoration, hints: _Hints) -> None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return
    if None in values:
        converted["nullable"] = True
    values = [value for value in values if value is not None and value != ""]
    kind = _kind_of(values)
    if kind in ("NUMBER", "INTEGER", "BOOLEAN"):
        _hint_enum_of_numbers(values, kind, converted, hints)
    elif values:
        _keep_enum_of_strings(values, converted, restoration, hints)


def _kind_of(values: list[Any]) -> str | None:
    """The one type of all values, None when they are mixed."""
    kinds = {_KINDS.get(type(value)) for value in values}
    if kinds == {"INTEGER", "NUMBER"}:
        return "NUMBER"
    return kinds.pop() if len(kinds) == 1 else None


_KINDS = {str: "STRING", bool: "BOOLEAN", int: "INTEGER", float: "NUMBER"}


def _hint_enum_of_numbers(values: list[Any], kind: str, converted: Schema, hints: _Hints) -> None:
    """Google's enum takes strings only."""
    if converted["type"] not in ("NUMBER", "INTEGER", "BOOLEAN"):
        converted["type"] = kind
    hints.add(f"(Allowed: {', '.join(map(_as_text, values))})")


def _keep_enum_of_strings(
    values: list[Any], converted: Schema, restoration: Restoration, hints: _Hints
) -> None:
    texts = list(dict.fromkeys(map(_as_text, values)))
    converted["type"] = "STRING"
    converted["enum"] = texts
    strings = {value for value in values if isinstance(value, str)}
    restoration.enum_values.update(
        (_as_text(value), value)
        for value in values
        if not isinstance(value, str) and _as_text(value) not in strings
    )
    if 2 <= len(texts) <= 10:
        hints.add(f"(Allowed: {', '.join(texts)})")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# --- hints ---


def _hint_types(types_of_members: Iterable[list[str]], hints: _Hints) -> None:
    names = list(dict.fromkeys(name for names in types_of_members for name in names))
    if len(names) > 1:
        hints.add(f"(Accepts: {' | '.join(names)})")


def _hint_additional_properties(schema: Schema, hints: _Hints) -> None:
    additional = schema.get("additionalProperties")
    if additional is False:
        hints.add("(No extra properties allowed)")
    elif isinstance(additional, dict):
        names = _types_of(additional)
        hints.add(f"(free-form map of {names[0]} values)" if names else "(free-form map)")


def _add_constraint_hints(schema: Schema, hints: _Hints) -> None:
    for keyword in HINTED_KEYWORDS:
        if keyword in schema:
            text = _as_text(schema[keyword])
            if len(text) <= MAX_HINTED_VALUE:
                hints.add(f"({keyword}: {text})")
