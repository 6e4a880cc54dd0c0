"""A body whose tools are told by their bytes is read as any other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects.anthropic.tool_lists import ToolList, checked_tools
from gateway.preparation.recent_parts import RecentParts
from gateway.preparation.recent_tools import RecentTools
from tests.builders import a_tool

TOOLS = [
    [a_tool("get_weather")],
    [a_tool("get_weather"), a_tool("read")],
    [{**a_tool("tools"), "description": 'says ,"tools":[] ✓'}],
]
MEMBERS = [b'"tools":%b' % orjson.dumps(tools) for tools in TOOLS]
INNER = st.sampled_from(MEMBERS).map(lambda member: b"{%b}" % member)
VALUES = st.one_of(
    st.sampled_from([b"1", b"[]", b"null", b'"\\"', rb'",\"tools\":["', rb'"\\"', b'","', b"{}"]),
    st.sampled_from(MEMBERS).map(lambda member: orjson.dumps("," + member.decode())),
    st.sampled_from(MEMBERS).map(lambda member: b'{"a":1,%b}' % member),
    INNER,
)
NAMES = st.sampled_from([b'"a"', b'"tools"', b'"messages"', rb'"\""', rb'"too\u006cs"'])
PAIRS = st.builds(lambda name, value: b"%b:%b" % (name, value), NAMES, VALUES)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Objects with tools as a member, within others, in texts, more than once, and damaged."""
    members = draw(st.lists(st.one_of(PAIRS, st.sampled_from(MEMBERS)), max_size=4))
    body = b"{%b}" % b",".join(members)
    for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
        at = draw(st.integers(0, len(body)))
        damage = draw(st.sampled_from([b"", b'"', b"\\", b",", b"]", b"}", b" ", b"\xff"]))
        body = body[:at] + damage + body[at + draw(st.integers(0, 1)) :]
    return body


def value_or_error(parse: Any, body: bytes | bytearray) -> Any:
    try:
        return parse(body)
    except orjson.JSONDecodeError:
        return "no JSON"


def that_know(*lists: list[dict[str, Any]]) -> RecentParts:
    recent = RecentParts()
    for tools in lists:
        recent.tools.learn(checked_tools(tools), orjson.dumps({"model": "m", "tools": tools}))
    return recent


@given(st.lists(bodies(), min_size=1, max_size=4), st.permutations(TOOLS), st.integers(0, 3))
@settings(max_examples=500)
def test_the_value_or_error_is_the_same(
    sent: list[bytes], lists: list[list[dict[str, Any]]], known: int
) -> None:
    recent = that_know(*lists[:known])

    for body in sent:
        for kind in (bytes, bytearray):
            assert value_or_error(recent.parse, kind(body)) == value_or_error(orjson.loads, body)


@pytest.mark.parametrize("before", [{"model": "m"}, {"messages": ["a" * 999]}, {"a": {"b": 1, "tools": []}}])
@pytest.mark.parametrize("after", [{}, {"stream": True}])
def test_known_tools_are_not_parsed_again(before: dict[str, Any], after: dict[str, Any]) -> None:
    recent = that_know(TOOLS[1], TOOLS[0])
    body = orjson.dumps({**before, "tools": TOOLS[1], **after})

    first, second = recent.parse(body)["tools"], recent.parse(body)["tools"]

    assert isinstance(first, ToolList)
    assert first is second is checked_tools(TOOLS[1])


def test_tools_within_another_object_are_none_of_the_body() -> None:
    body = orjson.dumps({"messages": [{"input": {"a": 1, "tools": TOOLS[0]}}], "tools": 5})

    assert that_know(TOOLS[0]).parse(body) == orjson.loads(body)


def test_tools_in_another_spelling_are_not_remembered() -> None:
    recent = RecentParts()
    body = orjson.dumps({"model": "m", "tools": TOOLS[0]}).replace(b'"name"', b'"n\\u0061me"')

    recent.tools.learn(checked_tools(orjson.loads(body)["tools"]), body)

    assert not isinstance(recent.parse(body)["tools"], ToolList)


def test_the_lists_that_came_last_are_kept() -> None:
    recent = RecentParts()
    recent.tools = RecentTools(most=2)
    sent = [orjson.dumps({"model": "m", "tools": tools}) for tools in TOOLS]
    for tools, body in zip(TOOLS, sent, strict=True):
        recent.parse(sent[0])
        recent.tools.learn(checked_tools(tools), body)

    assert [isinstance(recent.parse(body)["tools"], ToolList) for body in sent] == [True, False, True]
