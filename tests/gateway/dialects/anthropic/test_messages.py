"""What Anthropic refuses is refused, naming the field; what is newer than us passes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.anthropic.messages import parse_count_tokens_request, parse_messages_request
from gateway.errors import InvalidRequest
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from tests.builders import (
    a_body,
    a_model,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    user,
)

THINKING = {"type": "enabled", "budget_tokens": 2_000}
INTERLEAVED = frozenset({"interleaved-thinking-2025-05-14"})
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
EMPTY = "all messages must have non-empty content except for the optional final assistant message"
NO_IMAGE_TYPE = "Input should be 'image/gif', 'image/jpeg', 'image/png' or 'image/webp'"


def a_source(kind: str = "image", **source: Any) -> dict[str, Any]:
    return {"messages": [user({"type": kind, "source": source})]}


def a_document(**source: Any) -> dict[str, Any]:
    source = source or {"type": "text", "media_type": "text/plain", "data": "words"}
    return {"type": "document", "source": source}


def an_addition(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": tool}


CITATION = {
    "type": "char_location",
    "cited_text": "words",
    "document_index": 0,
    "start_char_index": 0,
    "end_char_index": 5,
}
REFUSED: list[tuple[Any, str]] = [
    ([], "request body: must be a JSON object"),
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"max_tokens": 1.0}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": 5.5}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"model": ...}, "model: Field required"),
    ({"model": " "}, "model: String should have at least 1 character"),
    ({"temperature": 1.5}, "temperature: Input should be from 0 to 1"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"top_p": -0.1}, "top_p: Input should be from 0 to 1"),
    ({"top_p": True}, "top_p: Input should be a valid number"),
    ({"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
    ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
    ({"model": "m" * 257}, "model: String should have at most 256 characters"),
    ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id: Input should be a valid string"),
    (
        {"cache_control": {"type": "ephemeral", "ttl": "2h"}},
        "cache_control.ttl: Input should be '5m' or '1h'",
    ),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"stop_sequences": "END"}, "stop_sequences: Input should be a valid list"),
    ({"stop_sequences": ["END", " "]}, "stop_sequences.1: each stop sequence must contain non-whitespace"),
    ({"metadata": "me"}, "metadata: Input should be an object"),
    ({"thinking": True}, "thinking: Input should be an object"),
    ({"thinking": {}}, "thinking.type: Field required"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: Field required"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1_023}},
        "thinking.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        {"thinking": THINKING, "max_tokens": 2_000},
        "max_tokens: must be greater than `thinking.budget_tokens`",
    ),
    (
        {"thinking": THINKING, "temperature": 0.5},
        "temperature: may only be set to 1 when thinking is enabled",
    ),
    (
        {"thinking": THINKING, "tools": [a_tool()], "tool_choice": {"type": "any"}},
        "tool_choice: may not force tool use when thinking is enabled",
    ),
    ({"thinking": THINKING, "top_p": 0.5}, "top_p: must be at least 0.95 or unset when thinking is enabled"),
    ({"thinking": THINKING, "top_k": 40}, "top_k: must be unset when thinking is enabled"),
    ({"max_tokens": 0, "stream": True}, "stream: must be false when max_tokens is 0"),
    ({"max_tokens": 0, "thinking": THINKING}, "thinking: may not be enabled when max_tokens is 0"),
    (
        {"max_tokens": 0, "thinking": {"type": "adaptive"}},
        "thinking: may not be enabled when max_tokens is 0",
    ),
    (
        {"max_tokens": 0, "output_config": {"format": {"type": "json_schema", "schema": {}}}},
        "output_config.format: must be unset when max_tokens is 0",
    ),
    (
        {"max_tokens": 0, "tools": [a_tool()], "tool_choice": {"type": "tool", "name": "get_weather"}},
        "tool_choice: may not force tool use when max_tokens is 0",
    ),
    (
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema: Field required",
    ),
    (
        {"output_format": {"type": "json_schema", "schema": 5}},
        "output_format.schema: Input should be an object",
    ),
    ({"system": 5}, "system: Input should be a valid string or list"),
    ({"system": ["words"]}, "system.0: Input should be an object"),
    ({"system": [a_text(), an_image()]}, "system.1.type: Input should be 'text'"),
    ({"system": [{"type": "text"}]}, "system.0.text: Field required"),
    ({"messages": ...}, "messages: Field required"),
    ({"messages": []}, "messages: List should have at least 1 item"),
    ({"messages": [5]}, "messages.0: Input should be an object"),
    (
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    (
        {"messages": [{"role": ["user"], "content": "x"}]},
        "messages.0.role: Input should be a valid string",
    ),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [user("")]}, f"messages.0.content: {EMPTY}"),
    (
        {"messages": [user("hi"), {"role": "assistant", "content": []}, user("x")]},
        f"messages.1.content: {EMPTY}",
    ),
    (
        {"messages": [user("hi"), {"role": "system", "content": []}, user("x")]},
        f"messages.1.content: {EMPTY}",
    ),
    (
        {"messages": [user("hi"), {"role": "system", "output_config": {"effort": 5}}]},
        "messages.1.output_config.effort: Input should be a valid string",
    ),
    (
        {"messages": [user(a_tool_use())]},
        "messages.0.content.0: `tool_use` blocks may only be in `assistant` messages",
    ),
    (
        {"messages": [user(a_thinking())]},
        "messages.0.content.0: `thinking` blocks may only be in `assistant` messages",
    ),
    (
        {"messages": [user("hi"), assistant(a_tool_result())]},
        "messages.1.content.0: `tool_result` blocks may only be in `user` messages",
    ),
    (
        {"messages": [{"role": "system", "content": [an_image()]}]},
        "messages.0.content.0: `image` blocks may only be in `user` messages",
    ),
    ({"messages": [user("hi", "x")]}, "messages.0.content.0: Input should be an object"),
    ({"messages": [user({"text": "x"})]}, "messages.0.content.0.type: Field required"),
    (
        {"messages": [user({"type": "text", "text": 5})]},
        "messages.0.content.0.text: Input should be a valid string",
    ),
    ({"messages": [assistant({"type": "thinking"})]}, "messages.0.content.0.thinking: Field required"),
    (
        {"messages": [assistant({**a_tool_use(), "id": ""})]},
        "messages.0.content.0.id: String should have at least 1 character",
    ),
    (
        {"messages": [assistant({**a_tool_use(), "name": None})]},
        "messages.0.content.0.name: Input should be a valid string",
    ),
    (
        {"messages": [user({"type": "tool_result"})]},
        "messages.0.content.0.tool_use_id: Field required",
    ),
    (
        {"messages": [user(a_tool_result(content=5))]},
        "messages.0.content.0.content: Input should be a valid string or list",
    ),
    (
        {"messages": [user(a_tool_result(content=[5]))]},
        "messages.0.content.0.content.0: Input should be an object",
    ),
    ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source: Field required"),
    (a_source(), "messages.0.content.0.source.type: Field required"),
    (a_source(type="url"), "messages.0.content.0.source.url: Field required"),
    (
        a_source(type="base64", media_type="image/bmp", data="aGk="),
        f"messages.0.content.0.source.media_type: {NO_IMAGE_TYPE}",
    ),
    (
        a_source(type="base64", media_type=["image/png"], data="aGk="),
        f"messages.0.content.0.source.media_type: {NO_IMAGE_TYPE}",
    ),
    (
        a_source(type="base64", media_type="image/png", data="no!"),
        "messages.0.content.0.source.data: Input should be valid base64",
    ),
    (
        a_source(type="base64", media_type="image/png", data=""),
        "messages.0.content.0.source.data: String should have at least 1 character",
    ),
    (
        a_source("document", type="base64", media_type="text/csv", data="aGk="),
        "messages.0.content.0.source.media_type: Input should be 'application/pdf'",
    ),
    (a_source("document", type="text"), "messages.0.content.0.source.media_type: Field required"),
    (
        a_source("document", type="content"),
        "messages.0.content.0.source.content: Field required",
    ),
    ({"tools": {}}, "tools: Input should be a valid list"),
    ({"tools": [5]}, "tools.0: Input should be an object"),
    ({"tools": [a_tool("a.b")]}, "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ({"tools": [a_tool("x" * 129)]}, "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ({"tools": [{**a_tool(), "name": 5}]}, "tools.0.name: Input should be a valid string"),
    ({"tools": [a_tool("a"), a_tool("a")]}, "tools.1.name: Tool names must be unique"),
    ({"tools": [{"name": "a"}]}, "tools.0.input_schema: Field required"),
    ({"tools": [{"name": "a", "input_schema": None}]}, "tools.0.input_schema: Input should be an object"),
    ({"tools": [a_tool(schema={"type": "string"})]}, "tools.0.input_schema.type: Input should be 'object'"),
    (
        {
            "tool_choice": {"type": "auto"},
            "messages": [user(an_addition({"type": "tool_reference", "name": "a"}))],
        },
        "tool_choice: may only be specified while providing tools",
    ),
    ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
    (
        {"tools": [{**WEB_SEARCH, "name": "search"}]},
        "tools.0.name: Input should be 'web_search'",
    ),
    (
        {"tools": [a_tool()], "tool_choice": {"type": "tool", "name": "get_whether"}},
        "tool_choice.name: Tool not found in provided tools",
    ),
    ({"tools": [a_tool()], "tool_choice": {}}, "tool_choice.type: Field required"),
    ({"tools": [a_tool()], "tool_choice": {"type": "tool"}}, "tool_choice.name: Field required"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_it_is_refused_naming_the_field(fields: Any, message: str) -> None:
    body = fields
    if isinstance(fields, dict):
        body = {key: value for key, value in {**a_body(), **fields}.items() if value is not ...}

    with pytest.raises(InvalidRequest) as caught:
        parse_messages_request(body)

    assert caught.value.message == message


ACCEPTED: list[dict[str, Any]] = [
    {
        "thinking": None,
        "tools": None,
        "system": None,
        "stop_sequences": None,
        "tool_choice": None,
        "metadata": None,
    },
    {"top_k": 0, "temperature": 0, "top_p": 1, "stream": True},
    {"temperature": 1, "thinking": THINKING},
    {"thinking": {"type": "from_the_future"}, "output_config": {"effort": "galactic", "format": None}},
    {"messages": [user("hi"), assistant({"type": "tool_use", "id": "a:b", "name": "a.b"}), user("go")]},
    {"messages": [user("hi"), assistant({"type": "thinking", "thinking": ""}), user("go")]},
    {"messages": [user(a_tool_result("toolu_nobody_made"))]},
    {"messages": [{"role": "system", "content": "note"}, user(a_text(" "))]},
    {"messages": [user(a_text(cache_control={"type": "ephemeral", "scope": "global"})) for _ in range(5)]},
    {"betas": ["x"], "context_management": {}, "safeguards": [], "service_tier": "auto", "thread": None},
    {"temperature": 1.0, "thinking": THINKING, "top_p": 0.95},
    {"thinking": {"type": "adaptive", "display": "newer"}, "temperature": 0.5, "speed": "warp"},
    {"tools": [WEB_SEARCH, {"type": "mcp_toolset", "mcp_server_name": "files"}, {"type": "hologram_2030"}]},
    {"tools": [WEB_SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
    {"tools": [a_tool(defer_loading=True)], "tool_choice": {"type": "tool", "name": "get_weather"}},
    {"tools": [{"function": {"name": "a"}}], "tool_choice": {"type": "tool", "name": "a"}},
    {
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "files"}],
        "tool_choice": {"type": "tool", "name": "whatever_the_server_has"},
    },
    {
        "tools": [a_tool()],
        "tool_choice": {"type": "tool", "name": "late"},
        "messages": [
            user("hi"),
            {
                "role": "system",
                "content": [
                    {
                        "type": "tool_addition",
                        "tool": {"type": "tool_definition", "definition": a_tool("late")},
                    }
                ],
            },
        ],
    },
    *(
        {"tools": [odd], "tool_choice": {"type": "tool", "name": "a"}}
        for odd in (
            {"type": "new_2027", "custom": "abc"},
            {"type": "new_2027", "function": ["x"]},
            {"type": "new_2027", "name": None, "function": {"name": ["x"]}},
            {"type": "computer_toolset_20260801", "name": {}},
            {"type": "mcp_toolset", "mcp_server_name": "files", "name": ["x"]},
        )
    ),
    *(
        {
            "tool_choice": {"type": "tool", "name": "late"},
            "tools": tools,
            "messages": [{"role": role, "content": [change]}],
        }
        for role in ("user", "system")
        for tools, change in (
            ([a_tool()], an_addition({"type": "new_kind", "definition": "abc"})),
            ([a_tool()], an_addition({"type": "new_kind", "function": 5, "name": ["late"]})),
            (None, an_addition({"type": "tool_definition", "definition": a_tool("late")})),
            ([], an_addition({"type": "function", "function": {"name": "late"}})),
        )
    ),
    {
        "tool_choice": {"type": "tool", "name": "late"},
        "messages": [
            user(
                {
                    "type": "compaction",
                    "tool_changes": [
                        an_addition({"type": "tool_definition", "definition": a_tool("late")}),
                        {"type": "tool_exchange", "tool": 5},
                    ],
                }
            )
        ],
    },
    {"max_tokens": 0, "tools": [a_tool()], "tool_choice": {"type": "auto"}, "thinking": {"type": "disabled"}},
    {"thinking": {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}},
    {"max_tokens": 100, "thinking": {"block_binding": {}, "display": "omitted"}},
    {"tools": [{"function": {"name": "a"}}, {"function": {"name": "b"}}]},
    {
        "messages": [
            user(a_text()),
            {"role": "system", "content": "note"},
            {"role": "assistant", "content": ""},
        ]
    },
    {"messages": [user({"type": "from_the_future"}, an_image())]},
    {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
    {"messages": [user("hi"), assistant(a_thinking(), a_tool_use()), user(a_tool_result(content=None))]},
]


@pytest.mark.parametrize("fields", ACCEPTED)
def test_it_is_accepted(fields: dict[str, Any]) -> None:
    request = parse_messages_request(a_body(**fields))

    assert request.model == "claude-sonnet-4-5"
    assert translate_request(request, a_model(), TranslationOptions(), SignatureCache()).request["contents"]


def a_server_tool(name: str, kind: str, id: str = "srvtoolu_1", **result: Any) -> list[dict[str, Any]]:
    return [
        {"type": "server_tool_use", "id": id, "name": name, "input": {}},
        {"type": f"{kind}_tool_result", "tool_use_id": id, "content": result},
    ]


def test_what_anthropics_servers_said_may_be_sent_back() -> None:
    """In the forms that public recordings of the real API have (the cassettes of pydantic-ai's tests)."""
    history = assistant(
        {"type": "compaction", "content": "Summary: the user said hello."},
        a_thinking("", signature="Eoo="),
        *a_server_tool("advisor", "advisor", type="advisor_result", text="4.", stop_reason="end_turn"),
        *a_server_tool(
            "code_execution",
            "code_execution",
            "srvtoolu_2",
            type="code_execution_result",
            content=[],
            return_code=0,
            stdout="4",
            stderr="",
        ),
        *a_server_tool(
            "text_editor_code_execution",
            "text_editor_code_execution",
            "srvtoolu_3",
            type="text_editor_code_execution_tool_result_error",
            error_code="unavailable",
            error_message="Failed to parse the response",
        ),
        {"type": "tool_use", "id": "search-1", "name": "search_tools", "input": {"queries": ["rates"]}},
    )
    loaded = a_tool_result("search-1", [{"type": "tool_reference", "tool_name": "get_rate"}], is_error=False)
    tools = [
        {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8", "max_tokens": 1_024},
        {"type": "code_execution_20260120", "name": "code_execution"},
    ]

    for version in ("2023-06-01", "2026-10-21"):
        body = a_body(user("What is 2+2?"), history, user(loaded, a_text("And plus one?")), tools=tools)
        assert parse_messages_request(body, version=version).messages == body["messages"]


def test_output_config_takes_in_the_older_output_format() -> None:
    schema = {"type": "json_schema", "schema": {}}

    older = parse_messages_request(a_body(output_format=schema, output_config={"effort": "low"}))
    both = parse_messages_request(a_body(output_format=schema, output_config={"format": None}))

    assert older.output_config == {"effort": "low", "format": schema}
    assert both.output_config == {"format": None}


@pytest.mark.parametrize("content", [{}, {"content": []}, {"content": ""}, {"content": None}])
def test_a_system_message_may_change_only_the_effort(content: dict[str, Any]) -> None:
    change = {"role": "system", **content, "output_config": {"effort": "low"}}

    request = parse_messages_request(a_body(user("hi"), assistant("hello"), user("go"), change))

    assert request.messages[-1]["output_config"] == {"effort": "low"}
    assert request.messages[-1]["content"] in ("", [])


def test_with_interleaved_thinking_the_budget_may_exceed_max_tokens() -> None:
    body = a_body(max_tokens=4_096, thinking={"type": "enabled", "budget_tokens": 10_000}, tools=[a_tool()])

    assert parse_messages_request(body, betas=INTERLEAVED).max_tokens == 4_096
    with pytest.raises(InvalidRequest, match="max_tokens: must be greater than"):
        parse_messages_request(body)
    with pytest.raises(InvalidRequest, match="max_tokens: must be greater than"):
        parse_messages_request({**body, "tools": []}, betas=INTERLEAVED)


@pytest.mark.parametrize("version", ["2026-10-21", "2031-01-01"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 0.99}, "top_p: Extra inputs are not permitted"),
        ({"top_k": 0}, "top_k: Extra inputs are not permitted"),
        (
            {"messages": [user("hi"), assistant(a_document()), user("go")]},
            "messages.1.content.0: `document` blocks may only be in `user` messages",
        ),
        (
            {"messages": [user(a_text(citations=[CITATION]))]},
            "messages.0.content.0.citations: text blocks in `user` messages may not have citations",
        ),
    ],
)
def test_the_newer_version_refuses_what_the_older_takes(
    fields: dict[str, Any], message: str, version: str
) -> None:
    body = a_body(**fields)

    assert parse_messages_request(body, version="2023-06-01").model
    with pytest.raises(InvalidRequest) as caught:
        parse_messages_request(body, version=version)
    assert caught.value.message == message


def test_the_newer_version_takes_everything_else() -> None:
    body = a_body(
        user(a_document(), a_text(citations=[])),
        assistant(a_text(citations=[CITATION])),
        user(a_tool_result(content=[a_text(citations=[CITATION]), a_document()])),
        temperature=None,
    )

    assert parse_messages_request(body, version="2026-10-21").messages == body["messages"]


def test_threads_are_refused_so_that_the_client_sends_the_whole_history() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_messages_request(a_body(thread={"id": "thread_1"}))

    assert caught.value.details == {"error_code": "thread_unsupported_request"}


def test_counting_tokens_needs_no_max_tokens() -> None:
    body = a_body(thinking=THINKING, stream=True)
    del body["max_tokens"]

    assert parse_count_tokens_request(body).max_tokens == 0
    with pytest.raises(InvalidRequest, match="messages"):
        parse_count_tokens_request({"model": "m"})


def test_content_within_content_has_an_end() -> None:
    """The API knows images and texts in a document, and nothing that could hold another document."""
    inner = a_document(type="content", content=[a_document(type="content", content="words")])

    with pytest.raises(InvalidRequest, match=r"source.content.0.type: Input should be 'text' or 'image'$"):
        parse_messages_request(a_body(user(inner)))
