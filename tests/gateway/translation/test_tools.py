from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation import tools as tools_module
from gateway.translation.json_schema import PLACEHOLDER
from gateway.translation.tools import MODES, loaded_tools, translate_tools
from tests.builders import (
    CLAUDE,
    GEMINI_3,
    GPT,
    a_chunk,
    a_stream,
    a_text,
    a_tool,
    a_tool_result,
    a_tool_use,
    assistant,
    events_of,
    translated,
    user,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NOTHING: frozenset[str] = frozenset()


def declarations(*tools: dict[str, Any], family: Any = "gemini") -> list[dict[str, Any]]:
    return translate_tools(list(tools), family, NOTHING).declarations


# --- declarations (5.5) ---

SHAPES = [
    ("plain", {"name": "f", "description": "d", "input_schema": SCHEMA}),
    ("typed custom", {"type": "custom", "name": "f", "description": "d", "input_schema": SCHEMA}),
    ("custom", {"type": "custom", "custom": {"name": "f", "description": "d", "input_schema": SCHEMA}}),
    ("function", {"function": {"name": "f", "description": "d", "parameters": SCHEMA}}),
    ("function with input_schema", {"function": {"name": "f", "description": "d", "input_schema": SCHEMA}}),
    ("parameters", {"name": "f", "description": "d", "parameters": SCHEMA}),
]


@pytest.mark.parametrize("tool", [tool for _, tool in SHAPES], ids=[name for name, _ in SHAPES])
def test_every_known_shape_of_a_tool_is_declared(tool: dict[str, Any]) -> None:
    assert declarations(tool) == [
        {
            "name": "f",
            "description": "d",
            "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
        }
    ]


def test_a_tool_without_name_is_numbered() -> None:
    assert [tool["name"] for tool in declarations({"input_schema": SCHEMA}, {"function": {}})] == [
        "tool-0",
        "tool-1",
    ]


def test_all_declarations_are_in_one_entry() -> None:
    request = translated(model=GEMINI_3, tools=[a_tool("a"), a_tool("b")]).request

    assert [len(tool["functionDeclarations"]) for tool in request["tools"]] == [2]


def test_of_tools_with_one_name_the_first_is_kept() -> None:
    first, second = a_tool("f", SCHEMA, description="first"), a_tool("f", SCHEMA, description="second")

    assert [tool["description"] for tool in declarations(first | {"description": "first"}, second)] == [
        "first"
    ]


@pytest.mark.parametrize(
    "server_tool", ["web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "mcp_toolset"]
)
def test_a_server_tool_is_not_declared(server_tool: str) -> None:
    request = translated(tools=[{"type": server_tool, "name": "web_search", "max_uses": 5}]).request

    assert "tools" not in request
    assert "toolConfig" not in request


@pytest.mark.parametrize(
    ("client_tool", "field"),
    [
        ("bash_20250124", "command"),
        ("text_editor_20250728", "path"),
        ("computer_20250124", "action"),
        ("memory_20250818", "command"),
    ],
)
def test_a_client_tool_without_schema_gets_the_documented_one(client_tool: str, field: str) -> None:
    (declaration,) = declarations({"type": client_tool, "name": "it"})

    assert field in declaration["parameters"]["properties"]


def test_a_tool_type_from_the_future_takes_any_object() -> None:
    (declaration,) = declarations({"type": "teleport_20300101", "name": "teleport"})

    assert declaration["parameters"] == {"type": "OBJECT", "properties": {}}


def test_a_placeholder_is_declared_to_claude_and_taken_out_of_its_call() -> None:
    request = translated(tools=[a_tool("now", {"type": "object"})])

    call = {"functionCall": {"name": "now", "args": {PLACEHOLDER: "to know the time"}}}
    events = events_of(a_stream(request), a_chunk(call))

    parameters = request.request["tools"][0]["functionDeclarations"][0]["parameters"]
    assert parameters["required"] == [PLACEHOLDER]
    assert events[2]["delta"]["partial_json"] == "{}"


def test_a_parameter_of_the_tool_called_reason_is_not_taken_out() -> None:
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}}
    request = translated(tools=[a_tool("stop", schema)])

    events = events_of(
        a_stream(request), a_chunk({"functionCall": {"name": "stop", "args": {"reason": "done"}}})
    )

    assert orjson.loads(events[2]["delta"]["partial_json"]) == {"reason": "done"}


# --- tool_choice (5.6) ---

CHOICES = [
    ({"type": "auto"}, GEMINI_3, {"mode": "AUTO"}),
    ({"type": "auto"}, GPT, {"mode": "AUTO"}),
    ({"type": "auto"}, CLAUDE, {"mode": "VALIDATED"}),
    ({"type": "any"}, GEMINI_3, {"mode": "ANY"}),
    ({"type": "any"}, CLAUDE, {"mode": "ANY"}),
    ({"type": "tool", "name": "9f"}, GEMINI_3, {"mode": "ANY", "allowedFunctionNames": ["_9f"]}),
    ({"type": "tool", "name": "9f"}, CLAUDE, {"mode": "ANY", "allowedFunctionNames": ["_9f"]}),
    ({"type": "tool", "name": "not_declared"}, GEMINI_3, {"mode": "AUTO"}),
    ({"type": "none"}, GEMINI_3, {"mode": "NONE"}),
    ({"type": "none"}, CLAUDE, {"mode": "NONE"}),
    ({"type": "auto", "disable_parallel_tool_use": True}, GEMINI_3, {"mode": "AUTO"}),
    ({"type": "from_the_future"}, GEMINI_3, {"mode": "AUTO"}),
]


@pytest.mark.parametrize(("choice", "model", "config"), CHOICES)
def test_tool_choice_becomes_the_calling_mode(choice: Any, model: str, config: Any) -> None:
    request = translated(model=model, tools=[a_tool("9f")], tool_choice=choice).request

    assert request["toolConfig"] == {"functionCallingConfig": config}
    assert request["tools"][0]["functionDeclarations"]


def test_without_tool_choice_claude_is_held_to_the_schemas_and_others_are_free() -> None:
    assert translated(tools=[a_tool()]).request["toolConfig"]["functionCallingConfig"] == {
        "mode": "VALIDATED"
    }
    assert "toolConfig" not in translated(model=GEMINI_3, tools=[a_tool()]).request
    assert "toolConfig" not in translated(model=GPT, tools=[a_tool()]).request


def test_the_table_of_modes_knows_every_family() -> None:
    assert all(set(row) == {"claude", "gemini", "gpt", "unknown"} for row in MODES.values())


# --- deferred tools and tool_reference ---


def test_a_deferred_tool_is_not_declared() -> None:
    request = translated(tools=[a_tool("Read"), a_tool("Later", defer_loading=True)]).request

    assert [tool["name"] for tool in request["tools"][0]["functionDeclarations"]] == ["Read"]


def test_deferred_tools_alone_are_no_tools() -> None:
    assert "tools" not in translated(tools=[a_tool("Later", defer_loading=True)]).request


def test_a_deferred_tool_is_declared_once_the_conversation_refers_to_it() -> None:
    found = a_tool_result("toolu_1", [{"type": "tool_reference", "tool_name": "WebFetch"}])
    messages = [user("search"), assistant(a_tool_use(name="ToolSearch")), user(found)]
    tools = [
        a_tool("ToolSearch"),
        a_tool("WebFetch", defer_loading=True),
        a_tool("Other", defer_loading=True),
    ]

    request = translated(*messages, model=GEMINI_3, tools=tools).request

    assert [tool["name"] for tool in request["tools"][0]["functionDeclarations"]] == [
        "ToolSearch",
        "WebFetch",
    ]
    response = request["contents"][2]["parts"][0]["functionResponse"]["response"]
    assert response == {"result": "[The tool WebFetch is now available]"}


def test_tools_are_loaded_by_references_calls_and_the_forced_choice() -> None:
    server_search = {
        "type": "tool_search_tool_result",
        "content": {"tool_references": [{"type": "tool_reference", "tool_name": "Found"}]},
    }
    messages = [user("hi"), assistant(a_tool_use(name="Called")), assistant(server_search), user(a_text())]

    assert loaded_tools(messages, {"type": "tool", "name": "Forced"}) == {"Found", "Called", "Forced"}


# --- kept by content (issue: translated once) ---


def test_the_same_tools_are_translated_once() -> None:
    first = translate_tools([a_tool("kept")], "gemini", NOTHING)

    assert translate_tools([a_tool("kept")], "gemini", NOTHING) is first
    assert translate_tools([a_tool("kept")], "claude", NOTHING) is not first
    assert translate_tools([a_tool("other")], "gemini", NOTHING) is not first


def test_a_very_long_list_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_module, "MAX_KEPT_BYTES", 10)

    first = translate_tools([a_tool("long")], "gemini", NOTHING)

    assert translate_tools([a_tool("long")], "gemini", NOTHING) is not first


def test_names_of_one_conversation_do_not_reach_the_next() -> None:
    tools = [a_tool("a")]
    translated(user("hi"), assistant(a_tool_use(name="not.declared")), user(a_tool_result()), tools=tools)

    assert "not.declared" not in translated(tools=tools).tool_names
