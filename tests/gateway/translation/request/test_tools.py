from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation.request import tools as tools_module
from gateway.translation.request.tools import MODES, loaded_tools, translate_tools
from gateway.translation.schemas.reading import NodeBudget
from gateway.translation.schemas.tool_schemas import MOST_NODES_IN_ALL, PLACEHOLDER
from proxy_site.emulator.rules.validator import validate_generate
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
from tests.gateway.translation.schemas.test_schema_properties import an_envelope

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def declarations(*tools: dict[str, Any], family: Any = "gemini") -> list[dict[str, Any]]:
    return translate_tools(list(tools), family).declarations


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


def test_large_tools_leave_other_tools_their_own_budget() -> None:
    budget = NodeBudget(MOST_NODES_IN_ALL)
    maps: dict[str, Any] = {}
    for _ in range(20):
        maps = {"additionalProperties": maps}
    greedy = [
        a_tool(f"greedy_{number}", {"type": "object", "properties": {"a": maps}}) for number in range(9)
    ]
    modest = a_tool("modest", {"type": "object", "properties": {"b": {"items": {"type": "integer"}}}})

    declared = tools_module._translate([*greedy, modest], "gemini", budget).declarations

    assert -1_000 < budget.left < 0
    assert declared[9] == declarations(modest)[0]


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
    "server_tool",
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "mcp_toolset", "mcp_server_name": "files"},
    ],
)
def test_a_server_tool_is_not_declared(server_tool: dict[str, Any]) -> None:
    request = translated(tools=[server_tool]).request

    assert "tools" not in request
    assert "toolConfig" not in request


@pytest.mark.parametrize(
    "toolset",
    [
        {"type": "computer_toolset_20260801"},
        {"type": "browser_toolset_20260801", "configs": {"zoom": {"enabled": True}}},
        {"type": "future_2027"},
        {"type": "future_2027", "name": None, "custom": "abc"},
    ],
)
def test_a_toolset_that_names_no_tool_is_not_declared(toolset: dict[str, Any]) -> None:
    """Nothing could execute its call."""
    assert declared(user("hi"), tools=[toolset, a_tool("Read")]) == ["Read"]
    assert declared(user("hi"), tools=[toolset, a_tool("Later", defer_loading=True)]) == ["Later"]
    assert "tools" not in translated(tools=[toolset]).request


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


def test_claudes_placeholder_is_removed_from_calls() -> None:
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
    ({"type": "tool", "name": "web_search"}, GEMINI_3, {"mode": "AUTO"}),
    ({"type": "none"}, GEMINI_3, {"mode": "NONE"}),
    ({"type": "none"}, CLAUDE, {"mode": "NONE"}),
    ({"type": "auto", "disable_parallel_tool_use": True}, GEMINI_3, {"mode": "AUTO"}),
]


@pytest.mark.parametrize(("choice", "model", "config"), CHOICES)
def test_tool_choice_becomes_the_calling_mode(choice: Any, model: str, config: Any) -> None:
    server_tool = {"type": "web_search_20250305", "name": "web_search"}
    request = translated(model=model, tools=[a_tool("9f"), server_tool], tool_choice=choice).request

    assert request["toolConfig"] == {"functionCallingConfig": config}
    assert request["tools"][0]["functionDeclarations"]


def test_without_tool_choice_only_claude_uses_validated_mode() -> None:
    assert translated(tools=[a_tool()]).request["toolConfig"]["functionCallingConfig"] == {
        "mode": "VALIDATED"
    }
    assert "toolConfig" not in translated(model=GEMINI_3, tools=[a_tool()]).request
    assert "toolConfig" not in translated(model=GPT, tools=[a_tool()]).request


def test_the_table_of_modes_knows_every_family() -> None:
    assert all(set(row) == {"claude", "gemini", "gpt", "unknown"} for row in MODES.values())


# --- deferred tools and tool_reference ---


def declared(*messages: dict[str, Any], **fields: Any) -> list[str]:
    request = translated(*messages, **fields).request
    return [tool["name"] for entry in request.get("tools", []) for tool in entry["functionDeclarations"]]


def test_a_deferred_tool_is_not_declared() -> None:
    request = translated(tools=[a_tool("Read"), a_tool("Later", defer_loading=True)]).request

    assert [tool["name"] for tool in request["tools"][0]["functionDeclarations"]] == ["Read"]


SERVER_SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
CLIENT_SEARCH = a_tool("ToolSearch")


def test_tools_that_only_anthropic_could_find_are_declared() -> None:
    """Nobody here can run its search (theopenco/llmgateway#3604)."""
    tools = [SERVER_SEARCH, a_tool("Read"), a_tool("get_weather", defer_loading=True)]

    assert declared(user("hi"), tools=tools) == ["Read", "get_weather"]


@pytest.mark.parametrize("others", [[], [{"type": "web_search_20250305", "name": "web_search"}]])
def test_deferred_tools_without_any_other_are_declared(others: list[dict[str, Any]]) -> None:
    assert declared(user("hi"), tools=[*others, a_tool("Later", defer_loading=True)]) == ["Later"]


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
    first = translate_tools([a_tool("kept")], "gemini")

    assert translate_tools([a_tool("kept")], "gemini") is first
    assert translate_tools([a_tool("kept")], "claude") is not first
    assert translate_tools([a_tool("other")], "gemini") is not first


def test_a_very_long_list_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_module, "MAX_KEPT_BYTES", 10)

    first = translate_tools([a_tool("long")], "gemini")

    assert translate_tools([a_tool("long")], "gemini") is not first


def test_names_of_one_conversation_do_not_reach_the_next() -> None:
    tools = [a_tool("a")]
    translated(user("hi"), assistant(a_tool_use(name="not.declared")), user(a_tool_result()), tools=tools)

    assert "not.declared" not in translated(tools=tools).tool_names


# --- tools that change within the conversation ---


def system(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "system", "content": list(blocks), **fields}


def added(name: str) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": {"type": "tool_reference", "name": name}}


def defined(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}


def removed(name: str) -> dict[str, Any]:
    return {"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}}


TOOLS = [a_tool("Read"), CLIENT_SEARCH, a_tool("Later", defer_loading=True)]
CHANGES: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    ("nothing", [], ["Read", "ToolSearch"]),
    ("a reference", [added("Later")], ["Read", "ToolSearch", "Later"]),
    ("a reference to nothing", [added("Nowhere")], ["Read", "ToolSearch"]),
    ("a removal", [removed("Read")], ["ToolSearch"]),
    ("a removal of nothing", [removed("Nowhere")], ["Read", "ToolSearch"]),
    ("removed and added again", [removed("Read"), added("Read")], ["ToolSearch", "Read"]),
    ("by value", [defined(a_tool("New"))], ["Read", "ToolSearch", "New"]),
    ("by value, deferred", [defined(a_tool("New", defer_loading=True))], ["Read", "ToolSearch", "New"]),
    ("by value, removed", [defined(a_tool("New")), removed("New")], ["Read", "ToolSearch"]),
    (
        "by value, removed, referenced",
        [defined(a_tool("New")), removed("New"), added("New")],
        ["Read", "ToolSearch", "New"],
    ),
    (
        "another server's",
        [
            {
                "type": "tool_removal",
                "tool": {"type": "mcp_tool_reference", "server_name": "s", "name": "Read"},
            }
        ],
        ["Read", "ToolSearch"],
    ),
    ("of the future", [{"type": "tool_addition", "tool": {"type": "dream"}}], ["Read", "ToolSearch"]),
]


@pytest.mark.parametrize(("changes", "names"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3, GPT])
def test_the_declared_tools_are_those_at_the_end(
    changes: list[dict[str, Any]], names: list[str], model: str
) -> None:
    in_one = [user("hi"), system(*changes, a_text("Changed.")), assistant("Yes."), user("Go on.")]
    each = [user("hi"), assistant("Yes."), *(system(change) for change in changes), user("Go on.")]
    compacted = {"type": "compaction", "content": "So far.", "tool_changes": changes}

    assert declared(*in_one, tools=TOOLS, model=model) == names
    assert declared(*each, tools=TOOLS, model=model) == names
    assert declared(user("hi"), assistant(compacted), user("on"), tools=TOOLS, model=model) == names


def test_a_tool_defined_anew_has_its_newest_schema() -> None:
    newer = a_tool("Read", {"type": "object", "properties": {"path": {"type": "string"}}})

    request = translated(user("hi"), system(defined(newer)), tools=[a_tool("Read")]).request

    (declaration,) = request["tools"][0]["functionDeclarations"]
    assert list(declaration["parameters"]["properties"]) == ["path"]


def test_a_user_message_changes_tools_as_well() -> None:
    """The SDK's ContentBlockParam has both blocks."""
    compacted = {"type": "compaction", "content": "So far.", "tool_changes": [added("Later")]}

    assert declared(user(a_text(), removed("Read"), compacted), tools=TOOLS) == ["ToolSearch", "Later"]


NEW_AS_A_FUNCTION = {"type": "function", "function": {"name": "New", "parameters": SCHEMA}}


@pytest.mark.parametrize(
    "addition",
    [defined(NEW_AS_A_FUNCTION), {"type": "tool_addition", "tool": NEW_AS_A_FUNCTION}],
    ids=["as a definition", "by itself"],
)
def test_a_tool_may_be_added_in_the_form_of_other_apis(addition: dict[str, Any]) -> None:
    request = translated(user("hi"), system(addition), tools=[a_tool("Read")]).request

    read, new = request["tools"][0]["functionDeclarations"]
    assert (read["name"], new["name"]) == ("Read", "New")
    assert list(new["parameters"]["properties"]) == ["city"]


def found(name: str) -> dict[str, Any]:
    return {"type": "tool_reference", "tool_name": name}


SEARCHED = [user("hi"), assistant(a_tool_use(name="ToolSearch"))]
ANNOUNCEMENTS: list[tuple[str, list[dict[str, Any]], bool]] = [
    ("found", [*SEARCHED, user(a_tool_result(content=[found("Later")]))], True),
    ("found nowhere", [*SEARCHED, user(a_tool_result(content=[found("Nowhere")]))], False),
    (
        "found without a call",
        [user("hi"), assistant("ho"), user(a_tool_result(content=[found("Later")]))],
        True,
    ),
    (
        "nowhere, no call",
        [user("hi"), assistant("ho"), user(a_tool_result(content=[found("Nowhere")]))],
        False,
    ),
    ("added", [user("hi"), system(added("Later"))], True),
    ("added by the user", [user(a_text(), added("Later"))], True),
    ("added in an answer", [user("hi"), assistant(a_text("x"), added("Later")), user("go")], True),
    ("added nowhere", [user("hi"), system(added("Nowhere"))], False),
    ("nowhere, in an answer", [user("hi"), assistant(a_text("x"), added("Nowhere")), user("go")], False),
    (
        "added and removed",
        [user("hi"), system(added("Later")), assistant("x"), user(removed("Later"))],
        False,
    ),
    ("a server's tool", [user("hi"), system(defined(SERVER_SEARCH))], False),
]


@pytest.mark.parametrize(
    ("messages", "is_announced"), [row[1:] for row in ANNOUNCEMENTS], ids=[row[0] for row in ANNOUNCEMENTS]
)
@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
def test_only_declared_tools_are_announced(
    messages: list[dict[str, Any]], is_announced: bool, model: str
) -> None:
    request = translated(*messages, tools=TOOLS, model=model)

    validate_generate(an_envelope(model, request.request))
    assert ("is now available]" in repr(request.request["contents"])) == is_announced


def test_an_added_tool_may_be_forced() -> None:
    request = translated(
        user("hi"), system(defined(a_tool("New"))), tool_choice={"type": "tool", "name": "New"}
    ).request

    assert request["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["New"]


def test_tools_may_come_from_the_conversation_alone() -> None:
    assert declared(user("hi"), system(defined(a_tool("New")))) == ["New"]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3, "gemini-2.5-pro", GPT])
def test_calls_of_a_removed_tool_stay_in_the_history(model: str) -> None:
    request = translated(
        user("hi"),
        assistant(a_tool_use(name="Old.one")),
        user(a_tool_result()),
        system(removed("Old.one"), defined(a_tool("1st", {"type": "object"}))),
        tools=[a_tool("Read"), a_tool("Old_one")],
        tool_choice={"type": "tool", "name": "Old_one"},
        model=model,
    )

    validate_generate(an_envelope(request.model.sent_id, request.request))
    call = request.request["contents"][1]["parts"][0]["functionCall"]
    assert call["name"] not in {"Read", "Old_one", "_1st"}


def test_forcing_a_removed_tool_leaves_the_model_free() -> None:
    request = translated(
        user("hi"),
        system(removed("Read")),
        tools=[a_tool("Read"), a_tool("Write")],
        tool_choice={"type": "tool", "name": "Read"},
    ).request

    assert request["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_added_tools_return_under_the_clients_names() -> None:
    request = translated(user("hi"), system(defined(a_tool("9_new"))), model=GEMINI_3)
    call = {"functionCall": {"name": "_9_new", "args": {}}}

    events = events_of(a_stream(request), a_chunk(call, finish_reason="STOP"))

    assert events[1]["content_block"]["name"] == "9_new"


# --- a history with calls of functions that are not declared ---

CALLED = [user("hi"), assistant(a_tool_use()), user(a_tool_result())]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
def test_without_tools_the_functions_called_are_declared_and_forbidden(model: str) -> None:
    request = translated(*CALLED, model=model).request

    assert request["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
    assert [tool["name"] for tool in request["tools"][0]["functionDeclarations"]] == ["get_weather"]


def test_gemini_has_them_declared_beside_other_tools() -> None:
    tools = [a_tool("Read")]
    kept = translate_tools(tools, "gemini").declarations

    assert declared(*CALLED, model=GEMINI_3, tools=tools) == ["Read", "get_weather"]
    assert declared(*CALLED, model=CLAUDE, tools=tools) == ["Read"]
    assert [tool["name"] for tool in kept] == ["Read"]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ({"type": "auto"}, {"mode": "AUTO"}),
        ({"type": "any"}, {"mode": "ANY", "allowedFunctionNames": ["Read", "Write"]}),
        ({"type": "tool", "name": "Read"}, {"mode": "ANY", "allowedFunctionNames": ["Read"]}),
    ],
)
def test_no_choice_forces_a_function_that_is_gone(choice: dict[str, Any], config: dict[str, Any]) -> None:
    tools = [a_tool("Read"), a_tool("Write")]

    request = translated(*CALLED, model=GEMINI_3, tools=tools, tool_choice=choice).request

    assert request["toolConfig"] == {"functionCallingConfig": config}
    validate_generate(an_envelope(GEMINI_3, request))


def test_a_requested_schema_beside_them_is_told_in_words() -> None:
    """Gemini takes no responseSchema beside declarations."""
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}

    request = translated(*CALLED, model=GEMINI_3, output_config=wanted).request

    assert "responseSchema" not in request["generationConfig"]
    assert "JSON Schema" in request["systemInstruction"]["parts"][0]["text"]


def test_gpt_needs_no_declarations_for_it() -> None:
    assert not {"tools", "toolConfig"} & translated(*CALLED, model=GPT).request.keys()
