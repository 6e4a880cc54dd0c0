"""Each GoogleError has a request that has no other fault."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy_site.emulator.pretend_model.signatures import SENTINEL, Signatures
from proxy_site.emulator.rules.validator import GoogleError, validate_generate
from tests.proxy_site.emulator.builders import (
    SIGNATURES,
    Json,
    a_claude_request,
    a_gemini_request,
    a_gpt_request,
    a_text_request,
    call,
    changed,
    declaration,
    image,
    model,
    response,
    signed_call,
    text,
    thought,
    tools,
    user,
)

CONTENTS = "request.contents"
PARAMETERS = "request.tools.0.functionDeclarations.0.parameters"
CONFIG = "request.generationConfig"
CALLING = "request.toolConfig.functionCallingConfig"


def google_error_of(envelope: Json) -> GoogleError:
    with pytest.raises(GoogleError) as caught:
        validate_generate(envelope)
    return caught.value


def a_prefilled_request(model_id: str, contents: list[Json], **fields: Any) -> Json:
    return a_text_request(model_id) | {"request": {"contents": contents, **fields}}


def claude_message(error: GoogleError) -> str:
    """Anthropic's own words, out of the JSON string in Google's message."""
    return str(orjson.loads(error.message)["error"]["message"])


@pytest.mark.parametrize(
    "envelope",
    [
        a_claude_request(),
        a_gemini_request(),
        a_gemini_request("gemini-3-pro-preview"),
        a_gpt_request(),
        a_text_request("claude-sonnet-4-5"),
        a_text_request("gemini-2.5-flash", generationConfig={"thinkingConfig": {"thinkingBudget": 0}}),
        a_text_request("gemini-3-flash", generationConfig={"thinkingConfig": {"thinkingLevel": "low"}}),
    ],
)
def test_a_request_in_order_passes(envelope: Json) -> None:
    validate_generate(envelope)


# Unknown names: one at every place where a translator might leave one behind.
UNKNOWN_NAMES = [
    ("", ""),
    ("request", " at 'request'"),
    (f"{CONTENTS}.0", " at 'request.contents[0]'"),
    (f"{CONTENTS}.0.parts.0", " at 'request.contents[0].parts[0]'"),
    (f"{CONTENTS}.0.parts.1.inlineData", " at 'request.contents[0].parts[1].inline_data'"),
    (f"{CONTENTS}.1.parts.2.functionCall", " at 'request.contents[1].parts[2].function_call'"),
    (f"{CONTENTS}.2.parts.0.functionResponse", " at 'request.contents[2].parts[0].function_response'"),
    ("request.systemInstruction", " at 'request.system_instruction'"),
    ("request.tools.0", " at 'request.tools[0]'"),
    ("request.tools.0.functionDeclarations.0", " at 'request.tools[0].function_declarations[0]'"),
    (PARAMETERS, " at 'request.tools[0].function_declarations[0].parameters'"),
    (
        f"{PARAMETERS}.properties.lines.items",
        " at 'request.tools[0].function_declarations[0].parameters.properties[1].value.items'",
    ),
    ("request.toolConfig", " at 'request.tool_config'"),
    (CALLING, " at 'request.tool_config.function_calling_config'"),
    (CONFIG, " at 'request.generation_config'"),
    (f"{CONFIG}.thinkingConfig", " at 'request.generation_config.thinking_config'"),
]


@pytest.mark.parametrize(("place", "shown"), UNKNOWN_NAMES)
def test_an_unknown_name_is_refused_wherever_it_is(place: str, shown: str) -> None:
    path = f"{place}.cache_control" if place else "cache_control"

    error = google_error_of(changed(a_claude_request(), path, {"type": "ephemeral"}))

    assert error.status == 400
    wanted = f'Invalid JSON payload received. Unknown name "cache_control"{shown}: Cannot find field.'
    assert error.message == wanted
    assert error.body["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "keyword",
    ["$ref", "$schema", "const", "anyOf", "oneOf", "allOf", "additionalProperties", "default", "minLength"],
)
def test_a_schema_keyword_outside_the_subset_is_an_unknown_name(keyword: str) -> None:
    error = google_error_of(changed(a_claude_request(), f"{PARAMETERS}.properties.file_path.{keyword}", {}))

    assert f'Unknown name "{keyword}"' in error.message


def test_a_property_may_be_called_like_a_keyword() -> None:
    names = ("type", "enum", "$ref", "title", "const", "default")
    properties = {name: {"type": "STRING"} for name in names}
    parameters = {"type": "OBJECT", "properties": properties}
    nested = {"type": "OBJECT", "properties": {"nested": parameters}}

    validate_generate(changed(a_gemini_request(), PARAMETERS, parameters))
    validate_generate(changed(a_claude_request(), PARAMETERS, nested))


def test_an_answers_schema_is_held_to_the_rules_of_parameters() -> None:
    config = {"responseMimeType": "application/json", "responseSchema": {"type": "ARRAY"}}
    request = changed(changed(a_gemini_request(), CONFIG, config), "request.tools", ...)

    error = google_error_of(changed(request, "request.toolConfig", ...))

    assert "generation_config.response_schema.items: missing field." in error.message


@pytest.mark.parametrize("name", ["$top", "filter[id]", "a b", "", "n" * 65])
def test_claude_holds_the_names_of_parameters_to_a_pattern(name: str) -> None:
    parameters = {"type": "OBJECT", "properties": {name: {"type": "STRING"}}}

    error = google_error_of(changed(a_claude_request(), PARAMETERS, parameters))

    assert "tools.0.custom.input_schema.properties: Property keys should match" in claude_message(error)
    validate_generate(changed(a_gemini_request(), PARAMETERS, parameters))


# (what is set, to what, what Google says)
WRONG_VALUES: list[tuple[str, Any, str]] = [
    ("project", 7, "Invalid value at 'project' (TYPE_STRING), 7"),
    ("project", ..., "Invalid resource field value in the request: project"),
    ("project", "", "Invalid resource field value in the request: project"),
    ("model", ..., "Invalid resource field value in the request: model"),
    ("request", ..., "Invalid resource field value in the request: request"),
    ("request", [], "Proto field is not repeating, cannot start list."),
    ("request.systemInstruction", "Be brief.", "Invalid value at 'request.system_instruction'"),
    ("request.systemInstruction.parts", [], "parts must not be empty"),
    ("request.systemInstruction.parts.0", {"text": ""}, "none of them empty"),
    ("request.systemInstruction.parts.0", image(), "text parts only"),
    (CONTENTS, [], "contents is not specified"),
    (CONTENTS, ..., "contents is not specified"),
    (CONTENTS, {}, "Proto field is repeating"),
    (f"{CONTENTS}.0.parts", [], "contents.parts must not be empty"),
    (f"{CONTENTS}.0.parts", ..., "contents.parts must not be empty"),
    (f"{CONTENTS}.0.parts.0", {}, "must have one initialized field"),
    (f"{CONTENTS}.0.parts.0", {"text": ""}, "must have one initialized field"),
    (
        f"{CONTENTS}.0.parts.0.text",
        5,
        "Invalid value at 'request.contents[0].parts[0].text' (TYPE_STRING), 5",
    ),
    (f"{CONTENTS}.0.parts.0.inlineData", image()["inlineData"], "oneof field 'data' is already set"),
    (f"{CONTENTS}.0.parts.1.inlineData.data", "not base64!", "Base64 decoding failed"),
    (f"{CONTENTS}.0.parts.1.inlineData.data", ..., "mime_type and data required"),
    (f"{CONTENTS}.0.role", "assistant", "Please use a valid role: user, model."),
    (f"{CONTENTS}.0.role", ..., "Please use a valid role: user, model."),
    (f"{CONTENTS}.0.parts.2", call(), "function calls and thoughts have the role model"),
    (f"{CONTENTS}.0.parts.2", thought(), "function calls and thoughts have the role model"),
    (f"{CONTENTS}.1.parts.4", response(), "function responses have the role user"),
    (f"{CONTENTS}.1.parts.2.functionCall.args", "{}", "google.protobuf.Struct"),
    (f"{CONTENTS}.1.parts.2.functionCall.name", ..., "Invalid function name"),
    (f"{CONTENTS}.1.parts.2.functionCall.name", "1st", "Invalid function name"),
    (f"{CONTENTS}.2.parts.0.functionResponse.name", ..., "Invalid function name"),
    (f"{CONTENTS}.2.parts.0.functionResponse.response", ..., "function_response.response: required"),
    (f"{CONTENTS}.2.parts.0.functionResponse.response", "hello", "google.protobuf.Struct"),
    ("request.tools", {}, "Proto field is repeating"),
    ("request.tools.0", {}, "required one_of 'tool_type'"),
    ("request.tools.0.functionDeclarations", [], "required one_of 'tool_type'"),
    (
        "request.tools.1",
        tools("Write")[0],
        "Multiple tools are supported only when they are all search tools.",
    ),
    ("request.tools.0.googleSearch", {}, "Tool use with function calling is unsupported"),
    ("request.tools.0.functionDeclarations.0.name", ..., "Invalid function name"),
    ("request.tools.0.functionDeclarations.0.name", "a" * 65, "Invalid function name"),
    ("request.tools.0.functionDeclarations.0.name", "mcp/tool", "Invalid function name"),
    (
        f"{PARAMETERS}.type",
        "any",
        "Invalid value at 'request.tools[0].function_declarations[0].parameters.type'",
    ),
    (f"{PARAMETERS}.type", ["string", "null"], "Proto field is not repeating, cannot start list."),
    (f"{PARAMETERS}.type", ..., "schema didn't specify the schema type field"),
    (f"{PARAMETERS}.required.1", "nope", "required[1]: property is not defined"),
    (f"{PARAMETERS}.properties.file_path", True, "Invalid value at"),
    (f"{PARAMETERS}.properties.lines.items", ..., "items: missing field."),
    (f"{PARAMETERS}.properties.lines.items", [{"type": "STRING"}], "cannot start list"),
    (f"{PARAMETERS}.properties.lines.type", "STRING", "only allowed for ARRAY type"),
    (f"{PARAMETERS}.properties.encoding.enum", [1, 2], "enum[0]' (TYPE_STRING), 1"),
    (f"{PARAMETERS}.properties.encoding.enum", ["a", ""], "enum[1]: cannot be empty"),
    (f"{PARAMETERS}.properties.encoding.type", "INTEGER", "enum: only allowed for STRING type"),
    (f"{PARAMETERS}.properties.encoding.properties", {}, "only allowed for OBJECT type"),
    (f"{PARAMETERS}.properties.encoding.required", ["a"], "required: only allowed for OBJECT type"),
    (f"{PARAMETERS}.properties.encoding.format", "uri", "only date-time, enum are supported for STRING type"),
    (f"{CALLING}.mode", "SOMETIMES", "Invalid value at"),
    (f"{CALLING}.allowedFunctionNames", ["Write"], "is not in the function declarations"),
    (f"{CONFIG}.maxOutputTokens", "many", "TYPE_INT32"),
    (f"{CONFIG}.maxOutputTokens", 10.5, "TYPE_INT32"),
    (f"{CONFIG}.maxOutputTokens", 0, "maxOutputTokens"),
    (f"{CONFIG}.temperature", "hot", "TYPE_FLOAT"),
    (f"{CONFIG}.topP", 1.5, "topP"),
    (f"{CONFIG}.topP", -0.5, "topP"),
    (f"{CONFIG}.topK", 0, "topK"),
    (f"{CONFIG}.candidateCount", 2, "candidateCount"),
    (f"{CONFIG}.stopSequences", "END", "Proto field is repeating"),
    (f"{CONFIG}.responseSchema", {"type": "OBJECT"}, "requires the response mime type"),
    (f"{CONFIG}.thinkingConfig.include_thoughts", "yes", "TYPE_BOOL"),
    (f"{CONFIG}.thinkingConfig.thinking_level", "extreme", "Invalid value at"),
    ("request.sessionId", 5, "TYPE_STRING"),
]

# The same mistake is one for every family, so each is tried on each request that has the place.
FAMILIES = {"claude": a_claude_request(), "gemini": a_gemini_request()}


def has_place(envelope: Json, path: str) -> bool:
    try:
        changed(envelope, path, None)
    except (KeyError, IndexError):
        return False
    return True


CASES = [(family, *row) for row in WRONG_VALUES for family, one in FAMILIES.items() if has_place(one, row[0])]


@pytest.mark.parametrize(("family", "path", "value", "words"), CASES)
def test_google_refuses_a_value_that_does_not_fit(family: str, path: str, value: Any, words: str) -> None:
    error = google_error_of(changed(FAMILIES[family], path, value))

    assert error.status == 400
    assert words in error.message


def test_an_unknown_model_is_not_found() -> None:
    error = google_error_of(a_text_request("claude-3-5-sonnet"))

    assert (error.status, error.body["error"]["status"]) == (404, "NOT_FOUND")


def test_null_is_the_same_as_absent() -> None:
    validate_generate(changed(a_claude_request(), "request.toolConfig", None))


def test_names_may_be_in_snake_case() -> None:
    envelope = a_text_request()
    envelope["request"]["system_instruction"] = "Be brief."

    assert "request.system_instruction" in google_error_of(envelope).message


@pytest.mark.parametrize("request_builder", [a_claude_request, a_gemini_request])
def test_a_schema_deeper_than_the_wire_allows_is_refused(request_builder: Any) -> None:
    schema: Json = {"type": "STRING"}
    for _ in range(46):
        schema = {"type": "OBJECT", "properties": {"a": schema}}

    assert "too deep" in google_error_of(changed(request_builder(), PARAMETERS, schema)).message


def test_a_schema_deeper_than_python_allows_is_refused_all_the_same() -> None:
    schema: Json = {"type": "STRING"}
    for _ in range(5_000):
        schema = {"type": "ARRAY", "items": schema}
    envelope = a_claude_request()
    envelope["request"]["tools"][0]["functionDeclarations"][0]["parameters"] = schema

    assert "too deep" in google_error_of(envelope).message


def test_arguments_deeper_than_the_wire_allows_are_refused() -> None:
    args: Json = {}
    for _ in range(100):
        args = {"a": args}

    assert (
        "too deep"
        in google_error_of(
            changed(a_claude_request(), f"{CONTENTS}.1.parts.2.functionCall.args", args)
        ).message
    )


# Claude

THINKING = f"{CONFIG}.thinkingConfig"
CLAUDE_REFUSALS: list[tuple[str, Any, str]] = [
    (f"{CONTENTS}.0.parts.0", text("  \n"), "text content blocks must contain non-whitespace text"),
    (
        "request.systemInstruction.parts.0",
        text(" "),
        "system: text content blocks must contain non-whitespace",
    ),
    (f"{CONTENTS}.0.parts.1", image("image/bmp"), "media_type: Input should be"),
    (
        f"{CONTENTS}.1.parts.1",
        image(),
        "messages.1.content.1: 'image' blocks are not permitted within assistant",
    ),
    (f"{CONTENTS}.1.parts.2.functionCall.name", "get.weather", "tool_use.name: String should match pattern"),
    (f"{CONTENTS}.1.parts.2.functionCall.id", ..., "messages.1.content.2.tool_use.id: Field required"),
    (f"{CONTENTS}.1.parts.2.functionCall.id", "a b", "tool_use.id: String should match pattern"),
    (f"{CONTENTS}.1.parts.2.functionCall.id", "x" * 65, "tool_use.id: String should match pattern"),
    (f"{CONTENTS}.1.parts.3.functionCall.id", "toolu_1", "`tool_use` ids must be unique"),
    (f"{CONTENTS}.2.parts.0.functionResponse.id", ..., "tool_result.tool_use_id: Field required"),
    (f"{CONTENTS}.2.parts.0", ..., "ids were found without `tool_result` blocks immediately after: toolu_1"),
    (f"{CONTENTS}.2.parts", [text("Never mind.")], "immediately after: toolu_1, toolu_2"),
    (
        f"{CONTENTS}.2.parts",
        [text("First this."), response("Read", "toolu_1"), response("Grep", "toolu_2")],
        "immediately after: toolu_1, toolu_2",
    ),
    (
        f"{CONTENTS}.2.parts",
        [response("Read", "toolu_1"), text("Between."), response("Grep", "toolu_2")],
        "immediately after: toolu_2",
    ),
    (f"{CONTENTS}.2.parts.3", response("Read", "toolu_9"), "unexpected `tool_use_id` found"),
    (f"{CONTENTS}.2.parts.3", response("Read", "toolu_1"), "each tool_use must have a single result"),
    (f"{CONTENTS}.1.parts.4", text("And then?"), "without `tool_result` blocks immediately after"),
    (f"{CONTENTS}.3", model(call("Read", "toolu_3")), "immediately after: toolu_3"),
    (
        f"{CONTENTS}.1.parts.0",
        thought(signed_as="Something else."),
        "Invalid `signature` in `thinking` block",
    ),
    (f"{CONTENTS}.1.parts.0.thoughtSignature", "AAAA", "Invalid `signature` in `thinking` block"),
    (f"{CONTENTS}.1.parts.0.thoughtSignature", ..., "thinking.signature: Field required"),
    (
        f"{CONTENTS}.1.parts.0.thoughtSignature",
        SIGNATURES.issue("gemini", "I should look."),
        "Invalid `signature` in `thinking` block",
    ),
    (f"{CONTENTS}.1.parts.2.thoughtSignature", SENTINEL, "signature: Extra inputs are not permitted"),
    (f"{CONTENTS}.1.parts.0", ..., "Expected `thinking` or `redacted_thinking`, but found `text`"),
    (f"{CONTENTS}.1.parts", [call("Read"), call("Grep", "toolu_2")], "but found `tool_use`"),
    (f"{CONTENTS}.3", model(text("So the")), "does not support assistant message prefill. The conversation"),
    (
        "request.tools.0.functionDeclarations.0.name",
        "get.weather",
        "tools.0.custom.name: String should match",
    ),
    ("request.tools.0.functionDeclarations.1.name", "Read", "tools: Tool names must be unique."),
    ("request.tools.0.functionDeclarations.0.parameters", ..., "tools.0.custom.input_schema: Field required"),
    (PARAMETERS, {"type": "STRING"}, "input_schema.type: Input should be 'object'"),
    (f"{CALLING}.mode", "ANY", "Thinking may not be enabled when tool_choice forces tool use."),
    (f"{CONFIG}.maxOutputTokens", 64_001, "max_tokens: 64001 > 64000, which is the maximum allowed number"),
    (f"{CONFIG}.maxOutputTokens", 16_000, "`max_tokens` must be greater than `thinking.budget_tokens`."),
    (f"{THINKING}.thinking_budget", 1023, "greater than or equal to 1024"),
    (f"{CONFIG}.temperature", 0.5, "`temperature` may only be set to 1 when thinking is enabled."),
    (f"{CONFIG}.temperature", 1.5, "temperature: range: 0..1"),
    (f"{CONFIG}.topP", 0.9, "`top_p` must be greater than or equal to 0.95"),
    (f"{CONFIG}.topK", 40, "`top_k` must be unset"),
    (f"{CONFIG}.stopSequences", [" "], "each stop sequence must contain non-whitespace"),
]


@pytest.mark.parametrize(("path", "value", "words"), CLAUDE_REFUSALS)
def test_claude_refuses_in_its_own_words(path: str, value: Any, words: str) -> None:
    error = google_error_of(changed(a_claude_request(), path, value))

    assert (error.status, error.body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in claude_message(error)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (PARAMETERS, {"type": "OBJECT", "properties": {}}, "should be non-empty for OBJECT type"),
        (f"{THINKING}.thinking_level", "LOW", "Thinking level is not supported for this model."),
        (f"{CONFIG}.responseMimeType", "application/json", "is not supported by claude-opus-4-6-thinking"),
        (
            "request.safetySettings",
            [{"category": "X", "threshold": "OFF"}],
            "Safety settings are not supported",
        ),
        (f"{CONTENTS}.0.parts.1", {"fileData": {"fileUri": "https://a/b.png"}}, "File data is not supported"),
    ],
)
def test_google_refuses_for_claude(path: str, value: Any, words: str) -> None:
    assert words in google_error_of(changed(a_claude_request(), path, value)).message


def test_claude_wants_tools_where_there_are_calls() -> None:
    envelope = changed(a_claude_request(), "request.toolConfig", ...)

    error = google_error_of(changed(envelope, "request.tools", ...))

    assert "`tool_use` or `tool_result` blocks must define tools" in claude_message(error)


def test_claude_takes_a_thought_whose_text_was_left_out() -> None:
    omitted = {**thought(), "text": ""}

    validate_generate(changed(a_claude_request(), f"{CONTENTS}.1.parts.0", omitted))


def test_claude_takes_a_prefill_without_thinking_unless_it_ends_in_a_blank() -> None:
    contents = [user(text("Finish: to be")), model(text("or not"))]
    validate_generate(a_prefilled_request("claude-sonnet-4-5", contents))

    contents[1] = model(text("or not "))

    error = google_error_of(a_prefilled_request("claude-sonnet-4-5", contents))
    assert "cannot end with trailing whitespace" in claude_message(error)


@pytest.mark.parametrize(
    ("model_id", "config", "words"),
    [
        ("claude-sonnet-4-6", {}, "does not support assistant message prefill. The conversation must end"),
        ("claude-sonnet-4-5-thinking", {"thinkingBudget": 2_000}, "prefill when thinking is enabled."),
    ],
)
def test_claude_takes_no_prefill_from_4_6_on_and_with_thinking(
    model_id: str, config: Json, words: str
) -> None:
    contents = [user(text("Finish: to be")), model(text("or not"))]
    generation = {"maxOutputTokens": 8_000, "thinkingConfig": config} if config else {}

    error = google_error_of(a_prefilled_request(model_id, contents, generationConfig=generation))

    assert words in claude_message(error)


def test_claude_reads_neighbours_of_one_role_as_one_turn() -> None:
    envelope = a_claude_request()
    contents = envelope["request"]["contents"]
    first, *rest = contents[2]["parts"]
    contents[2:] = [user(first), user(*rest)]

    validate_generate(envelope)


def test_without_thinking_a_tool_loop_needs_none() -> None:
    envelope = changed(a_claude_request(), THINKING, ...)

    validate_generate(changed(envelope, f"{CONTENTS}.1.parts.0", ...))


def test_a_signature_of_another_emulator_is_not_genuine() -> None:
    with pytest.raises(GoogleError, match="Invalid `signature`"):
        validate_generate(a_claude_request(), genuine_signatures=Signatures("another secret"))


# Gemini

GEMINI_REFUSALS: list[tuple[str, Any, str]] = [
    (
        f"{CONTENTS}.1.parts.1.thoughtSignature",
        ...,
        "Additional data, function call `default_api:Read` , position 2.",
    ),
    (
        f"{CONTENTS}.3.parts.0.thoughtSignature",
        ...,
        "Additional data, function call `default_api:Read` , position 4.",
    ),
    (f"{CONTENTS}.1.parts.1.thoughtSignature", "AAAA", "Corrupted thought signature."),
    (
        f"{CONTENTS}.1.parts.1.thoughtSignature",
        SIGNATURES.issue("claude", "Read"),
        "Corrupted thought signature.",
    ),
    (f"{CONTENTS}.1.parts.1.thoughtSignature", "gemini#AAAA", "Base64 decoding failed"),
    (
        f"{CONTENTS}.2.parts.1",
        ...,
        "number of function response parts is equal to the number of function call",
    ),
    (f"{CONTENTS}.2.parts.2", response("Read", None), "number of function response parts is equal"),
    (f"{CONTENTS}.2.parts", [text("Never mind.")], "number of function response parts is equal"),
    (f"{CONTENTS}.2.parts.1", response("toolu_2", None), "responses match the function calls"),
    (f"{CONTENTS}.2.parts", [response("Grep", None), response("Read", None)], "match the function calls"),
    (f"{CONTENTS}.0.parts.1", image("image/gif"), "Unsupported MIME type: image/gif"),
    (
        f"{CONTENTS}.2.parts.0.functionResponse.parts",
        [image("audio/wav")],
        "Unsupported MIME type in function response: audio/wav",
    ),
    (f"{CONTENTS}.1", model(text("Hm.")), "response turn comes immediately after a function call turn"),
    (f"{CONTENTS}.0", model(text("Hm.")), "call turn comes immediately after a user turn"),
    (f"{CONTENTS}.5", model(text("So the")), "multiturn requests end with a user turn"),
    ("request.tools.0.functionDeclarations.1.name", "Read", "Duplicate function declaration found: Read"),
    (PARAMETERS, {"type": "STRING"}, "parameters schema should be of type OBJECT"),
    (f"{CALLING}.mode", "AUTO", "should only be set when function calling mode is ANY"),
    ("request.tools", ..., "Function calling config is set without function_declarations."),
    (f"{CONFIG}.maxOutputTokens", 65_537, "maxOutputTokens value of 65537"),
    (f"{CONFIG}.temperature", 2.5, "temperature value of 2.5"),
    (f"{THINKING}.thinkingBudget", 50_000, "The thinking budget 50000 is invalid."),
    (f"{THINKING}.thinkingLevel", "LOW", "You can only set one of thinking budget and thinking level."),
    (f"{CONFIG}.stopSequences", list("abcdef"), "stopSequences value of 6"),
]


@pytest.mark.parametrize(("path", "value", "words"), GEMINI_REFUSALS)
def test_gemini_refuses(path: str, value: Any, words: str) -> None:
    error = google_error_of(changed(a_gemini_request(), path, value))

    assert error.status == 400
    assert words in error.message


def test_gemini_takes_responses_in_any_order_when_they_have_ids() -> None:
    envelope = a_text_request("gemini-3-flash")
    envelope["request"]["contents"] = [
        user(text("Go.")),
        model(signed_call("Read", "a"), call("Grep", "b")),
        user(response("Grep", "b"), response("Read", "a")),
    ]

    envelope["request"]["tools"] = declaring("Read", "Grep")
    validate_generate(envelope)


@pytest.mark.parametrize("declared", [[], ["Read"], ["Grep"]])
def test_gemini_minds_responses_of_functions_that_are_not_declared(declared: list[str]) -> None:
    envelope = a_text_request("gemini-3-flash")
    envelope["request"]["contents"] = [
        user(text("Go.")),
        model(signed_call("Read", "a"), call("Grep", "b")),
        user(response("Read", "a"), response("Grep", "b")),
    ]
    if declared:
        envelope["request"]["tools"] = declaring(*declared)

    assert google_error_of(envelope).message == "Request contains an invalid argument."


def test_gemini_minds_two_calls_with_one_id_in_one_turn() -> None:
    envelope = a_text_request("gemini-3-flash")
    envelope["request"]["contents"] = [
        user(text("Go.")),
        model(signed_call("Read", "a"), call("Read", "a")),
        user(response("Read", "a"), response("Read", "a")),
    ]
    envelope["request"]["tools"] = declaring("Read")

    assert google_error_of(envelope).message == "Request contains an invalid argument."


def declaring(*names: str) -> list[Json]:
    return [{"functionDeclarations": [{"name": name} for name in names]}]


def test_gemini_forgets_the_signatures_of_earlier_turns() -> None:
    envelope = a_gemini_request()
    contents = envelope["request"]["contents"]
    contents += [model(text("They are the same.")), user(text("Thanks. And now?"))]
    del contents[1]["parts"][1]["thoughtSignature"]

    validate_generate(envelope)


def test_gemini_2_5_needs_no_signatures() -> None:
    envelope = changed(a_gemini_request("gemini-2.5-pro"), f"{CONTENTS}.3.parts.0.thoughtSignature", ...)

    validate_generate(envelope)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (THINKING, {"thinkingLevel": "LOW"}, "Thinking level is not supported for this model."),
        (f"{CONTENTS}.4.parts.0", response(id_=None, parts=[image()]), "Multimodal function responses"),
        (f"{CONFIG}.responseMimeType", "application/json", "Function calling with a response mime type"),
    ],
)
def test_gemini_2_5_refuses_what_gemini_3_takes(path: str, value: Any, words: str) -> None:
    changed_for_3 = changed(a_gemini_request(), path, value)
    if path.endswith("parts.0"):
        validate_generate(changed_for_3)

    assert words in google_error_of(changed(a_gemini_request("gemini-2.5-flash"), path, value)).message


def test_gemini_takes_an_empty_text_that_carries_a_signature() -> None:
    carrier = {"text": "", "thoughtSignature": SIGNATURES.issue("gemini", "x")}

    validate_generate(changed(a_gemini_request(), f"{CONTENTS}.1.parts.0", carrier))


# GPT


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (f"{CONTENTS}.1.parts.0.thoughtSignature", SENTINEL, "Thought parts are not supported"),
        (f"{CONTENTS}.2.parts.0", response(parts=[image()]), "Multimodal function responses"),
        (f"{CONTENTS}.2.parts.0", response("Write"), "responses match the function calls"),
        ("request.tools.0", {"googleSearch": {}}, "Only function declarations are supported"),
        (
            "request.generationConfig",
            {"thinkingConfig": {"thinkingBudget": 1024}},
            "Thinking is not supported",
        ),
        ("request.generationConfig", {"responseMimeType": "application/json"}, "is not supported by gpt"),
    ],
)
def test_gpt_refuses(path: str, value: Any, words: str) -> None:
    assert words in google_error_of(changed(a_gpt_request(), path, value)).message


# Length


def test_claude_says_that_the_prompt_is_too_long_in_the_words_claude_code_knows() -> None:
    message = claude_message(google_error_of(a_text_request("claude-sonnet-4-6", "word " * 200_001)))

    assert message.startswith("prompt is too long: 20")
    assert message.endswith(" tokens > 200000 maximum")


def test_gemini_says_that_the_prompt_is_too_long_in_its_own_words() -> None:
    message = google_error_of(a_text_request("gemini-3-flash", "word " * 1_048_577)).message

    assert "exceeds the maximum number of tokens allowed (1048576)." in message


def test_declarations_without_parameters_are_fine_for_gemini() -> None:
    envelope = a_text_request("gemini-3-flash", tools=[{"functionDeclarations": [{"name": "now"}]}])

    validate_generate(envelope)


def test_claude_in_validated_mode_wants_a_property_in_nested_objects_too() -> None:
    read = declaration()
    read["parameters"]["properties"]["options"] = {"type": "OBJECT"}

    error = google_error_of(changed(a_claude_request(), "request.tools.0.functionDeclarations.0", read))

    assert "properties[options].properties: should be non-empty" in error.message
