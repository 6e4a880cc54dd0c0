"""How a structured answer is asked for, what of it counts, and what is wrong with one that does not fit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.errors import InvalidRequest
from gateway.translation.request.structured_output import ANSWER_TOOL, AnswerSchema, UnfitAnswer
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_3,
    a_tool,
    assistant,
    translated,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "level": {"enum": [1, 2]}},
    "required": ["title"],
    "additionalProperties": False,
}


def a_format(schema: Any = TITLE) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


# --- asking ---


@pytest.mark.parametrize("model", [CLAUDE, CLAUDE_THINKING])
@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
def test_claude_answers_through_a_function_it_has_to_call(model: str, thinking: Any) -> None:
    request = translated(model=model, output_config=a_format(), thinking=thinking)

    (declaration,) = request.request["tools"][0]["functionDeclarations"]
    config = request.request["toolConfig"]["functionCallingConfig"]
    assert declaration["name"] == ANSWER_TOOL
    assert set(declaration["parameters"]["properties"]) == {"title", "level"}
    assert config == {"mode": "ANY", "allowedFunctionNames": [ANSWER_TOOL]}
    assert request.answer_rules.answer_tool == ANSWER_TOOL
    assert "thinkingConfig" not in request.request["generationConfig"]
    assert "systemInstruction" not in request.request


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [a_tool()]},
        {"thinking": {"type": "adaptive"}, "model": CLAUDE_THINKING},
        {"output_config": a_format({"type": "array", "items": {"type": "string"}})},
        {"output_config": a_format({"$ref": "#/$defs/T", "$defs": {"T": {"type": "string"}}})},
    ],
)
def test_tools_thinking_or_other_types_use_the_prompt(fields: dict[str, Any]) -> None:
    request = translated(**{"output_config": a_format(), **fields})

    assert request.answer_rules.answer_tool is None
    assert "JSON Schema" in request.request["systemInstruction"]["parts"][-1]["text"]


def test_gemini_keeps_its_own_field() -> None:
    request = translated(model=GEMINI_3, output_config=a_format())

    assert request.answer_rules.answer_tool is None
    assert "responseSchema" in request.request["generationConfig"]


ADDED_TOOL = {
    "role": "system",
    "content": [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": a_tool("look_up")}}
    ],
}
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def test_a_tool_added_in_the_conversation_stays_callable() -> None:
    request = translated(user("hi"), ADDED_TOOL, user("go"), output_config=a_format())

    (declaration,) = request.request["tools"][0]["functionDeclarations"]
    assert declaration["name"] == "look_up"
    assert request.answer_rules.answer_tool is None
    assert "JSON Schema" in request.request["systemInstruction"]["parts"][-1]["text"]


def test_tools_that_are_not_declared_are_no_tools() -> None:
    request = translated(output_config=a_format(), tools=[WEB_SEARCH])

    assert request.answer_rules.answer_tool == ANSWER_TOOL


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


SAID_BY_GOOGLES_SCHEMA = {
    "an object of scalars": TITLE,
    "numbers in an enum": an_object(level={"enum": [1, 2.5, None]}),
    "texts in an enum": {"enum": ["a", "b", None]},
    "integers and numbers": an_object(size={"type": ["integer", "number", "null"]}),
    "an array at the top": {"type": "array", "items": {"type": "string"}},
    "definitions": {"$ref": "#/$defs/A", "$defs": {"A": an_object(a={"$ref": "#/$defs/B"}), "B": TITLE}},
    "objects told apart": an_object(
        shape={
            "anyOf": [
                an_object(kind={"const": "a"}, size={"type": "integer"}),
                an_object(kind={"const": "b"}, size={"type": "integer"}, name={"type": "string"}),
            ]
        }
    ),
    "conditions together": {"allOf": [TITLE, an_object(title={"type": "string", "minLength": 1})]},
}
NOT_SAID_BY_GOOGLES_SCHEMA = {
    "any value": an_object(v={}),
    "a mixed enum": {"enum": [1, "a", None]},
    "a mixed enum in an array": {"type": "array", "items": {"enum": [1, "a"]}},
    "the empty text": an_object(v={"enum": ["", "a"]}),
    "objects in an enum": an_object(v={"enum": [{"a": 1}]}),
    "two types": an_object(v={"type": ["number", "string"]}),
    "an open number beside a listed one": an_object(v={"anyOf": [{"type": "integer"}, {"const": 1.5}]}),
    "a text or an object": {"anyOf": [{"type": "string"}, TITLE]},
    "only null": an_object(v={"type": "null"}),
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "other names as well": {**TITLE, "additionalProperties": {"type": "string"}},
    "names by pattern": {**TITLE, "patternProperties": {"^x-": {"type": "string"}}},
    "any object": {"type": "object"},
    "no name allowed": an_object(a=False),
    "a name that is only required": {**TITLE, "required": ["title", "more"]},
    "any array": an_object(v={"type": "array"}),
    "any array or one of texts": {
        "anyOf": [{"type": "array"}, {"type": "array", "items": {"type": "string"}}]
    },
    "any object or one of names": {"anyOf": [{"type": "object"}, TITLE]},
    "a condition": {**TITLE, "if": {"required": ["level"]}, "then": an_object(title={"type": "null"})},
    "recursion": an_object(name={"type": "string"}, child={"$ref": "#"}),
    "a name narrowed by one alternative": {
        **an_object(a={"type": ["integer", "string"]}),
        "anyOf": [an_object(a={"type": "integer"}), an_object(b={"type": "integer"})],
    },
}


@pytest.mark.parametrize("schema", SAID_BY_GOOGLES_SCHEMA.values(), ids=SAID_BY_GOOGLES_SCHEMA)
def test_a_schema_that_google_can_say_holds_gemini(schema: Any) -> None:
    request = translated(model=GEMINI_3, output_config=a_format(schema)).request

    assert "responseSchema" in request["generationConfig"]
    assert "systemInstruction" not in request


@pytest.mark.parametrize("schema", NOT_SAID_BY_GOOGLES_SCHEMA.values(), ids=NOT_SAID_BY_GOOGLES_SCHEMA)
def test_any_other_schema_is_said_in_words(schema: Any) -> None:
    gemini = translated(model=GEMINI_3, output_config=a_format(schema)).request
    claude = translated(model=CLAUDE, output_config=a_format(schema))

    assert gemini["generationConfig"]["responseMimeType"] == "application/json"
    assert "responseSchema" not in gemini["generationConfig"]
    for request in (gemini, claude.request):
        assert orjson.dumps(schema).decode() in request["systemInstruction"]["parts"][-1]["text"]
    assert claude.answer_rules.answer_tool is None


@pytest.mark.parametrize("tools", [[a_tool()], []], ids=["in words", "through a function"])
def test_a_prefill_is_not_gone_on_from(tools: list[dict[str, Any]]) -> None:
    """The answer has to be complete JSON, and the client would have only its end."""
    request = translated(user("hi"), assistant("{"), output_config=a_format(), tools=tools)

    assert request.request["contents"][-1]["parts"] == [{"text": "Continue."}]


# --- what counts ---

FITS = '{"title":"A day"}'


@pytest.mark.parametrize(
    ("said", "valid"),
    [
        (FITS, FITS),
        ('\n{ "title": "A day" }\n', '\n{ "title": "A day" }\n'),
        (f"```json\n{FITS}\n```", FITS),
        (f"```\n{FITS}\n```\n", FITS),
        (f"Here it is:\n\n```json\n{FITS}\n```\nTell me if it is [wrong].", FITS),
        (f"In short [1]: {FITS}", FITS),
        (f"{{not JSON}} {FITS}", FITS),
        ('{"title":"```json\\n{}\\n```"}', '{"title":"```json\\n{}\\n```"}'),
        ('{"title":"ü 😀"} ', '{"title":"ü 😀"} '),
    ],
)
def test_the_json_in_the_answer_counts(said: str, valid: str) -> None:
    assert AnswerSchema(TITLE).fit(said) == valid


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "the answer is no JSON"),
        ("I cannot say.", "the answer is no JSON"),
        ('{"title":', "the answer is no JSON"),
        ('{"title":NaN}', "the answer is no JSON"),
        ('"secret"', "the whole answer: type"),
        ("{}", "title: required"),
        ('{"title":5}', "title: type"),
        ('{"title":"secret","level":3}', "level: enum"),
        ('{"title":"secret","secret":3}', "the whole answer: additionalProperties"),
        ("{" * 50_000, "the answer is no JSON"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "the answer is no JSON"),
    ],
)
def test_the_first_place_that_does_not_fit_is_named(said: str, problem: str) -> None:
    with pytest.raises(UnfitAnswer) as caught:
        AnswerSchema(TITLE).fit(said)

    assert str(caught.value) == problem


def test_places_within_lists_are_named_by_their_number() -> None:
    schema = {"properties": {"items": {"type": "array", "items": {"properties": {"kind": {"const": "a"}}}}}}

    with pytest.raises(UnfitAnswer, match=r"^items\.1\.kind: const$"):
        AnswerSchema(schema).fit('{"items":[{"kind":"a"},{"kind":"b"}]}')


def test_formats_patterns_and_references_count() -> None:
    schema = {
        "type": "object",
        "properties": {
            "on": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^(?!0)\\d+$"},
            "next": {"$ref": "#"},
        },
    }

    AnswerSchema(schema).fit('{"on":"2026-11-25","code":"12","next":{"code":"3"}}')
    for wrong in ('{"on":"today"}', '{"code":"012"}', '{"next":{"code":"x"}}'):
        with pytest.raises(UnfitAnswer):
            AnswerSchema(schema).fit(wrong)


def test_an_answer_is_never_rewritten_to_fit() -> None:
    schema = AnswerSchema({"type": "object", "properties": {"n": {"enum": ["auto", 1]}, "any": {}}})

    assert schema.fit('{"any":"{}","n":1}') == '{"any":"{}","n":1}'
    with pytest.raises(UnfitAnswer):
        schema.fit('{"n":"1"}')


# --- the schema itself ---


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "objekt"}, "type: "),
        ({"properties": 3}, "properties: "),
        ({"properties": {"a": {"minLength": -1}}}, "properties.a.minLength: "),
        ({"pattern": 5}, "pattern: "),
        ({"pattern": "(", "type": "objekt"}, "type: "),
        ({"patternProperties": {"(": 5}, "required": 1}, "required: "),
        ({"$ref": "https://example.com/schema.json"}, "https://example.com/schema.json"),
        ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled"),
        ({"$ref": "#/nowhere"}, "/nowhere"),
        ({"$schema": 5}, "$schema: "),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^output_config\.format\.schema: ") as caught:
        AnswerSchema(schema)

    assert problem in caught.value.message


NULLABLE = {
    "a type": {"type": "string", "nullable": True},
    "a list of types": {"type": ["string", "integer"], "nullable": True},
    "an enum": {"type": "string", "enum": ["a"], "nullable": True},
    "a constant": {"const": "a", "nullable": True},
    "a reference": {"$ref": "#/$defs/A", "nullable": True},
    "conditions": {"allOf": [{"$ref": "#/$defs/A"}], "type": "string", "nullable": True},
    "an alternative": {"anyOf": [{"type": "string", "nullable": True}, {"type": "integer"}]},
}


@pytest.mark.parametrize("schema", NULLABLE.values(), ids=NULLABLE)
def test_null_is_allowed_where_openapi_says_nullable(schema: Any) -> None:
    wanted = {**an_object(a=schema), "$defs": {"A": {"type": "string"}}}

    for said in ('{"a":null}', '{"a":"a"}'):
        assert AnswerSchema(wanted).fit(said) == said
    with pytest.raises(UnfitAnswer):
        AnswerSchema(wanted).fit('{"a":true}')


@pytest.mark.parametrize("model", [GEMINI_3, CLAUDE])
def test_nullable_is_told_to_every_model(model: str) -> None:
    schema = {**an_object(a=NULLABLE["a reference"]), "$defs": {"A": {"type": "string"}}}
    request = translated(model=model, output_config=a_format(schema)).request

    told = request["generationConfig"].get("responseSchema")
    told = told or request["tools"][0]["functionDeclarations"][0]["parameters"]
    assert told["properties"]["a"] == {"type": "STRING", "nullable": True}


def test_a_property_or_a_value_called_nullable_is_data() -> None:
    schema = AnswerSchema(
        {"properties": {"nullable": True, "a": {"const": {"type": "string", "nullable": True}}}}
    )

    assert schema.fit('{"a":{"type":"string","nullable":true},"nullable":1}')
    with pytest.raises(UnfitAnswer):
        schema.fit('{"a":null}')


@pytest.mark.parametrize("pattern", [r"[\w-.]+", "a{,5}", r"^a\Z", "("])
def test_a_pattern_of_another_dialect_is_left_unchecked(pattern: str) -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": pattern}, "b": {"pattern": "^b$"}}}
    of_names = {"patternProperties": {pattern: {"type": "string"}}, "additionalProperties": False}

    assert AnswerSchema(schema).fit('{"a":"-","b":"b"}')
    assert AnswerSchema(of_names).fit('{"aa":"-"}')
    with pytest.raises(UnfitAnswer, match=r"^b: pattern$"):
        AnswerSchema(schema).fit('{"b":"c"}')


@pytest.mark.parametrize("uri", ["https://example.com/my-own", "schema.json"])
def test_an_unknown_meta_schema_is_ignored(uri: str) -> None:
    with pytest.raises(UnfitAnswer, match=r"^title: required$"):
        AnswerSchema({"$schema": uri, **TITLE}).fit("{}")


def definitions(count: int) -> dict[str, Any]:
    """Each refers to the one before it twice."""
    doubled = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, count)}
    return {"$defs": {"d0": {"type": "string"}, **doubled}, "$ref": f"#/$defs/d{count - 1}"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "make",
    [lambda: definitions(40), lambda: nested(200_000), lambda: {"anyOf": [{}] * 20_000}],
    ids=["definitions", "nested", "alternatives"],
)
def test_a_schema_cannot_stop_the_gateway(make: Callable[[], dict[str, Any]]) -> None:
    schema = make()
    started = time.process_time()

    with pytest.raises(InvalidRequest, match="is too large, or nested too deeply"):
        AnswerSchema(schema)

    assert time.process_time() - started < 2


def test_many_patterns_of_another_dialect_take_little_time() -> None:
    members = {f"p{number}": {"pattern": f"{number}{{,5}}"} for number in range(9_000)}
    started = time.process_time()

    assert AnswerSchema({"properties": members}).fit('{"p1":"x"}')

    assert time.process_time() - started < 4


@pytest.mark.parametrize("count", [50, 3_000])
def test_patterns_that_are_large_when_compiled_take_little_time(count: int) -> None:
    properties = {f"p{number}": {"pattern": rf"(?=a)\w{{500}}{number}"} for number in range(count)}
    started = time.process_time()

    schema = AnswerSchema({"properties": properties})

    assert time.process_time() - started < 0.5
    assert schema.fit('{"p1": "b"}') == '{"p1": "b"}'


def test_many_patterns_where_no_keyword_leads_are_refused() -> None:
    hidden = {f"p{number}": {"pattern": f"^{number}$"} for number in range(101)}

    with pytest.raises(InvalidRequest, match="too large"):
        AnswerSchema({"hidden": hidden, "$ref": "#/hidden/p1"})


@pytest.mark.slow
def test_a_deep_schema_is_read_or_refused() -> None:
    deep, too_deep = ({**nested(levels), "nullable": True} for levels in (100, 350))

    assert AnswerSchema(deep).fit("{}")
    with pytest.raises(InvalidRequest, match="Recursion limit reached"):
        AnswerSchema(too_deep)
    assert translated(model=GEMINI_3, output_config=a_format(deep)).request["contents"]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"properties": {"next": {"$ref": "#"}}}}},
        {"$ref": "#/allOf/0", "allOf": [{}]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"A": {}}, "type": "object"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$id": "https://example.com/a", "$defs": {"b": {"$id": "b"}}, "properties": {"c": {"$ref": "b"}}},
        {"format": "of the future", "x-keyword": 1},
    ],
)
def test_a_schema_of_any_kind_is_understood(schema: Any) -> None:
    assert AnswerSchema(schema).fit("{}") == "{}"


@pytest.mark.parametrize(
    "said", ["```json\n" + "\n" * 500_000, "[" * 500_000, "{}" * 200_000, "[] " * 200_000]
)
def test_no_answer_can_stop_the_gateway(said: str) -> None:
    """Models repeat themselves at times, to the end of their tokens."""
    started = time.process_time()

    with pytest.raises(UnfitAnswer):
        AnswerSchema(TITLE).fit(said)

    assert time.process_time() - started < 2


def test_a_pattern_cannot_stop_the_gateway() -> None:
    schema = AnswerSchema({"properties": {"a": {"pattern": "^(?=(a+)+$)b"}}})
    started = time.process_time()

    with pytest.raises(UnfitAnswer, match=r"^a: pattern$"):
        schema.fit('{"a":"%s!"}' % ("a" * 50_000))

    assert time.process_time() - started < 2
