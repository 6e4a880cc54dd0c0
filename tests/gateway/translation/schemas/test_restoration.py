"""What was declared in another way than the client's schema has it comes back as that schema has it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation.schemas.restoration import MAX_TEXT_DEPTH
from gateway.translation.schemas.tool_schemas import PLACEHOLDER, parameters_schema

ANYTHING: dict[str, Any] = {"description": "Any JSON value"}
LINE_OR_NAME = {
    "oneOf": [
        {"properties": {"by": {"const": "line"}, "at": {"type": "integer"}, "to": {}}},
        {"properties": {"by": {"const": "name"}, "at": {"type": "string"}, "to": {"type": "string"}}},
    ]
}
DEEP = "[" * (MAX_TEXT_DEPTH + 1) + "]" * (MAX_TEXT_DEPTH + 1)

# (case, schema of a parameter, what the model sends, what the client gets)
ROWS: list[tuple[str, Any, Any, Any]] = [
    ("any value: an object", ANYTHING, '{"database_id":"abc"}', {"database_id": "abc"}),
    ("any value: a list", True, "[1, 2]", [1, 2]),
    ("any value: a number", {}, "8", 8),
    ("any value: a fraction", {}, "-0.5", -0.5),
    ("any value: a boolean", {}, "true", True),
    ("any value: null", {}, "null", None),
    ("any value: a text in quotes", {}, '"8"', "8"),
    ("any value: a bare word", {}, "eight", "eight"),
    ("any value: words", {}, "{ not JSON", "{ not JSON"),
    ("any value: nothing", {}, "", ""),
    ("any value: a word of Python", {}, "None", "None"),
    ("any value: a version", {}, "1.50", "1.50"),
    ("any value: leading zeros", {}, "007", "007"),
    ("any value: a long number", {}, "123456789012345678901234567890", "123456789012345678901234567890"),
    ("any value: not a number", {}, "NaN", "NaN"),
    ("any value: too deep", {}, DEEP, DEEP),
    ("any value: no text", {}, {"a": "1"}, {"a": "1"}),
    ("any value: all types listed", {"type": ["string", "number", "boolean", "object", "array"]}, "[1]", [1]),
    ("any value in a list", {"type": "array"}, ['{"a":1}', "b"], [{"a": 1}, "b"]),
    ("text", {"type": "string"}, "5", "5"),
    ("text that may be null", {"type": ["string", "null"]}, "null", "null"),
    ("text or number", {"type": ["string", "number"]}, "5", "5"),
    ("number or text", {"anyOf": [{"type": "number"}, {"type": "string"}]}, "5", "5"),
    ("text or object", {"type": ["string", "object"]}, '{"a":"1"}', {"a": "1"}),
    ("text or object: a number", {"type": ["string", "object"]}, "5", "5"),
    (
        "text or objects that are described",
        {"anyOf": [{"type": "string"}, LINE_OR_NAME]},
        '{"at":1}',
        '{"at":1}',
    ),
    ("integer", {"type": "integer"}, "5", 5),
    ("integer with blanks", {"type": "integer"}, " -12\n", -12),
    ("integer as a fraction", {"type": "integer"}, "5.0", 5),
    ("integer: half", {"type": "integer"}, "5.5", "5.5"),
    ("integer: words", {"type": "integer"}, "five", "five"),
    ("integer: a boolean", {"type": "integer"}, "true", "true"),
    ("integer that may be null", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),
    ("integer: too long to be exact", {"type": "integer"}, "9" * 30, "9" * 30),
    ("number", {"type": "number", "minimum": 0}, "1e3", 1000.0),
    ("number without a point", {"type": "number"}, "5", 5),
    ("number: infinity", {"type": "number"}, "Infinity", "Infinity"),
    ("boolean", {"type": "boolean"}, "true", True),
    ("boolean as Python writes it", {"type": "boolean"}, "False", False),
    ("boolean: yes", {"type": "boolean"}, "yes", "yes"),
    ("boolean or number", {"type": ["boolean", "number"]}, "1", 1),
    ("object as text", {"type": "object"}, '{"a": {"b": "1"}}', {"a": {"b": "1"}}),
    ("object as text: a list", {"type": "object"}, "[1]", "[1]"),
    ("list as text", {"type": "array", "items": {"type": "integer"}}, '["1", 2]', [1, 2]),
    ("in objects", {"properties": {"n": {"type": "integer"}}}, {"n": "1", "m": "1"}, {"n": 1, "m": "1"}),
    ("in lists", {"items": {"type": "integer"}}, ["1", 2, "x"], [1, 2, "x"]),
    ("in tuples", {"prefixItems": [{"type": "string"}, {"type": "integer"}]}, ["1", "2", "3"], ["1", 2, "3"]),
    ("in maps", {"additionalProperties": {"type": "boolean"}}, {"a": "true"}, {"a": True}),
    ("in maps of anything", {"type": "object", "additionalProperties": {}}, {"a": "1"}, {"a": "1"}),
    ("in patterned maps", {"patternProperties": {"^x": {"type": "integer"}}}, {"x": "1"}, {"x": 1}),
    ("in references", {"$ref": "#/$defs/Count"}, "5", 5),
    ("enum of numbers", {"enum": [1, 2]}, "2", 2),
    ("enum of all kinds", {"enum": ["auto", 1, {"x": 1}, None]}, '{"x":1}', {"x": 1}),
    ("enum of all kinds: null", {"enum": ["auto", 1, None]}, "null", None),
    ("enum with a number and its text", {"enum": ["1", 1]}, "1", "1"),
    ("a word or a number: the word", {"anyOf": [{"const": "1"}, {"type": "integer"}]}, "1", "1"),
    ("a word or a number: the number", {"anyOf": [{"const": "1"}, {"type": "integer"}]}, "2", 2),
    ("null", {"type": "null"}, "null", None),
    ("one alternative", LINE_OR_NAME, {"by": "line", "at": "5", "to": "6"}, {"by": "line", "at": 5, "to": 6}),
    ("the other", LINE_OR_NAME, {"by": "name", "at": "5", "to": "6"}, {"by": "name", "at": "5", "to": "6"}),
    ("neither", LINE_OR_NAME, {"at": "5"}, {"at": "5"}),
    ("unknown shape", {"properties": {"n": {"type": "integer"}}}, ["1"], ["1"]),
]


def restored(schema: Any, sent: Any, *, for_claude: bool = False) -> Any:
    tool = {"type": "object", "properties": {"v": schema}, "$defs": {"Count": {"type": "integer"}}}
    _, restoration = parameters_schema(tool, with_placeholders=for_claude)
    return restoration.apply({"v": sent})["v"] if restoration else sent


@pytest.mark.parametrize("for_claude", [False, True])
@pytest.mark.parametrize(
    ("schema", "sent", "comes_back"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_what_the_client_gets(schema: Any, sent: Any, comes_back: Any, for_claude: bool) -> None:
    client_gets = restored(schema, sent, for_claude=for_claude)

    assert orjson.dumps(client_gets) == orjson.dumps(comes_back)


def test_a_placeholder_is_taken_out_and_the_key_reason_stays() -> None:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}

    parameters, restoration = parameters_schema(
        {"type": "object", "properties": {"labels": labels}}, with_placeholders=True
    )

    assert parameters["properties"]["labels"]["required"] == [PLACEHOLDER]
    assert restoration is not None
    sent = {"labels": {PLACEHOLDER: "to label it", "reason": "mine"}}
    assert restoration.apply(sent) == {"labels": {"reason": "mine"}}


def test_a_placeholder_has_a_name_that_the_schema_does_not_know() -> None:
    schema = {"type": "object", "properties": {PLACEHOLDER: {"type": "object"}}}

    parameters, restoration = parameters_schema(schema, with_placeholders=True)

    added = f"{PLACEHOLDER}_2"
    assert parameters["properties"][PLACEHOLDER]["required"] == [added]
    assert restoration is not None
    sent = {PLACEHOLDER: {added: "why", PLACEHOLDER: "mine"}}
    assert restoration.apply(sent) == {PLACEHOLDER: {PLACEHOLDER: "mine"}}


def test_a_name_that_claude_refuses_is_declared_as_another() -> None:
    names = ["filter[id]", "filter(id)", "filter_id_", "$top", "", "ö" * 70]
    schema = {"type": "object", "properties": {n: {"type": "integer"} for n in names}, "required": ["$top"]}

    parameters, restoration = parameters_schema(schema, with_placeholders=True)

    declared = ["filter_id__2", "filter_id__3", "filter_id_", "_top", "_", "_" * 64]
    assert list(parameters["properties"]) == declared
    assert parameters["required"] == ["_top"]
    assert parameters["properties"]["_top"]["description"] == "(name: $top)"
    assert restoration is not None
    assert restoration.apply(dict.fromkeys(declared, "1")) == dict.fromkeys(names, 1)


def test_gemini_gets_every_name_as_it_is() -> None:
    schema = {"type": "object", "properties": {"filter[id]": {"type": "string"}, "-A": {"type": "number"}}}

    parameters, _ = parameters_schema(schema, with_placeholders=False)

    assert list(parameters["properties"]) == ["filter[id]", "-A"]
