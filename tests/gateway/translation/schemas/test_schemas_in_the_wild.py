"""Schemas made after public reports and what generators write: what of them reaches Google, and comes back.

Each names its source; nothing is copied from there but the names that make it what it is.
"""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import pytest

from benchmarks.claude_code_request import claude_code_request
from gateway.translation.schemas.tool_schemas import parameters_schema
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import CLAUDE, GEMINI_3, a_chunk, a_stream, a_tool, events_of, translated
from tests.gateway.translation.schemas.test_schema_properties import an_envelope, as_json, input_of
from tests.gateway.translation.schemas.told_schemas import values_and_names, what_google_is_told

Schema = dict[str, Any]
NULL = {"type": "null"}


def optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL], "default": None}


def tool(properties: Schema, *required: str, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **more}


# Unions of objects in two parameters (LionSR/TeXRA#4276, Toloka/tolokaforge#1445).
CHOICES = tool(
    {
        "where": {
            "oneOf": [
                tool({"folder_id": {"type": "string"}}, "folder_id"),
                tool({"table_id": {"type": "string"}, "row": {"type": "integer"}}, "table_id"),
            ]
        },
        "op": {
            "oneOf": [
                {"type": "object", "properties": {"kind": {"const": "create"}, "ident": {"type": "string"}}},
                {"type": "object", "properties": {"kind": {"const": "remove"}, "force": {"type": "boolean"}}},
            ]
        },
    }
)
# Notion's server: blocks in blocks, parents by reference (anthropics/claude-code#20732).
NOTION = tool(
    {
        "parent": {"$ref": "#/$defs/parentRequest"},
        "properties": {"type": "object", "additionalProperties": {"$ref": "#/$defs/propertyValue"}},
        "children": {"type": "array", "items": {"$ref": "#/$defs/blockObjectRequest"}},
        "icon": {"type": "string", "format": "json"},
    },
    "parent",
    **{
        "$defs": {
            "parentRequest": {
                "oneOf": [{"$ref": "#/$defs/pageIdParent"}, {"$ref": "#/$defs/databaseIdParent"}]
            },
            "pageIdParent": tool({"page_id": {"type": "string", "format": "uuid"}}, "page_id"),
            "databaseIdParent": tool({"database_id": {"type": "string"}}, "database_id"),
            "propertyValue": {
                "anyOf": [tool({"number": {"type": "number"}}), tool({"checkbox": {"type": "boolean"}})]
            },
            "blockObjectRequest": {
                "anyOf": [{"$ref": "#/$defs/paragraph"}, {"$ref": "#/$defs/bulletedListItem"}]
            },
            "paragraph": tool({"type": {"enum": ["paragraph"]}, "rich_text": {"type": "string"}}, "type"),
            "bulletedListItem": tool(
                {
                    "type": {"enum": ["bulleted_list_item"]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/blockObjectRequest"}},
                },
                "type",
            ),
        }
    },
)
# zod 4 writes a record of an enum so, and a discriminated union as oneOf at the top (mastra-ai/mastra#18255).
ZOD: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "oneOf": [
        tool(
            {"action": {"type": "string", "const": "create"}, "title": {"type": "string"}}, "action", "title"
        ),
        tool(
            {
                "action": {"type": "string", "const": "label"},
                "labels": {
                    "type": "object",
                    "propertyNames": {"type": "string", "enum": ["bug", "chore"]},
                    "additionalProperties": {"type": "number"},
                },
            },
            "action",
            additionalProperties=False,
        ),
    ],
}
# pydantic 2: optional fields, a discriminator, a tuple (taylorwilsdon/google_workspace_mcp#1099).
PYDANTIC = tool(
    {
        "page_token": optional({"type": "string"}),
        "search_type": optional({"type": "string", "const": "image"}),
        "limit": {"type": "integer", "default": 10, "minimum": 1},
        "metric": {
            "discriminator": {"propertyName": "type", "mapping": {"numeric": "#/$defs/Numeric"}},
            "oneOf": [{"$ref": "#/$defs/Numeric"}, {"$ref": "#/$defs/Text"}],
        },
        "box": {
            "type": "array",
            "maxItems": 2,
            "minItems": 2,
            "prefixItems": [{"type": "integer"}, {"anyOf": [{"type": "integer"}, {"const": "auto"}]}],
        },
    },
    "metric",
    "search_type",
    **{
        "$defs": {
            "Numeric": tool({"type": {"const": "numeric"}, "value": {"type": "number"}}, "type", "value"),
            "Text": tool({"type": {"const": "string"}, "value": {"type": "string"}}, "type", "value"),
        }
    },
)
# Common fields beside a union (danny-avila/LibreChat#13623), requirements without properties (openai tools).
COMMON = tool(
    {"repo": {"type": "string"}},
    "repo",
    anyOf=[{"properties": {"title": {"type": "string"}}, "required": ["title"]}, {"required": ["body"]}],
)
# Conditions at the top (anthropics/claude-code#95504).
CONDITIONS = tool(
    {"mode": {"type": "string", "enum": ["fast", "full"]}, "size": {"type": "integer"}},
    "mode",
    allOf=[
        {
            "if": {"properties": {"mode": {"const": "fast"}}},
            "then": {"properties": {"size": {"maximum": 10}, "hurry": {"type": "boolean"}}},
        }
    ],
)
# Names of query parameters (ComposioHQ/composio#3500, beautyfree/appstore-connect-mcp#1), and flags.
NAMES = tool(
    {
        "$top": {"type": "integer"},
        "@microsoft.graph.conflictBehavior": {"enum": ["fail", "rename"]},
        "filter[bundleId]": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "-A": {"type": "number"},
        "-n": {"type": "boolean"},
        "reason": {"type": "string"},
    },
    "$top",
)
# No type at all (anthropics/claude-code#82652).
UNTYPED = tool({"key": {"type": "string"}, "value": {"description": "Any JSON value"}, "extra": True}, "key")

TOOLS = {
    "choices": CHOICES,
    "notion": NOTION,
    "zod": ZOD,
    "pydantic": PYDANTIC,
    "common": COMMON,
    "conditions": CONDITIONS,
    "names": NAMES,
    "untyped": UNTYPED,
    **{f"Claude Code's {tool['name']}": tool["input_schema"] for tool in claude_code_request()["tools"]},
}

# (schema, what the model sends by its declaration, what the client gets)
CALLS: list[tuple[str, Schema, Schema, Schema]] = [
    (
        "untyped",
        UNTYPED,
        {"key": "k", "value": '{"database_id":"abc"}', "extra": "[1, 2]"},
        {"key": "k", "value": {"database_id": "abc"}, "extra": [1, 2]},
    ),
    (
        "stringified objects and numbers",
        NOTION,
        {
            "parent": '{"database_id": "d"}',
            "properties": {"Price": {"number": "5"}, "Done": '{"checkbox": true}'},
            "children": ['{"type": "bulleted_list_item", "children": [{"type": "paragraph"}]}'],
        },
        {
            "parent": {"database_id": "d"},
            "properties": {"Price": {"number": 5}, "Done": {"checkbox": True}},
            "children": [{"type": "bulleted_list_item", "children": [{"type": "paragraph"}]}],
        },
    ),
    (
        "a discriminated union: a number",
        PYDANTIC,
        {"metric": {"type": "numeric", "value": "5"}, "search_type": None, "box": ["1", "auto"]},
        {"metric": {"type": "numeric", "value": 5}, "search_type": None, "box": [1, "auto"]},
    ),
    (
        "a discriminated union: a text",
        PYDANTIC,
        {"metric": {"type": "string", "value": "5"}, "search_type": "image", "box": [1, "2"]},
        {"metric": {"type": "string", "value": "5"}, "search_type": "image", "box": [1, 2]},
    ),
    (
        "a record",
        ZOD,
        {"action": "label", "labels": {"bug": "1"}},
        {"action": "label", "labels": {"bug": 1}},
    ),
]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
@pytest.mark.parametrize("schema", TOOLS.values(), ids=TOOLS)
def test_a_tool_in_the_wild_loses_nothing_and_is_accepted(schema: Schema, model: str) -> None:
    request = translated(model=model, tools=[a_tool(schema=schema)])

    validate_generate(an_envelope(model, request.request))
    told = what_google_is_told(request.request["tools"][0]["functionDeclarations"][0]["parameters"])
    assert [one for one in values_and_names(schema) if not told.has(one)] == []


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
@pytest.mark.parametrize(
    ("schema", "sent", "comes_back"), [row[1:] for row in CALLS], ids=[r[0] for r in CALLS]
)
def test_a_call_in_the_wild_fits_the_clients_schema(
    schema: Schema, sent: Schema, comes_back: Schema, model: str
) -> None:
    request = translated(model=model, tools=[a_tool(schema=schema)])

    events = events_of(a_stream(request), a_chunk({"functionCall": {"name": "get_weather", "args": sent}}))

    assert as_json(input_of(events)) == as_json(comes_back)
    jsonschema.Draft202012Validator(schema).validate(comes_back)


def test_a_choice_of_objects_names_every_property_and_constant() -> None:
    declared, _ = parameters_schema(CHOICES, with_placeholders=False)

    text = orjson.dumps(declared).decode()
    assert all(
        name in text for name in ("folder_id", "table_id", "row", "create", "remove", "ident", "force")
    )
    assert declared["properties"]["op"]["description"] == (
        '(One of: {kind?: "create", ident?} | {kind?: "remove", force?})'
    )


def test_a_property_that_is_null_may_be_anything() -> None:
    """Yanyutin753/LambChat#186: a search server's ``urls``, which made a whole session fail."""
    declared, _ = parameters_schema({"type": "object", "properties": {"urls": None}}, with_placeholders=True)

    assert declared["properties"] == {"urls": {"type": "STRING", "description": "(any JSON)"}}


def test_a_nullable_parameter_stays_required_in_every_spelling() -> None:
    as_list = tool({"v": {"type": ["string", "null"]}}, "v")
    as_union = tool({"v": {"anyOf": [{"type": "string"}, NULL]}}, "v")

    declared, _ = parameters_schema(as_list, with_placeholders=False)

    assert declared["properties"]["v"] == {"type": "STRING", "nullable": True}
    assert declared["required"] == ["v"]
    assert parameters_schema(as_union, with_placeholders=False)[0] == declared
