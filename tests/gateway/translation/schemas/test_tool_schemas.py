"""The rules of the JSON Schema pass, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translation.schemas.declarations import PLACEHOLDER_DESCRIPTION
from gateway.translation.schemas.reading import MAX_DEPTH
from gateway.translation.schemas.restoration import Restoration
from gateway.translation.schemas.tool_schemas import PLACEHOLDER, parameters_schema, response_schema

POINT = {"type": "object", "properties": {"x": {"type": "number"}}}
POINT_CONVERTED = {"type": "OBJECT", "properties": {"x": {"type": "NUMBER"}}}
EMPTY_OBJECT: dict[str, Any] = {"type": "OBJECT", "properties": {}}
ANYTHING = {"type": "STRING", "description": "(any JSON)"}
DEFINITIONS = {
    "P": {**POINT, "$anchor": "point"},
    "Deep": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Deep"}}},
    "Size": {
        "$id": "https://schemas.test/size.json",
        "properties": {"w": {"$ref": "#pixels"}, "h": {"$ref": "#/$defs/h"}},
        "$defs": {"pixels": {"$anchor": "pixels", "type": "integer"}, "h": {"type": "number"}},
    },
    "a b/c%": {"type": "boolean"},
}
SIZE_CONVERTED = {"type": "OBJECT", "properties": {"w": {"type": "INTEGER"}, "h": {"type": "NUMBER"}}}


def convert(schema: object) -> Any:
    """As a property ``v`` of a tool without placeholders."""
    parameters, _ = parameters_schema(
        {"type": "object", "properties": {"v": schema}, "$defs": DEFINITIONS}, with_placeholders=False
    )
    return parameters["properties"]["v"]


ROWS = [
    ("1 anything: true", True, {"type": "STRING", "description": "(any JSON)"}),
    ("1 anything: {}", {}, {"type": "STRING", "description": "(any JSON)"}),
    ("1 anything: words", {"description": "d"}, {"type": "STRING", "description": "d (any JSON)"}),
    ("2 $ref", {"$ref": "#/$defs/P"}, POINT_CONVERTED),
    (
        "2 $ref and siblings",
        {"$ref": "#/$defs/P", "description": "d"},
        {**POINT_CONVERTED, "description": "d"},
    ),
    ("2 $ref unresolved", {"$ref": "#/$defs/No"}, {**EMPTY_OBJECT, "description": "(see No)"}),
    ("2 $ref by anchor", {"$ref": "#point"}, POINT_CONVERTED),
    ("2 $ref by $id", {"$ref": "https://schemas.test/size.json#/properties/w"}, {"type": "INTEGER"}),
    ("2 $ref relative to $id", {"$ref": "https://schemas.test/size.json"}, SIZE_CONVERTED),
    ("2 $ref percent-encoded", {"$ref": "#/$defs/a%20b~1c%25"}, {"type": "BOOLEAN"}),
    ("2 $ref to the other name of $defs", {"$ref": "#/definitions/P"}, POINT_CONVERTED),
    ("2 $ref unknown anchor", {"$ref": "#no"}, {**EMPTY_OBJECT, "description": "(see no)"}),
    ("2 $dynamicRef", {"$dynamicRef": "#point"}, POINT_CONVERTED),
    ("2 $ref remote", {"$ref": "https://x.y/z"}, {**EMPTY_OBJECT, "description": "(see z)"}),
    ("2 $ref to true", {"$ref": "#/properties/v/anyOf/0", "anyOf": [True]}, ANYTHING),
    (
        "2 $ref through a list",
        {"$ref": "#/properties/v/oneOf/9", "oneOf": []},
        {**EMPTY_OBJECT, "description": "(see 9)"},
    ),
    (
        "3 allOf",
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "number"}}, "required": ["b"]},
                True,
            ]
        },
        {
            "type": "OBJECT",
            "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}},
            "required": ["a", "b"],
        },
    ),
    (
        "3 allOf of references",
        {"allOf": [{"$ref": "#/$defs/P"}, {"description": "last"}], "description": "first"},
        {**POINT_CONVERTED, "description": "last"},
    ),
    ("4 anyOf null", {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
    ("4 oneOf const null", {"oneOf": [{"const": None}, POINT]}, {**POINT_CONVERTED, "nullable": True}),
    (
        "4 anyOf of types: the richest is declared",
        {"anyOf": [{"type": "string"}, {"type": "array"}, {"$ref": "#/$defs/P"}]},
        {**POINT_CONVERTED, "description": "(Accepts: string | array | object)"},
    ),
    (
        "4 anyOf of scalars: the first is declared",
        {"anyOf": [{"type": "number", "description": "n"}, {"type": "string"}]},
        {"type": "NUMBER", "description": "(number: n) (Accepts: number | string)"},
    ),
    (
        "4 anyOf keeps the outer description",
        {"description": "outer", "anyOf": [{"type": "number", "description": "n"}, {"type": "null"}]},
        {"type": "NUMBER", "nullable": True, "description": "outer"},
    ),
    (
        "4 anyOf of constants",
        {"anyOf": [{"const": "a"}, {"const": "b"}]},
        {"type": "STRING", "enum": ["a", "b"], "description": "(Allowed: a, b)"},
    ),
    (
        "4 anyOf within anyOf",
        {"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}]},
        {"type": "INTEGER", "nullable": True},
    ),
    (
        "4 anyOf that only narrows",
        {**POINT, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]},
        {**POINT_CONVERTED, "description": "(One of: {x} | {y})"},
    ),
    (
        "4 anyOf of untyped",
        {"anyOf": [{"minimum": 1}, {"items": {}}]},
        {"type": "ARRAY", "items": ANYTHING, "description": "(Accepts: number | array) (minimum: 1)"},
    ),
    (
        "4 oneOf of objects",
        {
            "oneOf": [
                {
                    "properties": {"kind": {"const": "create"}, "ident": {"type": "string"}},
                    "required": ["kind"],
                },
                {
                    "properties": {"kind": {"const": "remove"}, "force": {"type": "boolean"}},
                    "required": ["kind"],
                },
            ]
        },
        {
            "type": "OBJECT",
            "properties": {
                "kind": {
                    "type": "STRING",
                    "enum": ["create", "remove"],
                    "description": "(Allowed: create, remove)",
                },
                "ident": {"type": "STRING"},
                "force": {"type": "BOOLEAN"},
            },
            "required": ["kind"],
            "description": '(One of: {kind: "create", ident?} | {kind: "remove", force?})',
        },
    ),
    (
        "4 anyOf of objects that name a property alike",
        {
            "description": "Where",
            "anyOf": [
                {"properties": {"at": {"type": "integer"}}, "description": "by line"},
                {"properties": {"at": {"type": "boolean"}}, "required": ["at"]},
            ],
        },
        {
            "type": "OBJECT",
            "properties": {"at": {"type": "INTEGER", "description": "(Accepts: integer | boolean)"}},
            "description": "Where (One of: {at?: integer} (by line) | {at: boolean})",
        },
    ),
    (
        "4 oneOf of constants with words",
        {"oneOf": [{"const": "a", "description": "first"}, {"const": "b", "description": "second"}]},
        {"type": "STRING", "enum": ["a", "b"], "description": '("a": first) ("b": second) (Allowed: a, b)'},
    ),
    (
        "4 anyOf of a constant and a type",
        {"anyOf": [{"const": "auto"}, {"type": "integer"}]},
        {"type": "STRING", "description": '(Accepts: "auto" | integer)'},
    ),
    (
        "4 anyOf of lists and an object",
        {"anyOf": [{"type": "array", "items": {"enum": [1, 2]}}, POINT]},
        {**POINT_CONVERTED, "description": "(Accepts: (1 | 2)[] | object)"},
    ),
    (
        "4 anyOf beside properties",
        {
            **POINT,
            "anyOf": [{"properties": {"y": {"type": "number"}}}, {"properties": {"z": {"type": "string"}}}],
        },
        {
            "type": "OBJECT",
            "properties": {"x": {"type": "NUMBER"}, "y": {"type": "NUMBER"}, "z": {"type": "STRING"}},
            "description": "(One of: {y?} | {z?})",
        },
    ),
    (
        "5 type list",
        {"type": ["string", "number", "null"]},
        {"type": "STRING", "nullable": True, "description": "(Accepts: string | number)"},
    ),
    (
        "5 the same as anyOf",
        {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        {"type": "STRING", "nullable": True, "description": "(Accepts: string | number)"},
    ),
    (
        "5 type list with objects of any kind",
        {"type": ["string", "object"]},
        {"type": "STRING", "description": "(Accepts: string | object as JSON)"},
    ),
    (
        "5 type list of everything",
        {"type": ["string", "number", "boolean", "object", "array", "null"]},
        {**ANYTHING, "nullable": True},
    ),
    ("5 type list of one", {"type": ["integer", "null"]}, {"type": "INTEGER", "nullable": True}),
    (
        "5 type list of null",
        {"type": ["null"]},
        {"type": "STRING", "nullable": True, "description": "(null)"},
    ),
    ("5 type null", {"type": "null"}, {"type": "STRING", "nullable": True, "description": "(null)"}),
    ("6 const", {"const": "on"}, {"type": "STRING", "enum": ["on"]}),
    ("6 const of a number", {"const": 3}, {"type": "INTEGER", "description": "(Allowed: 3)"}),
    (
        "7 enum of integers",
        {"type": "integer", "enum": [1, 2]},
        {"type": "INTEGER", "description": "(Allowed: 1, 2)"},
    ),
    ("7 enum of numbers", {"enum": [1, 2.5]}, {"type": "NUMBER", "description": "(Allowed: 1, 2.5)"}),
    ("7 enum of booleans", {"enum": [True]}, {"type": "BOOLEAN", "description": "(Allowed: true)"}),
    (
        "7 enum mixed",
        {"enum": ["a", 1]},
        {"type": "STRING", "enum": ["a", "1"], "description": "(Allowed: a, 1)"},
    ),
    (
        "7 enum with null and blank",
        {"enum": ["a", None, ""]},
        {"type": "STRING", "nullable": True, "enum": ["a"], "description": "(may be empty)"},
    ),
    ("7 enum empty", {"type": "string", "enum": []}, {"type": "STRING"}),
    (
        "7 enum hinted once",
        {"enum": ["a", "b"], "description": "Pick. (Allowed: a, b)"},
        {"type": "STRING", "enum": ["a", "b"], "description": "Pick. (Allowed: a, b)"},
    ),
    (
        "7 enum too long to hint",
        {"enum": list("abcdefghijk")},
        {"type": "STRING", "enum": list("abcdefghijk")},
    ),
    ("8 properties", {"properties": {}}, EMPTY_OBJECT),
    ("8 required", {"required": ["x"]}, {**EMPTY_OBJECT, "description": "(also required: x)"}),
    ("8 minimum", {"minimum": 1}, {"type": "NUMBER", "description": "(minimum: 1)"}),
    ("8 items", {"items": {"type": "string"}}, {"type": "ARRAY", "items": {"type": "STRING"}}),
    ("8 enum", {"enum": ["a"]}, {"type": "STRING", "enum": ["a"]}),
    ("8 minProperties", {"minProperties": 1}, {**EMPTY_OBJECT, "description": "(minProperties: 1)"}),
    ("8 else", {"x-vendor": 1}, ANYTHING),
    (
        "9 additionalProperties false",
        {**POINT, "additionalProperties": False},
        {**POINT_CONVERTED, "description": "(No extra properties allowed)"},
    ),
    ("9 additionalProperties true", {**POINT, "additionalProperties": True}, POINT_CONVERTED),
    (
        "9 free-form map",
        {"type": "object", "additionalProperties": {"type": "string"}},
        {**EMPTY_OBJECT, "description": "(free-form map of string values)"},
    ),
    (
        "9 free-form map of anything",
        {"type": "object", "additionalProperties": {}},
        {**EMPTY_OBJECT, "description": "(free-form map)"},
    ),
    (
        "9 additionalProperties true and no other",
        {"type": "object", "additionalProperties": True},
        {**EMPTY_OBJECT, "description": "(free-form map)"},
    ),
    (
        "9 free-form map of objects",
        {**POINT, "additionalProperties": {"$ref": "#/$defs/P"}},
        {**POINT_CONVERTED, "description": "(free-form map of {x?: number} values)"},
    ),
    (
        "9 patternProperties",
        {"type": "object", "patternProperties": {"^x-": {"enum": [1, "a"]}}},
        {**EMPTY_OBJECT, "description": '(free-form map of names like ^x- to 1 | "a")'},
    ),
    (
        "10 constraints",
        {"type": "string", "minLength": 1, "format": "uri"},
        {"type": "STRING", "description": "(minLength: 1) (format: uri)"},
    ),
    (
        "10 all constraints",
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2, "default": 4},
            "minItems": 1,
            "uniqueItems": True,
        },
        {
            "type": "ARRAY",
            "items": {
                "type": "INTEGER",
                "description": "(minimum: 1) (exclusiveMaximum: 9) (multipleOf: 2) (default: 4)",
            },
            "description": "(minItems: 1) (uniqueItems: true)",
        },
    ),
    ("10 constraints that are null", {"type": "string", "format": None, "default": None}, {"type": "STRING"}),
    ("10 a pattern too long to hint", {"type": "string", "pattern": "a" * 300}, {"type": "STRING"}),
    (
        "11 required",
        {"properties": {"a": POINT}, "required": ["a", "b", "a", 1]},
        {
            "type": "OBJECT",
            "properties": {"a": POINT_CONVERTED},
            "required": ["a"],
            "description": "(also required: b)",
        },
    ),
    ("11 required is no list", {**POINT, "required": True}, POINT_CONVERTED),
    (
        "5 a nullable property stays required",
        {"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "required": ["a"]},
    ),
    ("12 array without items", {"type": "array"}, {"type": "ARRAY", "items": ANYTHING}),
    ("12 items true", {"type": "array", "items": True}, {"type": "ARRAY", "items": ANYTHING}),
    (
        "12 tuple items",
        {"type": "array", "items": [{"type": "string"}, POINT]},
        {
            "type": "ARRAY",
            "items": {**POINT_CONVERTED, "description": "(Accepts: string | object)"},
            "description": "(in this order: string, {x?: number})",
        },
    ),
    (
        "12 prefixItems",
        {"prefixItems": [{"type": "string"}, {}]},
        {"type": "ARRAY", "items": ANYTHING, "description": "(in this order: string, any)"},
    ),
    ("12 tuple of anything", {"type": "array", "items": [{}]}, {"type": "ARRAY", "items": ANYTHING}),
    ("13 empty object stays empty for Gemini", {"type": "object"}, EMPTY_OBJECT),
    (
        "14 properties named as keywords",
        {"properties": {"type": {"type": "string"}, "enum": POINT, "$ref": {"type": "string"}}},
        {
            "type": "OBJECT",
            "properties": {"type": {"type": "STRING"}, "enum": POINT_CONVERTED, "$ref": {"type": "STRING"}},
        },
    ),
    (
        "15 if, then, else",
        {
            **POINT,
            "if": {"properties": {"x": {"const": 0}}},
            "then": {"properties": {"zero": {"type": "string"}}, "required": ["zero"]},
        },
        {
            "type": "OBJECT",
            "properties": {"x": {"type": "NUMBER"}, "zero": {"type": "STRING"}},
            "description": "(if: {x?: 0}) (then: {zero: string})",
        },
    ),
    (
        "15 not",
        {"type": "string", "not": {"enum": ["root", "admin"]}},
        {"type": "STRING", "description": '(not: "root" | "admin")'},
    ),
    (
        "15 dependentSchemas",
        {**POINT, "dependentSchemas": {"x": {"properties": {"y": {"type": "number"}}, "required": ["y"]}}},
        {
            "type": "OBJECT",
            "properties": {"x": {"type": "NUMBER"}, "y": {"type": "NUMBER"}},
            "description": "(with x: {y: number})",
        },
    ),
    (
        "15 dependentRequired",
        {**POINT, "dependentRequired": {"x": ["y"], "z": []}},
        {**POINT_CONVERTED, "description": "(with x also y)"},
    ),
    (
        "15 contains",
        {"type": "array", "items": {"type": "string"}, "contains": {"const": "a"}},
        {"type": "ARRAY", "items": {"type": "STRING"}, "description": '(contains: "a")'},
    ),
    (
        "15 propertyNames",
        {
            "type": "object",
            "propertyNames": {"enum": ["a", "b"]},
            "additionalProperties": {"type": "integer"},
        },
        {**EMPTY_OBJECT, "description": '(free-form map of integer values) (propertyNames: "a" | "b")'},
    ),
    (
        "15 removed silently",
        {
            "type": "string",
            "$schema": "s",
            "$id": "i",
            "$comment": "c",
            "$anchor": "a",
            "title": "t",
            "examples": ["e"],
            "readOnly": True,
            "writeOnly": True,
            "deprecated": True,
            "contentMediaType": "m",
            "strict": True,
        },
        {"type": "STRING"},
    ),
    ("17 unknown type", {"type": "any"}, {"type": "STRING"}),
    ("17 a type in capitals", {"type": "OBJECT", "properties": {}}, EMPTY_OBJECT),
    ("17 a type that is no text", {"type": 5, "properties": {}}, EMPTY_OBJECT),
    ("properties are no object", {"type": "object", "properties": 3}, EMPTY_OBJECT),
    ("a description that is no text", {"type": "string", "description": 5}, {"type": "STRING"}),
    ("nullable of older schemas", {"type": "string", "nullable": True}, {"type": "STRING", "nullable": True}),
]


@pytest.mark.parametrize(("schema", "converted"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rule(schema: object, converted: object) -> None:
    assert convert(schema) == converted


@pytest.mark.parametrize("kind", ["string", "number", "integer", "boolean"])
@pytest.mark.parametrize(
    "words", [{}, {"description": "d"}, {"description": "d", "minLength": 1}, {"default": 1}]
)
def test_a_scalar_alone_is_declared_as_one_in_a_union(kind: str, words: dict[str, Any]) -> None:
    scalar = {"type": kind, **words}

    alone = parameters_schema({"type": "object", "properties": {"v": scalar}}, with_placeholders=False)
    joined = {"type": "object", "properties": {"v": {"anyOf": [scalar]}}}

    assert parameters_schema(joined, with_placeholders=False) == alone


@pytest.mark.parametrize("schema", [None, True, {}, [], "object", {"type": "string"}, {"enum": ["a"]}])
def test_rule_1_parameters_are_an_object_whatever_the_schema_is(schema: object) -> None:
    parameters, restoration = parameters_schema(schema, with_placeholders=False)

    assert parameters == EMPTY_OBJECT
    assert restoration is None


def test_a_property_that_allows_nothing_is_told() -> None:
    parameters, _ = parameters_schema(
        {"type": "object", "properties": {"no": False, "yes": {"type": "string"}}, "required": ["no"]},
        with_placeholders=False,
    )

    assert parameters == {
        "type": "OBJECT",
        "properties": {"yes": {"type": "STRING"}},
        "description": "(not allowed: no)",
    }


def test_rule_2_a_recursive_reference_stops_at_the_third() -> None:
    deep = {**EMPTY_OBJECT, "description": "(see Deep)"}
    for _ in range(3):
        deep = {"type": "OBJECT", "properties": {"next": deep}}

    assert convert({"$ref": "#/$defs/Deep"}) == deep


def test_rule_2_a_recursive_reference_in_a_union_stops_as_well() -> None:
    child = {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}
    node = {"type": "object", "properties": {"child": child}}

    parameters, _ = parameters_schema({**node, "$defs": {"Node": node}}, with_placeholders=False)

    assert repr(parameters).count("'child'") == 4
    assert "see Node" in repr(parameters)


def test_rule_2_a_stopped_reference_keeps_its_own_description() -> None:
    converted = convert({"$ref": "#/$defs/No", "description": "a node"})

    assert converted["description"] == "a node (see No)"


def test_rule_3_an_all_of_that_refers_to_itself_ends() -> None:
    assert convert({"allOf": [{"$ref": "#/properties/v"}]}) == ANYTHING
    assert convert({"$ref": "#/properties/v"}) == EMPTY_OBJECT
    assert convert({"anyOf": [{"$ref": "#/properties/v"}, {"type": "integer"}]})["type"] == "INTEGER"


def test_rule_3_unions_of_all_members_do_not_get_lost() -> None:
    inner = {**POINT, "type": ["object", "null"]}

    merged = convert({"allOf": [{"allOf": [inner]}, {"anyOf": [{"type": "object"}, {"type": "null"}]}]})

    assert merged == {**POINT_CONVERTED, "nullable": True}


def test_rule_13_claude_gets_a_placeholder_in_each_empty_object() -> None:
    schema = {"type": "object", "properties": {"options": {"type": "object"}}}

    parameters, restoration = parameters_schema(schema, with_placeholders=True)

    placeholder = {"type": "STRING", "description": PLACEHOLDER_DESCRIPTION}
    empty = {"type": "OBJECT", "properties": {PLACEHOLDER: placeholder}, "required": [PLACEHOLDER]}
    assert parameters == {"type": "OBJECT", "properties": {"options": empty}}
    assert restoration is not None
    assert restoration.apply({"options": {PLACEHOLDER: "why", "a": 1}}) == {"options": {"a": 1}}


def test_rule_16_the_depth_is_capped() -> None:
    schema: Any = {"type": "string"}
    for _ in range(MAX_DEPTH + 5):
        schema = {"type": "array", "items": schema}

    text = repr(convert(schema))

    assert text.count("ARRAY") == MAX_DEPTH
    assert "nested too deeply" in text


def test_a_mixed_enum_comes_back_as_it_was() -> None:
    schema = {
        "type": "object",
        "properties": {
            "level": {"enum": ["auto", 1, {"x": 1}]},
            "list": {"type": "array", "items": {"enum": [1, "a"]}},
        },
    }

    _, restoration = parameters_schema(schema, with_placeholders=False)

    assert restoration is not None
    sent = {"level": '{"x":1}', "list": ["1", "a", None]}
    assert restoration.apply(sent) == {"level": {"x": 1}, "list": [1, "a", None]}


def test_a_list_in_place_of_an_object_is_left_alone() -> None:
    assert Restoration(placeholder=PLACEHOLDER).apply([1]) == [1]


def test_an_answers_schema_may_be_of_any_type() -> None:
    schema = response_schema({"type": "array", "items": {"type": "string"}})

    assert schema is not None
    assert schema["type"] == "ARRAY"


def test_rule_3_conditions_of_a_reference_and_beside_it_all_hold() -> None:
    schema = {
        "$defs": {"Base": {"allOf": [POINT]}},
        "type": "object",
        "properties": {"v": {"$ref": "#/$defs/Base", "allOf": [{"properties": {"y": {"type": "number"}}}]}},
    }

    parameters, _ = parameters_schema(schema, with_placeholders=False)

    assert parameters["properties"]["v"]["properties"] == {"x": {"type": "NUMBER"}, "y": {"type": "NUMBER"}}


def test_rule_5_a_type_list_without_null_only_tells_its_types() -> None:
    assert convert({"type": ["integer", "string"]}) == {
        "type": "INTEGER",
        "description": "(Accepts: integer | string)",
    }


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_combinations_within_combinations_have_an_end(keyword: str) -> None:
    schema: Any = {"type": "string"}
    for _ in range(400):
        schema = {keyword: [schema]}

    assert convert(schema)["type"] == "OBJECT"
