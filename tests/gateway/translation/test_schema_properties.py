"""Any JSON Schema becomes a declaration Google accepts, and valid arguments come back as they were."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.json_schema import MAX_NODES, PLACEHOLDER, Restoration, parameters_schema
from gateway.upstreams.emulator.validator import validate_generate
from tests.builders import CLAUDE, GEMINI_3, GPT, a_chunk, a_stream, a_tool, events_of, translated
from tests.gateway.translation.schema_examples import ANY_JSON, example, tool_schemas
from tests.gateway.translation.shares import Shares


def test_any_schema_gives_a_declaration_that_google_accepts() -> None:
    shares = Shares()

    @given(tool_schemas(), st.sampled_from([CLAUDE, GEMINI_3, GPT]))
    def check(schema_and_instance: Any, model: str) -> None:
        schema, instance = schema_and_instance
        shares.count(
            references="#/$defs/" in repr(schema["properties"]),
            unions="anyOf" in repr(schema),
            enums="'enum'" in repr(schema),
            with_arguments=bool(instance),
        )

        request = translated(model=model, tools=[a_tool(schema=schema)])

        validate_generate(an_envelope(model, request.request))

    check()
    shares.check()


@given(st.one_of(ANY_JSON, example().map(lambda pair: pair[0]), st.dictionaries(st.text(), ANY_JSON)))
def test_any_json_at_all_gives_a_declaration_that_google_accepts(schema: Any) -> None:
    parameters, _ = parameters_schema(schema, with_placeholders=True)

    request = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "", "parameters": parameters}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    }
    validate_generate(an_envelope(CLAUDE, request))


def test_valid_arguments_survive_the_way_back() -> None:
    shares = Shares()

    @given(tool_schemas(), st.sampled_from([CLAUDE, GEMINI_3]))
    def check(schema_and_instance: Any, model: str) -> None:
        schema, arguments = schema_and_instance
        jsonschema.validate(arguments, schema)
        request = translated(model=model, tools=[a_tool(schema=schema)])
        restoration = request.restorations.get("get_weather")
        shares.count(restored=restoration is not None, with_arguments=bool(arguments))

        sent = as_the_model_sends(arguments, restoration)
        events = events_of(
            a_stream(request), a_chunk({"functionCall": {"name": "get_weather", "args": sent}})
        )

        assert_input(events, arguments)

    check()
    shares.check()


def as_the_model_sends(value: Any, restoration: Restoration | None) -> Any:
    """The opposite of a restoration: with placeholders, and enum members as texts."""
    if restoration is None:
        return value
    for text, original in restoration.enum_values.items():
        if type(original) is type(value) and original == value:
            return text
    if isinstance(value, dict):
        sent = {
            name: as_the_model_sends(member, restoration.properties.get(name))
            for name, member in value.items()
        }
        return {**sent, PLACEHOLDER: "to find out"} if restoration.has_placeholder else sent
    if isinstance(value, list):
        return [as_the_model_sends(item, restoration.items) for item in value]
    return value


def assert_input(events: list[Any], arguments: Any) -> None:
    from gateway.translation.response import MessageCollector

    collector = MessageCollector()
    for event in events:
        collector.add(event)
    assert collector.message()["content"][-1]["input"] == arguments


def an_envelope(model: str, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": "proj-1",
        "model": model,
        "userAgent": "antigravity",
        "requestType": "agent",
        "requestId": "agent-1",
        "request": request,
    }


@pytest.mark.parametrize("names", [2, 12])
def test_definitions_that_all_refer_to_each_other_do_not_explode(names: int) -> None:
    everyone = {f"d{i}": {"$ref": f"#/$defs/d{i}"} for i in range(names)}
    definitions = {name: {"type": "object", "properties": everyone} for name in everyone}
    schema = {"type": "object", "properties": everyone, "$defs": definitions}

    parameters, _ = parameters_schema(schema, with_placeholders=False)

    assert repr(parameters).count("'type'") <= MAX_NODES * 2
