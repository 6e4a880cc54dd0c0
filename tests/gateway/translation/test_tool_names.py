from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.tool_names import ToolNames, ToolUseIds
from tests.builders import (
    CLAUDE,
    a_chunk,
    a_stream,
    a_tool,
    a_tool_result,
    a_tool_use,
    assistant,
    events_of,
    translated,
    user,
)

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@pytest.mark.parametrize(
    ("client", "upstream"),
    [
        ("Read", "Read"),
        ("get-weather.v2", "get-weather_v2"),
        ("mcp__files__a/b", "mcp__files__a_b"),
        ("9lives", "_9lives"),
        ("-dash", "_-dash"),
        ("x" * 80, "x" * 64),
        ("", "_"),
    ],
)
def test_a_name_becomes_legal_for_every_family(client: str, upstream: str) -> None:
    assert ToolNames().to_upstream(client) == upstream


def test_names_that_collide_are_numbered_within_the_length() -> None:
    names = ToolNames()

    assert [names.to_upstream(name) for name in ("a.b", "a/b", "a_b")] == ["a_b", "a_b_2", "a_b_3"]
    assert [names.to_upstream("x" * 64 + end) for end in "12"] == ["x" * 64, "x" * 62 + "_2"]


@given(st.lists(st.text(max_size=80), unique=True, max_size=10))
def test_any_names_go_there_and_back(names: list[str]) -> None:
    tool_names = ToolNames()

    upstream = [tool_names.to_upstream(name) for name in names]

    assert all(LEGAL.fullmatch(name) for name in upstream)
    assert [tool_names.to_client(name) for name in upstream] == names
    assert [tool_names.to_upstream(name) for name in names] == upstream


def test_one_map_serves_declarations_calls_results_choice_and_answers() -> None:
    name = "9" + "x" * 79
    request = translated(
        user("hi"),
        assistant(a_tool_use(name=name)),
        user(a_tool_result()),
        model=CLAUDE,
        tools=[a_tool(name)],
        tool_choice={"type": "tool", "name": name},
    )
    upstream = "_9" + "x" * 62

    body = request.request
    assert body["tools"][0]["functionDeclarations"][0]["name"] == upstream
    assert body["contents"][1]["parts"][0]["functionCall"]["name"] == upstream
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == upstream
    assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == [upstream]
    events = events_of(a_stream(request), a_chunk({"functionCall": {"name": upstream, "args": {}}}))
    assert events[1]["content_block"]["name"] == name


def test_an_invented_tool_name_reaches_the_client_unchanged() -> None:
    assert ToolNames().to_client("Invented") == "Invented"


def test_ids_become_legal_and_stay_unique() -> None:
    ids = ToolUseIds()

    assert [ids.to_upstream(id_) for id_ in ("toolu_1", "call.1", "call/1", "", "toolu_1")] == [
        "toolu_1",
        "call_1",
        "call_1_2",
        "_",
        "toolu_1_2",
    ]
    assert len(ids.to_upstream("i" * 100)) == 64
