"""A body that begins with the history of an earlier one is read as any other."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic.known_messages import Conversation
from gateway.dialects.anthropic.messages import MessagesParser, MessagesRequest
from gateway.preparation.recent_messages import KEPT_SECONDS, RecentMessages
from gateway.preparation.recent_parts import RecentParts
from tests.builders import a_body, a_text, a_thinking, a_tool, a_tool_result, a_tool_use, assistant, user

PARSER = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())
MESSAGES = [
    user("Hello"),
    assistant(a_thinking(), a_text(), a_tool_use(input={"messages": 'says "messages":[ ✓'})),
    user(a_tool_result(), a_text()),
    user(a_text("Go on.", cache_control={"type": "ephemeral"})),
    assistant(a_tool_use(input={"deep": {"messages": [user("Hello")]}})),
    {"role": "system", "content": "Be brief."},
    {"role": "system", "output_config": {"effort": "low"}},
    assistant("Yes."),
]
TOOLS = [
    a_tool(),
    a_tool("other", schema={"type": "object", "properties": {"messages": {"const": MESSAGES}}}),
]


def read(body: bytes | bytearray, recent: RecentParts) -> MessagesRequest | None:
    """Read a body as RequestTranslator does."""
    request = PARSER.parse_plain(recent.parse(body))
    if request is not None:
        recent.learn(request, body)
    return request


def known_in(request: MessagesRequest | None) -> int:
    assert request is not None
    return request.messages.known_count if isinstance(request.messages, Conversation) else 0


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Requests of a few conversations, with members in any order, within others and more than once, and
    damaged."""
    messages = draw(st.lists(st.sampled_from(MESSAGES), max_size=5))
    members = [("messages", messages), ("model", "m"), ("max_tokens", 9)]
    members += draw(st.lists(st.sampled_from([("tools", TOOLS[:1]), ("tools", TOOLS)]), max_size=2))
    members += draw(
        st.lists(st.sampled_from([("metadata", {"messages": MESSAGES[:2]}), members[0]]), max_size=1)
    )
    members = draw(st.permutations(members))
    body = b"{%b}" % b",".join(
        b"%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in members
    )
    for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
        at = draw(st.integers(0, len(body)))
        damage = draw(st.sampled_from([b"", b'"', b"\\", b",", b"]", b"}", b" ", b"\xff"]))
        body = body[:at] + damage + body[at + draw(st.integers(0, 1)) :]
    return body


def value_or_error(body: bytes | bytearray, recent: RecentParts | None = None) -> Any:
    try:
        return orjson.loads(body) if recent is None else recent.parse(body)
    except orjson.JSONDecodeError:
        return "no JSON"


@given(st.lists(bodies(), min_size=2, max_size=6))
@settings(max_examples=500)
def test_the_value_and_the_request_are_the_same(sent: list[bytes]) -> None:
    recent = RecentParts()

    for body in sent:
        for kind in (bytes, bytearray):
            value = value_or_error(body)
            assert value_or_error(kind(body), recent) == value
            if value != "no JSON":
                assert read(kind(body), recent) == PARSER.parse_plain(value)


def test_each_request_of_a_conversation_is_read_from_its_first_new_message() -> None:
    whole = claude_code_request()
    recent, messages = RecentParts(), whole["messages"][:-1]
    known = []

    for count in range(7, len(messages), 2):
        body = orjson.dumps({**whole, "messages": messages[:count]})
        request = read(body, recent)
        assert request == PARSER.parse_plain(orjson.loads(body))
        known.append(known_in(request))

    assert known == [0, *range(6, len(messages) - 3, 2)]


def test_the_histories_of_forty_agents_are_kept() -> None:
    recent = RecentParts()
    conversations = [
        [user(f"Agent {number}: {'a' * 150_000}"), assistant("b" * 150_000), user("Go on.")]
        for number in range(40)
    ]
    sent = [orjson.dumps(a_body(*messages)) for messages in conversations]

    for body in sent:
        read(body, recent)

    assert [known_in(read(body, recent)) for body in sent] == [2] * 40


def test_known_messages_are_shared() -> None:
    body = orjson.dumps(claude_code_request())
    recent = RecentParts()

    read(body, recent)
    first, second = read(body, recent), read(body, recent)

    assert first is not None
    assert second is not None
    assert known_in(first) == len(first.messages) - 1
    assert all(one is other for one, other in zip(first.messages[:-1], second.messages, strict=False))


@pytest.mark.parametrize(
    "changed",
    [
        [user("Hi"), *MESSAGES[1:3]],
        [MESSAGES[0], assistant("No."), MESSAGES[2]],
        [assistant("Yes."), *MESSAGES[:3]],
    ],
)
def test_another_history_is_not_taken_for_a_known_one(changed: list[dict[str, Any]]) -> None:
    recent = RecentParts()
    read(orjson.dumps(a_body(*MESSAGES[:3])), recent)
    body = orjson.dumps(a_body(*changed))

    request = read(body, recent)

    assert known_in(request) == 0
    assert request == PARSER.parse_plain(orjson.loads(body))


def test_messages_in_another_spelling_are_not_kept() -> None:
    body = orjson.dumps(a_body(*MESSAGES[:3])).replace(b"Hello", b"H\\u0065llo")
    recent = RecentParts()

    read(body, recent)

    assert known_in(read(body, recent)) == 0


def test_the_conversations_that_came_last_are_kept() -> None:
    recent = RecentParts()
    sent = [orjson.dumps(a_body(user(f"{number}" * 400), *MESSAGES[1:3])) for number in range(3)]
    recent.messages = RecentMessages(most_bytes=2_000)

    for body in sent:
        read(sent[0], recent)
        read(body, recent)

    assert [isinstance(recent.parse(body)["messages"], Conversation) for body in sent] == [True, False, True]


def test_a_history_is_dropped_when_it_was_not_used_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    recent, body, now = RecentParts(), orjson.dumps(a_body(*MESSAGES[:3])), 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    read(body, recent)

    now += KEPT_SECONDS - 1
    recent.messages.forget_unused()
    assert isinstance(recent.parse(body)["messages"], Conversation)
    now += KEPT_SECONDS
    recent.messages.forget_unused()
    assert not isinstance(recent.parse(body)["messages"], Conversation)


def test_of_two_histories_the_longer_is_taken() -> None:
    recent = RecentParts()
    bodies = [orjson.dumps(a_body(*MESSAGES[:count], user(f"{count}"))) for count in (3, 1)]
    for body in bodies:
        read(body, recent)

    assert known_in(read(bodies[0], recent)) == 3
