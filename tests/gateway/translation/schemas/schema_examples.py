"""JSON Schemas with an instance each, valid by construction.

Every keyword that tools use in the wild is here: references, recursion, unions, tuples, conditions, odd
names. Names and constants are rare words, so that a test can tell whether they were lost.
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
        "-A",
        "-n",
        "filter[id]",
        "@microsoft.graph.conflictBehavior",
        'quo"te',
        "reason",
        "",
    ]
)
RARE_NAMES = st.sampled_from([f"key{number}" for number in range(100, 140)])
NAMES = st.one_of(RARE_NAMES, ODD_NAMES)
RARE_WORDS = st.sampled_from([f"word{number}" for number in range(100, 140)])
TEXTS = st.one_of(RARE_WORDS, st.text(max_size=6))
SCALARS = st.one_of(st.sampled_from([None, True, False, 0.5, -7.75]), st.integers(-100_000, 100_000), TEXTS)
VALUES = st.one_of(
    SCALARS,
    st.sampled_from([[], {}, [1, "a"], {"a": 1}, {"a": {"b": [None, True]}}, [["5"], {"c": "word9"}]]),
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("abc", min_size=1), inner, max_size=2)
    ),
    max_leaves=4,
)
DEFINITIONS = {
    "Point": {
        "$anchor": "point",
        "type": "object",
        "properties": {"point_x": {"type": "number"}, "point_y": {"type": "number"}},
        "required": ["point_x"],
    },
    "Tree": {
        "type": "object",
        "properties": {
            "tree_name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
    },
    "Left": {"type": "object", "properties": {"right": {"$ref": "#/$defs/Right"}}},
    "Right": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Left"}}},
    "odd name/%": {"enum": ["odd1", "odd2"]},
    "Expression": {
        "anyOf": [
            {"type": "integer"},
            {"$ref": "#/$defs/Sum"},
            {"type": "array", "items": {"$ref": "#/$defs/Expression"}},
        ]
    },
    "Sum": {
        "type": "object",
        "properties": {"plus": {"type": "array", "items": {"$ref": "#/$defs/Expression"}}},
        "additionalProperties": False,
    },
    "Embedded": {
        "$id": "https://schemas.test/embedded.json",
        "type": "object",
        "properties": {"here": {"$ref": "#/$defs/inner"}, "there": {"$ref": "#in"}},
        "$defs": {"inner": {"type": "boolean"}, "other": {"$anchor": "in", "type": "integer"}},
    },
}
REFERENCES: list[Example] = [
    ({"$ref": "#/$defs/Point"}, {"point_x": 1}),
    ({"$ref": "#point"}, {"point_x": 1, "point_y": 2}),
    ({"$ref": "#/$defs/Tree"}, {"tree_name": "root", "children": [{"children": []}]}),
    ({"$ref": "#/$defs/Left", "description": "both ways"}, {"right": {"left": {}}}),
    ({"$ref": "#/$defs/odd%20name~1%25"}, "odd2"),
    ({"$ref": "#/$defs/Expression"}, {"plus": [1, {"plus": [[2]]}]}),
    ({"$ref": "#/$defs/Expression"}, 7),
    ({"$ref": "https://schemas.test/embedded.json"}, {"here": True, "there": 3}),
    ({"$ref": "#/$defs/Embedded"}, {"here": False}),
]


@st.composite
def example(draw: st.DrawFn, depth: int = 0) -> Example:
    makers = [_string, _number, _boolean, _enum, _enum, _const, _type_list, _anything, _null]
    if depth < 3:
        makers += [_array, _object, _object, _any_of, _any_of, _all_of, _reference, _reference, _tuple, _map]
        makers += [_choice, _choice, _pattern_map, _condition, _dependent, _negation, _containing]
    schema, instance = draw(draw(st.sampled_from(makers))(depth))
    if isinstance(schema, dict) and draw(st.booleans()):
        schema = {**draw(ANNOTATIONS), **schema}
    return schema, instance


@st.composite
def tool_schemas(draw: st.DrawFn) -> Example:
    """The schema of a tool: an object at the top, definitions beside it."""
    makers = st.sampled_from([_object, _object, _object, _choice, _condition, _dependent, _all_of])
    schema, instance = draw(draw(makers)(0))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": DEFINITIONS}
    return schema, instance


ANNOTATIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"description": "words of its own"},
        {"description": "", "title": "Title"},
        {"description": "(Allowed: a, b)", "examples": [1]},
        {"readOnly": True, "deprecated": True},
        {"x-vendor": {"enum": ["not-said"]}, "default": None},
        {"$comment": "nothing", "description": 5},
    ]
)


@st.composite
def _string(draw: st.DrawFn, depth: int) -> Example:
    schema = draw(
        st.sampled_from(
            [
                {"type": "string"},
                {"type": "string", "minLength": 0, "maxLength": 100},
                {"type": "string", "pattern": "", "default": "fallback"},
                {"type": "string", "format": "date-time", "contentEncoding": "base64"},
            ]
        )
    )
    return schema, draw(st.one_of(TEXTS, st.sampled_from(["5", "true", "null", "[1]", "{}", " 7 "])))


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
    values = draw(st.lists(VALUES, min_size=1, max_size=12))
    return {"enum": values}, draw(st.sampled_from(values))


@st.composite
def _const(draw: st.DrawFn, depth: int) -> Example:
    value = draw(VALUES)
    return {"const": value}, value


@st.composite
def _type_list(draw: st.DrawFn, depth: int) -> Example:
    instances = {
        "string": "5",
        "integer": 5,
        "boolean": True,
        "object": {"k": 5},
        "array": ["5"],
        "null": None,
    }
    kinds = draw(st.lists(st.sampled_from(sorted(instances)), min_size=1, max_size=4, unique=True))
    return {"type": kinds}, instances[draw(st.sampled_from(kinds))]


@st.composite
def _anything(draw: st.DrawFn, depth: int) -> Example:
    return draw(st.sampled_from([{}, True, {"description": "whatever"}])), draw(VALUES)


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
def _containing(draw: st.DrawFn, depth: int) -> Example:
    value = draw(SCALARS)
    return {"type": "array", "contains": {"const": value}}, [value]


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
    schema: Schema = {"type": "object", "additionalProperties": value_schema}
    if draw(st.booleans()):
        schema["propertyNames"] = {"enum": ["reason", "lang1", "lang2"]}
        return schema, {"lang1": value, "reason": value}
    return schema, dict.fromkeys(draw(st.sets(st.text("abc", min_size=1, max_size=2), max_size=2)), value)


@st.composite
def _pattern_map(draw: st.DrawFn, depth: int) -> Example:
    value_schema, value = draw(example(depth + 1))
    schema = {"type": "object", "patternProperties": {"^x-": value_schema}, "additionalProperties": False}
    return schema, draw(st.sampled_from([{}, {"x-one": value}]))


@st.composite
def _any_of(draw: st.DrawFn, depth: int) -> Example:
    members = draw(st.lists(example(depth + 1), min_size=1, max_size=3))
    _, instance = draw(st.sampled_from(members))
    return {"anyOf": [schema for schema, _ in members]}, instance


@st.composite
def _choice(draw: st.DrawFn, depth: int) -> Example:
    """Objects told apart by a constant, as discriminated unions of zod and pydantic are."""
    kinds = draw(st.lists(RARE_WORDS, min_size=2, max_size=3, unique=True))
    members: list[Example] = []
    for kind in kinds:
        schema, instance = draw(_object(depth + 1))
        schema["properties"]["kind"] = draw(st.sampled_from([{"const": kind}, {"enum": [kind]}]))
        schema["required"] = [*dict.fromkeys([*schema.get("required", ()), "kind"])]
        members.append((schema, {**instance, "kind": kind}))
    _, instance = draw(st.sampled_from(members))
    beside: Schema = draw(
        st.sampled_from([{}, {"type": "object"}, {"discriminator": {"propertyName": "kind"}}])
    )
    return {**beside, draw(st.sampled_from(["oneOf", "anyOf"])): [one for one, _ in members]}, instance


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
def _condition(draw: st.DrawFn, depth: int) -> Example:
    word, other = draw(st.lists(RARE_WORDS, min_size=2, max_size=2, unique=True))
    then, value = draw(example(depth + 1))
    schema = {
        "type": "object",
        "properties": {"mode": {"enum": [word, other]}},
        "required": ["mode"],
        "if": {"properties": {"mode": {"const": word}}},
        "then": {"properties": {"then_value": then}, "required": ["then_value"]},
        "else": {"properties": {"else_value": {"type": "integer"}}},
    }
    return schema, draw(
        st.sampled_from([{"mode": word, "then_value": value}, {"mode": other, "else_value": 5}])
    )


@st.composite
def _dependent(draw: st.DrawFn, depth: int) -> Example:
    member, value = draw(example(depth + 1))
    schema = {
        "type": "object",
        "properties": {"card": {"type": "integer"}, "name": {"type": "string"}},
        "dependentRequired": {"card": ["name"]},
        "dependentSchemas": {"card": {"properties": {"address": member}}},
    }
    return schema, draw(st.sampled_from([{}, {"card": 1, "name": "n", "address": value}]))


@st.composite
def _negation(draw: st.DrawFn, depth: int) -> Example:
    word = draw(RARE_WORDS)
    return {"type": "string", "not": {"const": word}}, "something else"


def _reference(depth: int) -> st.SearchStrategy[Example]:
    return st.sampled_from(REFERENCES)
