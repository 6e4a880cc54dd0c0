"""What Anthropic refuses is refused, naming the field; what is newer than us passes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.anthropic_api.messages import parse_count_tokens_request, parse_messages_request
from gateway.errors import InvalidRequest
from tests.builders import (
    a_body,
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


def a_source(kind: str = "image", **source: Any) -> dict[str, Any]:
    return {"messages": [user({"type": kind, "source": source})]}


REFUSED: list[tuple[Any, str]] = [
    ([], "request body: must be a JSON object"),
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"max_tokens": 0}, "max_tokens: must be an integer of at least 1"),
    ({"max_tokens": "5"}, "max_tokens: must be an integer of at least 1"),
    ({"max_tokens": 5.5}, "max_tokens: must be an integer of at least 1"),
    ({"max_tokens": True}, "max_tokens: must be an integer of at least 1"),
    ({"model": ...}, "model: must be a non-empty string"),
    ({"model": " "}, "model: must be a non-empty string"),
    ({"temperature": 1.5}, "temperature: must be a number from 0 to 1"),
    ({"temperature": "hot"}, "temperature: must be a number from 0 to 1"),
    ({"top_p": -0.1}, "top_p: must be a number from 0 to 1"),
    ({"top_p": True}, "top_p: must be a number from 0 to 1"),
    ({"top_k": -1}, "top_k: must be an integer of at least 0"),
    ({"top_k": 1.5}, "top_k: must be an integer of at least 0"),
    ({"stream": "yes"}, "stream: must be true or false"),
    ({"stop_sequences": "END"}, "stop_sequences: must be a list of strings"),
    ({"stop_sequences": ["END", " "]}, "stop_sequences.1: must be a string that is not blank"),
    ({"metadata": "me"}, "metadata: must be a JSON object"),
    ({"thinking": True}, "thinking: must be a JSON object"),
    ({"thinking": {}}, "thinking.type: must be a string"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: must be an integer of at least 1024"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1_023}},
        "thinking.budget_tokens: must be an integer of at least 1024",
    ),
    ({"thinking": THINKING, "max_tokens": 2_000}, "max_tokens: must be greater than thinking.budget_tokens"),
    (
        {"thinking": THINKING, "temperature": 0.5},
        "temperature: may only be set to 1 when thinking is enabled",
    ),
    (
        {"thinking": THINKING, "tools": [a_tool()], "tool_choice": {"type": "any"}},
        "tool_choice: may not force tool use when thinking is enabled",
    ),
    (
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema: must be a JSON object",
    ),
    (
        {"output_format": {"type": "json_schema", "schema": 5}},
        "output_config.format.schema: must be a JSON object",
    ),
    ({"system": 5}, "system: must be a string or a list of text blocks"),
    ({"system": ["words"]}, "system.0: must be a JSON object"),
    ({"system": [a_text(), an_image()]}, "system.1.type: must be 'text'"),
    ({"system": [{"type": "text"}]}, "system.0.text: must be a string"),
    ({"messages": ...}, "messages: must be a list with at least one message"),
    ({"messages": []}, "messages: must be a list with at least one message"),
    ({"messages": [5]}, "messages.0: must be a JSON object"),
    (
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: must be 'user', 'assistant' or 'system'",
    ),
    (
        {"messages": [{"role": ["user"], "content": "x"}]},
        "messages.0.role: must be 'user', 'assistant' or 'system'",
    ),
    ({"messages": [{"role": "user"}]}, "messages.0.content: must be a string or a list of content blocks"),
    ({"messages": [user("")]}, "messages.0.content: must not be empty"),
    (
        {"messages": [user("hi"), {"role": "assistant", "content": []}, user("x")]},
        "messages.1.content: must not be empty",
    ),
    ({"messages": [user("hi", "x")]}, "messages.0.content.0: must be a JSON object"),
    ({"messages": [user({"text": "x"})]}, "messages.0.content.0.type: Field required"),
    ({"messages": [user({"type": "text", "text": 5})]}, "messages.0.content.0.text: must be a string"),
    ({"messages": [assistant({"type": "thinking"})]}, "messages.0.content.0.thinking: must be a string"),
    (
        {"messages": [assistant({**a_tool_use(), "id": ""})]},
        "messages.0.content.0.id: must be a non-empty string",
    ),
    (
        {"messages": [assistant({**a_tool_use(), "name": None})]},
        "messages.0.content.0.name: must be a non-empty string",
    ),
    (
        {"messages": [user({"type": "tool_result"})]},
        "messages.0.content.0.tool_use_id: must be a non-empty string",
    ),
    (
        {"messages": [user(a_tool_result(content=5))]},
        "messages.0.content.0.content: must be a string or a list of content blocks",
    ),
    (
        {"messages": [user(a_tool_result(content=[5]))]},
        "messages.0.content.0.content.0: must be a JSON object",
    ),
    ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source: must be a JSON object"),
    (a_source(), "messages.0.content.0.source.type: must be a string"),
    (a_source(type="url"), "messages.0.content.0.source.url: must be a non-empty string"),
    (
        a_source(type="base64", media_type="image/bmp", data="aGk="),
        "messages.0.content.0.source.media_type: must be one of image/gif, image/jpeg, image/png, image/webp",
    ),
    (
        a_source(type="base64", media_type=["image/png"], data="aGk="),
        "messages.0.content.0.source.media_type: must be one of image/gif, image/jpeg, image/png, image/webp",
    ),
    (
        a_source(type="base64", media_type="image/png", data="no!"),
        "messages.0.content.0.source.data: must be valid base64",
    ),
    (
        a_source(type="base64", media_type="image/png", data=""),
        "messages.0.content.0.source.data: must be a non-empty string",
    ),
    (
        a_source("document", type="base64", media_type="text/csv", data="aGk="),
        "messages.0.content.0.source.media_type: must be one of application/pdf",
    ),
    (a_source("document", type="text"), "messages.0.content.0.source.data: must be a string"),
    (
        a_source("document", type="content"),
        "messages.0.content.0.source.content: must be a string or a list of content blocks",
    ),
    ({"tools": {}}, "tools: must be a list"),
    ({"tools": [5]}, "tools.0: must be a JSON object"),
    ({"tools": [a_tool("a.b")]}, "tools.0.name: must match ^[A-Za-z0-9_-]{1,128}$"),
    ({"tools": [a_tool("x" * 129)]}, "tools.0.name: must match ^[A-Za-z0-9_-]{1,128}$"),
    ({"tools": [{**a_tool(), "name": 5}]}, "tools.0.name: must match ^[A-Za-z0-9_-]{1,128}$"),
    ({"tools": [a_tool("a"), a_tool("a")]}, "tools.1.name: tool names must be unique, and 'a' is not"),
    ({"tools": [{"name": "a"}]}, "tools.0.input_schema: Field required"),
    ({"tools": [{"name": "a", "input_schema": None}]}, "tools.0.input_schema: must be a JSON object"),
    ({"tools": [a_tool(schema={"type": "string"})]}, "tools.0.input_schema.type: must be 'object'"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
    ({"tools": [a_tool()], "tool_choice": {}}, "tool_choice.type: must be a string"),
    ({"tools": [a_tool()], "tool_choice": {"type": "tool"}}, "tool_choice.name: must be a non-empty string"),
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
    {"betas": ["x"], "context_management": {}, "safeguards": [], "service_tier": "auto", "thread": None},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}, {"type": "mcp_toolset"}]},
    {"tools": [{"function": {"name": "a"}}, {"function": {"name": "b"}}]},
    {"tools": [a_tool()], "tool_choice": {"type": "from_the_future"}},
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
    assert parse_messages_request(a_body(**fields)).model == "claude-sonnet-4-5"


def test_output_config_takes_in_the_older_output_format() -> None:
    schema = {"type": "json_schema", "schema": {}}

    older = parse_messages_request(a_body(output_format=schema, output_config={"effort": "low"}))
    both = parse_messages_request(a_body(output_format=schema, output_config={"format": None}))

    assert older.output_config == {"effort": "low", "format": schema}
    assert both.output_config == {"format": None}


def test_threads_are_refused_so_that_the_client_sends_the_whole_history() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_messages_request(a_body(thread={"id": "thread_1"}))

    assert caught.value.as_body()["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_counting_tokens_needs_no_max_tokens() -> None:
    body = a_body(thinking=THINKING)
    del body["max_tokens"]

    assert parse_count_tokens_request(body).max_tokens == 0
    with pytest.raises(InvalidRequest, match="messages"):
        parse_count_tokens_request({"model": "m"})


def test_content_within_content_has_an_end() -> None:
    content: Any = "words"
    for _ in range(300):
        content = [{"type": "document", "source": {"type": "content", "content": content}}]

    with pytest.raises(InvalidRequest, match=r"content is nested too deeply$"):
        parse_messages_request(a_body({"role": "user", "content": content}))
