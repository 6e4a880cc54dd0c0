"""The quick way to read a request and the whole one never disagree."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic import messages
from gateway.dialects.anthropic.messages import MOST_VALUES, MessagesParser, MessagesRequest
from gateway.dialects.anthropic.nesting import MOST_LEVELS
from gateway.dialects.anthropic.tool_lists import MAX_KEPT_BYTES, ToolList
from gateway.errors import InvalidRequest
from tests.builders import a_body, a_text, a_thinking, a_tool, a_tool_result, a_tool_use, assistant, user
from tests.gateway.dialects.anthropic.test_hostile_bodies import (
    CONVERSATION,
    JSON,
    SDK_BODIES,
    VERSIONS,
    paths_in,
    replaced,
)

PLAIN = a_body(
    user("Hello"),
    assistant(a_thinking(), a_text(), a_tool_use(input={"city": "Ljubljana", "days": 2, "now": None})),
    user(a_tool_result(), a_text()),
    assistant(a_text()),
    user(a_text("Go on.")),
    system=[a_text("Be brief.", cache_control={"type": "ephemeral"})],
    tools=[a_tool(), a_tool("other")],
    max_tokens=99,
    stream=True,
)
TEXTS = a_body(
    user("Hello"),
    assistant(a_text()),
    user(a_text("Go on."), a_tool_result()),
    system="Be brief.",
    stream=True,
)
PARSERS = st.builds(
    MessagesParser,
    only_counts=st.booleans(),
    version=st.sampled_from(VERSIONS),
    betas=st.just(frozenset({"some-beta"})),
)


def parsed(body: Any, parser: MessagesParser) -> MessagesRequest | None:
    try:
        return parser.parse(body)
    except InvalidRequest:
        return None


def judge(body: Any, parser: MessagesParser) -> None:
    before = orjson.dumps(body)

    plain = parser.parse_plain(body)

    assert plain is None or plain == parsed(body, parser)
    assert orjson.dumps(body) == before


@given(st.data(), PARSERS)
@settings(max_examples=300)
def test_a_field_changed_anywhere_is_never_overlooked(data: st.DataObject, parser: MessagesParser) -> None:
    body = data.draw(st.sampled_from([PLAIN, TEXTS, CONVERSATION, *SDK_BODIES]))
    path = data.draw(st.sampled_from(list(paths_in(body))))

    judge(replaced(body, path, data.draw(JSON)), parser)


@given(st.data(), PARSERS)
@settings(max_examples=300)
def test_a_missing_field_is_never_overlooked(data: st.DataObject, parser: MessagesParser) -> None:
    body = data.draw(st.sampled_from([PLAIN, TEXTS, CONVERSATION]))
    *way, last = data.draw(st.sampled_from(list(paths_in(body))[1:]))
    holder = body = replaced(body, ("x",), None)
    for step in way:
        holder = holder[step]
    del holder[last]

    judge(body, parser)


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        orjson.loads(orjson.dumps(claude_code_request())),
        a_body(),
        {**PLAIN, "messages": [*PLAIN["messages"], {"role": "system", "output_config": {"effort": "low"}}]},
        a_body(user("x"), assistant(a_tool_use(input={"edits": [{"old": "a", "new": "b"}]}))),
        a_body(user(a_text(cache_control={"type": "ephemeral"}))),
    ],
)
def test_usual_requests_take_the_quick_way(body: Any) -> None:
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())

    request = parser.parse_plain(body)

    assert request == parser.parse(body)
    assert request is not None
    assert request.tools is None or isinstance(request.tools, ToolList)


@given(
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["m", "", " ", "m" * 257]),
            "messages": st.sampled_from(
                [TEXTS["messages"], [], [user("")], [assistant("x")], [assistant("")], [user([])]]
            ),
        },
        optional={
            "max_tokens": st.sampled_from([-1, 0, 1, True, 1.0, None]),
            "system": st.sampled_from(["", "x", None, []]),
            "stream": st.sampled_from([True, False, None, 0]),
            "temperature": st.sampled_from([0, 1, 2]),
            "thread": st.sampled_from(["", "x"]),
        },
    ),
    PARSERS,
)
@settings(max_examples=500)
def test_texts_alone_are_read_as_by_the_table(body: Any, parser: MessagesParser) -> None:
    judge(body, parser)


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"system": "Be brief."}])
def test_texts_alone_are_not_checked_by_the_table(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "BODY_OF_VERSION", {"2023-06-01": None})
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())

    assert parser.parse_plain(a_body(**fields)) is not None


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"x": nested(MOST_LEVELS)}},
        {"tools": [a_tool(schema={"x": nested(MOST_LEVELS)})]},
        {"tools": [a_tool(schema={"x": nested(300)})]},
        {"tools": [a_tool(description="x" * MAX_KEPT_BYTES)]},
        {"tools": [a_tool(schema={"enum": [1] * MOST_VALUES})]},
        {"metadata": {"x": [1] * MOST_VALUES}},
        {"messages": [user("x")] * MOST_VALUES},
        {"messages": [user(*[a_text()] * MOST_VALUES)]},
        {"messages": [user("x"), assistant(a_tool_use(input={str(n): n for n in range(MOST_VALUES)}))]},
        {"messages": [user("x"), assistant(a_tool_use(input={"x": nested(MOST_LEVELS)}))]},
    ],
)
def test_deep_and_numerous_values_take_the_other_way(fields: dict[str, Any]) -> None:
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())

    assert parser.parse_plain({**PLAIN, **fields}) is None


def test_equal_tools_are_checked_once() -> None:
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())
    first, second = (parser.parse_plain(orjson.loads(orjson.dumps(PLAIN))) for _ in range(2))

    assert first is not None
    assert second is not None
    assert first.tools is second.tools


@pytest.mark.parametrize("kind", ["tool_addition", "tool_removal"])
def test_messages_that_change_the_tools_are_noticed(kind: str) -> None:
    change = {"type": kind, "tool": {"type": "tool_reference", "name": "other"}}
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())
    body = {**PLAIN, "messages": [*PLAIN["messages"], {"role": "system", "content": [change]}]}

    plain, changed = parser.parse_plain(PLAIN), parser.parse_plain(body)

    assert plain is not None
    assert not plain.may_change_tools
    assert changed is not None
    assert changed.may_change_tools
