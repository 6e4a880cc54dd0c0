"""JSON Schemas with an instance each, valid by construction.

Every keyword that tools use in the wild is here: references, recursion, unions, tuples, odd names.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Schema = Any
Example = tuple[Schema, Any]

ODD_NAMES = st.sampled_from(
    [
        "type",
        "enum",
        "$ref",
        "title",
        "const",
        "default",
        "properties",
        "required",
        "items",
        "a b",
        "ä",
        "x-y",
        "",
    ]
)
NAMES = st.one_of(st.text("abcdefgh", min_size=1, max_size=3), ODD_NAMES)
TEXTS = st.text(max_size=6)
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("abc", min_size=1), inner, max_size=2)
    ),
    max_leaves=4,
)
DEFINITIONS = {
    "Point": {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "required": ["x"],
    },
    "Tree": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
    },
    "Left": {"type": "object", "properties": {"right": {"$ref": "#/$defs/Right"}}},
    "Right": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Left"}}},
}


@st.composite
def example(draw: st.DrawFn, depth: int = 0) -> Example:
    makers = [_string, _number, _boolean, _enum, _enum, _const, _nullable_by_list, _anything, _null]
    if depth < 3:
        makers += [_array, _object, _object, _any_of, _any_of, _all_of, _reference, _reference, _tuple, _map]
    schema, instance = draw(draw(st.sampled_from(makers))(depth))
    if isinstance(schema, dict) and draw(st.booleans()):
        schema = {**schema, **draw(_annotations())}
    return schema, instance


@st.composite
def tool_schemas(draw: st.DrawFn) -> Example:
    """The schema of a tool: an object at the top, definitions beside it."""
    schema, instance = draw(_object(0))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": DEFINITIONS}
    return schema, instance


def _annotations() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "description": TEXTS,
            "title": TEXTS,
            "examples": st.just([1]),
            "readOnly": st.booleans(),
            "deprecated": st.just(True),
            "x-vendor": ANY_JSON,
        },
    )


@st.composite
def _string(draw: st.DrawFn, depth: int) -> Example:
    schema = draw(
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={
                "minLength": st.just(0),
                "maxLength": st.just(100),
                "pattern": st.just(""),
                "format": st.sampled_from(["uri", "date-time", "int32"]),
                "default": TEXTS,
                "contentEncoding": st.just("base64"),
            },
        )
    )
    return schema, draw(TEXTS)


@st.composite
def _number(draw: st.DrawFn, depth: int) -> Example:
    kind = draw(st.sampled_from(["integer", "number"]))
    schema = {"type": kind, **draw(st.sampled_from([{}, {"minimum": -1000}, {"exclusiveMaximum": 2000}]))}
    return schema, draw(st.integers(-1000, 1000))


@st.composite
def _boolean(draw: st.DrawFn, depth: int) -> Example:
    return {"type": "boolean"}, draw(st.booleans())


@st.composite
def _enum(draw: st.DrawFn, depth: int) -> Example:
    values = draw(st.lists(ANY_JSON, min_size=1, max_size=12))
    return {"enum": values}, draw(st.sampled_from(values))


@st.composite
def _const(draw: st.DrawFn, depth: int) -> Example:
    value = draw(ANY_JSON)
    return {"const": value}, value


@st.composite
def _nullable_by_list(draw: st.DrawFn, depth: int) -> Example:
    kinds = draw(st.lists(st.sampled_from(["string", "integer", "object", "array"]), max_size=2, unique=True))
    return {"type": [*kinds, "null"]}, None


@st.composite
def _anything(draw: st.DrawFn, depth: int) -> Example:
    return draw(st.sampled_from([{}, True, {"description": "whatever"}])), draw(ANY_JSON)


def _null(depth: int) -> st.SearchStrategy[Example]:
    return st.just(({"type": "null"}, None))


@st.composite
def _array(draw: st.DrawFn, depth: int) -> Example:
    item_schema, item = draw(example(depth + 1))
    schema: Schema = {"type": "array"}
    if draw(st.booleans()):
        schema = {**schema, "items": item_schema, "minItems": 0, "uniqueItems": False}
    return schema, draw(st.sampled_from([[], [item], [item, item]]))


@st.composite
def _tuple(draw: st.DrawFn, depth: int) -> Example:
    members = draw(st.lists(example(depth + 1), min_size=1, max_size=2))
    return {"type": "array", "prefixItems": [schema for schema, _ in members]}, [
        value for _, value in members
    ]


@st.composite
def _object(draw: st.DrawFn, depth: int) -> Example:
    members = draw(st.dictionaries(NAMES, example(depth + 1), max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(members) or ["none"]), unique=True))
    schema: Schema = {"type": "object", "properties": {name: schema for name, (schema, _) in members.items()}}
    if draw(st.booleans()) and members:
        schema["required"] = required
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.sampled_from([False, True, {"type": "string"}]))
    return schema, {name: value for name, (_, value) in members.items()}


@st.composite
def _map(draw: st.DrawFn, depth: int) -> Example:
    value_schema, value = draw(example(depth + 1))
    schema = {"type": "object", "additionalProperties": value_schema}
    return schema, dict.fromkeys(draw(st.sets(st.text("abc", min_size=1, max_size=2), max_size=2)), value)


@st.composite
def _any_of(draw: st.DrawFn, depth: int) -> Example:
    members = draw(st.lists(example(depth + 1), min_size=1, max_size=3))
    _, instance = draw(st.sampled_from(members))
    return {"anyOf": [schema for schema, _ in members]}, instance


@st.composite
def _all_of(draw: st.DrawFn, depth: int) -> Example:
    first, one = draw(_object(depth + 1))
    second, two = draw(_object(depth + 1))
    for schema in (first, second):
        schema.pop("additionalProperties", None)
    second["properties"] = {k: v for k, v in second["properties"].items() if k not in first["properties"]}
    second["required"] = [name for name in second.get("required", ()) if name in second["properties"]]
    return {"allOf": [first, second]}, {**{k: v for k, v in two.items() if k not in one}, **one}


@st.composite
def _reference(draw: st.DrawFn, depth: int) -> Example:
    return draw(
        st.sampled_from(
            [
                ({"$ref": "#/$defs/Point"}, {"x": 1}),
                ({"$ref": "#/$defs/Tree"}, {"name": "root", "children": [{"children": []}]}),
                ({"$ref": "#/$defs/Left", "description": "both ways"}, {"right": {"left": {}}}),
            ]
        )
    )
