"""A history in good order, read in one walk, gives the same request as when it is taken for any other."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic.messages import MessagesRequest, parse_messages_request
from gateway.errors import InvalidRequest
from gateway.translation.request.plain_history import History, plain_history
from gateway.translation.request.request import mended_history
from gateway.translation.request.turns import ContentsBuilder
from gateway.translation.signature_families import SignatureCache, key_of_text, tag
from gateway.translation.tool_names import ToolNames
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_2_5,
    GEMINI_3,
    GPT,
    SIGNATURE,
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
from tests.gateway.dialects.anthropic.test_hostile_bodies import JSON, paths_in, replaced
from tests.gateway.translation.request.conversation_examples import Conversation, conversations
from tests.gateway.translation.tokens.shares import Shares

MODELS = st.sampled_from([CLAUDE, CLAUDE_THINKING, GEMINI_3, GEMINI_2_5, GPT])
TEXTS = st.sampled_from(["Yes.", " indented", "line\n", "ünï ✓", "\u00a0", "long " * 2_000])
THOUGHTS = st.sampled_from([a_thinking(), a_thinking("", f"gemini#{SIGNATURE}"), a_thinking("so", "short")])
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}}
FILES = st.sampled_from([an_image(), DOCUMENT])
RESULTS = st.sampled_from(["done", "", " ", None, [a_text("one"), an_image()], [an_image()], [], [DOCUMENT]])
ODD_BLOCKS: list[dict[str, Any]] = [
    a_text(" "),
    a_tool_use("toolu_0"),
    a_tool_result("toolu_0"),
    {"type": "redacted_thinking", "data": f"claude#{SIGNATURE}"},
    {"type": "text_delta", "text": "more"},
    {"type": "input_json_delta", "partial_json": "{}"},
    {"type": "tool_use", "id": "toolu_9", "name": "get_weather", "partial_json": "{"},
    {"type": "from_the_future", "anything": 1},
]
EFFORTS = st.sampled_from(["", [], "Be brief.", [a_text("Be brief.")]])


@st.composite
def orderly_histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rounds of calls and results, and talk between them."""
    messages: list[dict[str, Any]] = [user(draw(TEXTS))]
    for number in range(draw(st.integers(0, 4))):
        ids = [f"toolu_{number}{call}" for call in range(draw(st.integers(0, 3)))]
        said = [*draw(st.lists(THOUGHTS, max_size=1)), *map(a_text, draw(st.lists(TEXTS, max_size=2)))]
        calls = [a_tool_use(one, draw(st.sampled_from(["get_weather", "default_api:x"]))) for one in ids]
        results = [a_tool_result(one, draw(RESULTS), is_error=draw(st.booleans())) for one in ids]
        rest = [*map(a_text, draw(st.lists(TEXTS, max_size=1))), *draw(st.lists(FILES, max_size=1))]
        messages.append(assistant(*(said + calls or [a_text("Hm.")])))
        messages.append(user(*(results + rest or [a_text("Go on.")])))
        if draw(st.integers(0, 3)) == 0:
            effort = {"output_config": {"effort": "low"}}
            messages.append({"role": "system", "content": draw(EFFORTS), **effort})
    return messages if draw(st.integers(0, 4)) else messages[:-1] or messages


@st.composite
def damaged_histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages lost, doubled or in another order, and blocks where none should be."""
    messages = copy.deepcopy(draw(orderly_histories()))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(messages) - 1))
        content = messages[at]["content"]
        how = draw(st.integers(0, 4))
        if how == 0:
            messages = messages[:at] + messages[at + 1 :] or messages
        elif how == 1:
            messages.insert(at, copy.deepcopy(draw(st.sampled_from(messages))))
        elif how == 2 or type(content) is str:
            messages[at]["role"] = draw(st.sampled_from(["user", "assistant", "system"]))
        elif how == 3:
            messages[at]["content"] = draw(st.permutations(content))[draw(st.integers(0, 1)) :]
        else:
            content.insert(draw(st.integers(0, len(content))), draw(st.sampled_from(ODD_BLOCKS)))
    return messages


def asked(messages: list[dict[str, Any]]) -> MessagesRequest:
    """The request, also for a history that Anthropic would refuse."""
    return MessagesRequest("any", max_tokens=9, messages=messages, system="Be kind.", tools=[a_tool()])


def outcome(history: History, model_id: str) -> tuple[Any, ...]:
    """What Google is sent of a history, the estimate, and whether Claude may think."""
    model = a_model(model_id)
    signatures, names, declared = SignatureCache(), ToolNames(), ToolNames()
    signatures.put("toolu_00", tag("gemini", SIGNATURE))
    signatures.put(key_of_text("Yes."), tag("gemini", SIGNATURE))
    contents = [
        ContentsBuilder(model, names, signatures, declared=declared, keeps_thinking=keeps).build(
            history.turns, may_end_with_assistant=not keeps
        )
        for keeps in (False, True)
    ]
    return orjson.dumps(contents), history.estimate, model.family == "claude" and history.lacks_thinking


def judge(request: MessagesRequest, model_id: str) -> bool:
    """Assert that both ways give the same; return whether the history is in good order."""
    family, before = a_model(model_id).family, orjson.dumps(request.messages)

    history = plain_history(request, family)

    if history is None:
        return False
    assert outcome(history, model_id) == outcome(mended_history(request, family, 0), model_id)
    assert orjson.dumps(request.messages) == before
    return True


@pytest.mark.hypothesis
@pytest.mark.parametrize("histories", [orderly_histories(), damaged_histories()], ids=["orderly", "damaged"])
def test_a_history_gives_the_same_request(histories: st.SearchStrategy[list[dict[str, Any]]]) -> None:
    shares = Shares()

    @given(histories, MODELS)
    @settings(max_examples=300)
    def check(messages: list[dict[str, Any]], model: str) -> None:
        is_quick = judge(asked(messages), model)

        shares.count(quick=is_quick, long=len(messages) > 3)

    check()
    shares.check()


@given(conversations(), MODELS)
def test_any_conversation_gives_the_same_request(talk: Conversation, model: str) -> None:
    judge(parse_messages_request(talk.body), model)


TALK = a_body(
    user("Hello"),
    assistant(a_thinking(), a_text(), a_tool_use()),
    user(a_tool_result(), a_text()),
    {"role": "system", "content": "Be brief."},
)


@given(st.data(), MODELS)
@settings(max_examples=300)
def test_any_value_anywhere_gives_the_same_request(data: st.DataObject, model: str) -> None:
    path = data.draw(st.sampled_from([path for path in paths_in(TALK) if path[:1] == ("messages",)]))
    try:
        request = parse_messages_request(replaced(TALK, path, data.draw(JSON)))
    except InvalidRequest:
        return

    judge(request, model)


CALLS = [a_tool_use("a"), a_tool_use("b")]
ANSWERS = [a_tool_result("a"), a_tool_result("b")]
REMARK = {"role": "system", "content": "Be brief.", "clear_at": "next_user_message"}


@pytest.mark.parametrize(
    "odd",
    [
        [user("more")],
        [assistant(a_text()), assistant(a_text())],
        [assistant(a_text()), {"role": "system", "content": "Be brief."}, user("more")],
        [REMARK, assistant(a_text()), user("more")],
        [assistant(a_text(" "), a_text()), user("more")],
        [assistant(a_text()), user("\n")],
        [assistant(*CALLS), user("more")],
        [assistant(*CALLS), user(ANSWERS[0])],
        [assistant(*CALLS), user(*reversed(ANSWERS))],
        [assistant(*CALLS), user(*ANSWERS, ANSWERS[0])],
        [assistant(*CALLS, CALLS[0]), user(*ANSWERS)],
        [assistant(a_text()), user(*ANSWERS)],
        [assistant(*CALLS), user(*ANSWERS), assistant(a_text()), user(*ANSWERS)],
        [assistant({**CALLS[0], "input": {}, "partial_json": '{"x":1}'}), user(ANSWERS[0])],
        [assistant({"type": "tool_use", "id": "a", "name": "get_weather"}), user(ANSWERS[0])],
        [assistant({"type": "text_delta", "text": "Hi"}), user("more")],
    ],
)
def test_an_odd_history_is_left_to_the_repair(odd: list[dict[str, Any]]) -> None:
    assert not judge(asked([user("Hello"), *odd]), CLAUDE_THINKING)


def test_claude_codes_history_is_in_good_order() -> None:
    request = parse_messages_request(claude_code_request())

    assert judge(request, CLAUDE_THINKING)
    assert judge(request, GEMINI_3)


def test_a_history_that_is_too_deep_is_refused_either_way() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    request = asked([user("hi"), assistant(a_tool_use(input=deep)), user(a_tool_result())])

    for read in (plain_history, lambda request, family: mended_history(request, family, 0)):
        with pytest.raises(InvalidRequest, match="nested too deeply"):
            read(request, "claude")


IN_ORDER = st.tuples(
    st.lists(THOUGHTS, max_size=1), st.lists(st.builds(a_text, TEXTS), max_size=1), st.booleans()
)


@given(IN_ORDER, st.sampled_from([CLAUDE, GPT]), st.booleans())
@settings(max_examples=300)
def test_a_turn_in_order_stays_so(
    turn: tuple[list[Any], list[Any], bool], model: str, keeps_thinking: bool
) -> None:
    """A block that is left out makes it a turn whose order is not known."""
    thoughts, texts, has_call = turn
    blocks = [*thoughts, *texts, *([a_tool_use()] if has_call else [])]

    def contents(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        builder = ContentsBuilder(
            a_model(model), ToolNames(), SignatureCache(), declared=ToolNames(), keeps_thinking=keeps_thinking
        )
        turns = [user(a_text()), assistant(*blocks)]
        return builder.build(turns, may_end_with_assistant=True)

    assert contents(blocks) == contents([*blocks, {"type": "redacted_thinking", "data": "?"}])
