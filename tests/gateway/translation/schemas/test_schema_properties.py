"""Any JSON Schema becomes a declaration Google accepts that names all it named, and arguments come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.translation.request.structured_output import AnswerSchema
from gateway.translation.response.message import MessageCollector
from gateway.translation.schemas.restoration import Restoration
from gateway.translation.schemas.tool_schemas import MAX_NODES, parameters_schema, response_schema
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import CLAUDE, GEMINI_3, GPT, a_chunk, a_stream, a_tool, events_of, translated
from tests.gateway.translation.schemas.schema_examples import (
    ANY_JSON,
    DEFINITIONS,
    NAMES,
    example,
    tool_schemas,
)
from tests.gateway.translation.schemas.told_schemas import values_and_names, what_google_is_told
from tests.gateway.translation.tokens.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

DEFINED = {"$defs": DEFINITIONS}
KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


@pytest.mark.hypothesis
def test_any_schema_gives_a_declaration_that_google_accepts() -> None:
    shares = Shares()

    @given(tool_schemas(), st.sampled_from([CLAUDE, GEMINI_3, GPT]))
    def check(schema_and_instance: Any, model: str) -> None:
        schema, instance = schema_and_instance
        shares.count(
            references="$ref" in repr({**schema, "$defs": None}),
            unions="anyOf" in repr(schema) or "oneOf" in repr(schema),
            enums="'enum'" in repr({**schema, "$defs": None}),
            with_arguments=bool(instance),
        )

        request = translated(model=model, tools=[a_tool(schema=schema)])

        validate_generate(an_envelope(model, request.request))

    check()
    shares.check()


@given(tool_schemas())
def test_every_name_and_value_of_a_schema_is_kept(schema_and_instance: Any) -> None:
    schema, _ = schema_and_instance
    named = values_and_names(schema)

    for declared in (
        parameters_schema(schema, with_placeholders=True)[0],
        parameters_schema(schema, with_placeholders=False)[0],
        response_schema(schema),
    ):
        if declared is None:
            continue  # asked for in words, the schema as it is
        told = what_google_is_told(declared)
        assert [one for one in named if not told.has(one)] == []


PLAIN_MEMBERS = st.sampled_from(
    [
        ({"type": "string"}, "5"),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": ["integer", "null"]}, None),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        ({"$ref": "#/$defs/Point"}, {"point_x": 1}),
    ]
)


@st.composite
def plain_objects(draw: st.DrawFn) -> Any:
    """As most clients send them."""
    members = draw(st.dictionaries(NAMES, PLAIN_MEMBERS, min_size=1, max_size=4))
    properties = {name: schema for name, (schema, _) in members.items()}
    answer = {name: value for name, (_, value) in members.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}, answer


@pytest.mark.hypothesis
def test_any_valid_answer_can_be_given_and_leaves_as_it_is() -> None:
    """By the schema that Gemini is held to, which must allow it, or by the client's schema in words."""
    shares = Shares()

    @given(st.one_of(example(), plain_objects()))
    def check(schema_and_instance: Any) -> None:
        schema, answer = schema_and_instance
        schema = {**schema, **DEFINED} if isinstance(schema, dict) else {"allOf": [schema], **DEFINED}
        assume(is_schema_for(schema, answer))
        output_config = {"format": {"type": "json_schema", "schema": schema}}

        request = translated(model=GEMINI_3, output_config=output_config).request

        validate_generate(an_envelope(GEMINI_3, request))
        declared = request["generationConfig"].get("responseSchema")
        shares.count(by_schema=declared is not None, in_words=declared is None)
        assert request["generationConfig"]["responseMimeType"] == "application/json"
        assert (
            declared is not None
            or orjson.dumps(schema).decode() in request["systemInstruction"]["parts"][-1]["text"]
        )
        assert declared is None or jsonschema.Draft202012Validator(as_json_schema(declared)).is_valid(answer)
        assert AnswerSchema(schema).fit(as_json(answer).decode()) == as_json(answer).decode()

    check()
    shares.check()


def is_schema_for(schema: Any, value: Any) -> bool:
    """Of ``oneOf`` two may fit, some of the annotations are no valid ones, and no text here is a date."""
    validator = jsonschema.Draft202012Validator
    has_format = "'format'" in repr({**schema, "$defs": None})
    return (
        not has_format
        and validator(validator.META_SCHEMA).is_valid(schema)
        and validator(schema).is_valid(value)
    )


def as_json_schema(declared: dict[str, Any]) -> dict[str, Any]:
    """What Google holds the model to: the names of an object are those that are listed."""
    schema: dict[str, Any] = {"type": declared["type"].lower()}
    if "enum" in declared:
        schema["enum"] = declared["enum"]
    if "items" in declared:
        schema["items"] = as_json_schema(declared["items"])
    if "properties" in declared:
        members = {name: as_json_schema(member) for name, member in declared["properties"].items()}
        schema |= {
            "properties": members,
            "required": declared.get("required", []),
            "additionalProperties": False,
        }
    return {"anyOf": [schema, {"type": "null"}]} if declared.get("nullable") else schema


@given(st.one_of(ANY_JSON, example().map(lambda pair: pair[0]), st.dictionaries(st.text(), ANY_JSON)))
def test_any_json_at_all_gives_a_declaration_that_google_accepts(schema: Any) -> None:
    parameters, _ = parameters_schema(schema, with_placeholders=True)

    request = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "", "parameters": parameters}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    }
    validate_generate(an_envelope(CLAUDE, request))


@settings(max_examples=100)
@given(tool_schemas())
def test_a_declaration_declared_again_is_the_same(schema_and_instance: Any) -> None:
    parameters, _ = parameters_schema(schema_and_instance[0], with_placeholders=False)

    assert parameters_schema(parameters, with_placeholders=False)[0] == parameters


@pytest.mark.hypothesis
def test_valid_arguments_survive_the_way_back() -> None:
    shares = Shares()

    @given(tool_schemas(), st.sampled_from([CLAUDE, GEMINI_3]), st.booleans())
    def check(schema_and_instance: Any, model: str, writes_texts: bool) -> None:
        schema, arguments = schema_and_instance
        assume(jsonschema.Draft202012Validator(schema).is_valid(arguments))  # of oneOf two may fit
        request = translated(model=model, tools=[a_tool(schema=schema)])
        declared = request.request["tools"][0]["functionDeclarations"][0]["parameters"]
        restoration = request.restorations.get("get_weather", Restoration())
        sent = as_the_model_sends(arguments, declared, restoration, writes_texts=writes_texts)
        shares.count(rewritten=sent != arguments, with_arguments=bool(arguments))

        events = events_of(
            a_stream(request), a_chunk({"functionCall": {"name": "get_weather", "args": sent}})
        )

        assert as_json(input_of(events)) == as_json(arguments)

    check()
    shares.check()


def as_the_model_sends(
    value: Any, declared: dict[str, Any] | None, restoration: Restoration | None, *, writes_texts: bool
) -> Any:
    """A value after the declared schema: as text where that asks for text, with placeholders and new names.

    ``writes_texts``: numbers and objects as texts wherever no text is allowed, as some models do.
    """
    restoration = restoration or Restoration()
    for text, original in restoration.enum_values.items():
        if type(original) is type(value) and original == value:
            return text
    if isinstance(value, str):
        is_read = "string" in restoration.reads_text_as and is_json(value)
        return orjson.dumps(value).decode() if is_read else value
    sent = value
    if isinstance(value, dict):
        sent = object_as_the_model_sends(value, declared, restoration, writes_texts=writes_texts)
    elif isinstance(value, list):
        sent = list_as_the_model_sends(value, declared, restoration, writes_texts=writes_texts)
    kind, reads = KINDS.get(type(value), "null"), restoration.reads_text_as
    is_declared_text = declared is not None and declared["type"] == "STRING"
    if (is_declared_text or writes_texts) and (kind in reads or (kind == "integer" and "number" in reads)):
        return orjson.dumps(sent).decode()
    return sent


def list_as_the_model_sends(
    value: list[Any], declared: dict[str, Any] | None, restoration: Restoration, *, writes_texts: bool
) -> list[Any]:
    items = declared.get("items") if declared else None
    firsts = restoration.first_items
    below = [*firsts, *[restoration.items] * len(value)]
    return [
        as_the_model_sends(item, items, one, writes_texts=writes_texts)
        for item, one in zip(value, below, strict=False)
    ]


def object_as_the_model_sends(
    value: dict[str, Any], declared: dict[str, Any] | None, restoration: Restoration, *, writes_texts: bool
) -> dict[str, Any]:
    new_names = {name: new_name for new_name, name in restoration.names.items()}
    properties = (declared or {}).get("properties", {})
    below = restoration.restorations_for(value)
    sent = {}
    for name, member in value.items():
        new_name = new_names.get(name, name)
        one = below.get(name, restoration.other_properties)
        sent[new_name] = as_the_model_sends(member, properties.get(new_name), one, writes_texts=writes_texts)
    return {**sent, restoration.placeholder: "to find out"} if restoration.placeholder else sent


def is_json(text: str) -> bool:
    try:
        orjson.loads(text.strip())
    except ValueError:
        return False
    return True


def as_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def input_of(events: list[Any]) -> Any:
    collector = MessageCollector()
    for event in events:
        collector.add(event)
    return collector.message()["content"][-1]["input"]


def an_envelope(model: str, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": "proj-1",
        "model": model,
        "userAgent": "antigravity",
        "requestType": "agent",
        "requestId": "agent-1",
        "request": request,
    }


# --- bounds ---


def all_refer_to_each_other(names: int) -> dict[str, Any]:
    everyone = {f"d{i}": {"$ref": f"#/$defs/d{i}"} for i in range(names)}
    definitions = {name: {"type": "object", "properties": everyone} for name in everyone}
    return {"type": "object", "properties": everyone, "$defs": definitions}


def twice_as_many_each_time(keyword: str) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{i}": {
            keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"properties": {"a": {"$ref": f"#/$defs/d{i + 1}"}}}]
        }
        for i in range(40)
    }
    return {"type": "object", "properties": {"v": {"$ref": "#/$defs/d0"}}, "$defs": definitions}


def nested(keyword: str, depth: int) -> dict[str, Any]:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {keyword: [schema]} if keyword.endswith("Of") else {keyword: schema}
    return {"type": "object", "properties": {"v": schema}}


HOSTILE: dict[str, Callable[[], dict[str, Any]]] = {
    "a union of many": lambda: {
        "anyOf": [{"properties": {f"p{i}": {"type": "string"}}} for i in range(2**18)]
    },
    "a union of constants": lambda: {"properties": {"v": {"oneOf": [{"const": i} for i in range(2**18)]}}},
    "a long enum": lambda: {"properties": {"v": {"enum": list(range(2**16))}}},
    "conditions of many": lambda: {"allOf": [{"properties": {"p": {"minimum": i}}} for i in range(2**13)]},
    "many properties": lambda: {"properties": {f"p {i}": {"type": "string"} for i in range(2**14)}},
    "many forbidden properties": lambda: {"properties": {f"p{i}": False for i in range(2**16)}},
    "many patterns": lambda: {"patternProperties": {f"^p{i}": {"type": "string"} for i in range(2**14)}},
    "references to all": lambda: all_refer_to_each_other(12),
    "references to all hundred": lambda: all_refer_to_each_other(100),
    "conditions twice as many": lambda: twice_as_many_each_time("allOf"),
    "alternatives twice as many": lambda: twice_as_many_each_time("anyOf"),
    "a reference to itself": lambda: {"$ref": "#"},
    "items of itself": lambda: {"properties": {"v": {"items": {"$ref": "#/properties/v"}}}},
    "deep not": lambda: nested("not", 10_000),
    "deep items": lambda: nested("items", 10_000),
    "deep anyOf": lambda: nested("anyOf", 10_000),
    "deep allOf": lambda: nested("allOf", 10_000),
    "deep if": lambda: {"type": "object", "if": nested("if", 10_000), "then": nested("then", 10_000)},
    "a deep constant": lambda: {"properties": {"v": {"enum": [nested("items", 10_000)]}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_is_bounded_in_time_and_size(make: Callable[[], dict[str, Any]]) -> None:
    schema = make()
    start = time.process_time()

    parameters, _ = parameters_schema(schema, with_placeholders=True)

    assert time.process_time() - start < 5
    assert repr(parameters).count("'type'") <= max(MAX_NODES * 7, 2 * len(schema.get("properties", ())))


def test_definitions_that_refer_to_each_other_are_all_described() -> None:
    names = [f"block{i}" for i in range(30)]
    blocks = {
        name: {
            "type": "object",
            "properties": {
                "type": {"const": name},
                f"text_of_{name}": {"type": "string"},
                "children": CHILDREN,
            },
        }
        for name in names
    }
    schema = {"type": "object", "properties": {"root": BLOCK}, "$defs": {**blocks, "Block": ANY_BLOCK(names)}}

    told = what_google_is_told(parameters_schema(schema, with_placeholders=True)[0])

    assert [name for name in names if not told.has(name) or not told.has(f"text_of_{name}")] == []


BLOCK = {"$ref": "#/$defs/Block"}
CHILDREN = {"type": "array", "items": BLOCK}


def ANY_BLOCK(names: list[str]) -> dict[str, Any]:  # noqa: N802
    return {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in names]}


def test_the_oracle_finds_whole_words_only() -> None:
    told = what_google_is_told({"type": "STRING", "description": "key12345 word"})

    assert not told.has("key1234")
    assert told.has("word")
