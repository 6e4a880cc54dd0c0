"""Roles, turns, and the pairing of calls and results."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway.translation.request.history import INTERRUPTED, as_turns, pair_tools
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    translated,
    user,
)
from tests.gateway.translation.schemas.test_schema_properties import an_envelope


def repair_history(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return pair_tools(as_turns(messages))


def contents_of(*messages: dict[str, Any], model: str = CLAUDE, **fields: Any) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = translated(*messages, model=model, **fields).request["contents"]
    return contents


def outline(contents: list[dict[str, Any]]) -> list[str]:
    """``model: call toolu_1, text; user: response toolu_1`` as a list of turns."""
    return [
        f"{content['role']}: {', '.join(map(_outline_of_part, content['parts']))}" for content in contents
    ]


def _outline_of_part(part: dict[str, Any]) -> str:
    if "functionCall" in part:
        return f"call {part['functionCall']['id']}"
    if "functionResponse" in part:
        return f"response {part['functionResponse']['id']}"
    return "thought" if part.get("thought") else str(part.get("text", "image"))


# --- roles and turns (2) ---


def test_the_assistant_is_the_model() -> None:
    assert contents_of(user("hi"), assistant("ho"), user("he")) == [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "ho"}]},
        {"role": "user", "parts": [{"text": "he"}]},
    ]


@pytest.mark.parametrize("content", ["Be brief.", [a_text("Be brief.", cache_control={"type": "ephemeral"})]])
def test_a_later_system_message_becomes_the_users(content: Any) -> None:
    contents = contents_of(user("hi"), assistant("ho"), {"role": "system", "content": content})

    assert contents[2] == {"role": "user", "parts": [{"text": "Be brief."}]}


def test_neighbours_of_one_role_become_one_turn() -> None:
    assert outline(contents_of(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))) == [
        "user: a, b",
        "model: c, d",
        "user: e",
    ]


def test_a_system_message_between_call_and_result_does_not_part_them() -> None:
    contents = contents_of(
        user("hi"), assistant(a_tool_use()), {"role": "system", "content": "note"}, user(a_tool_result())
    )

    assert outline(contents) == ["user: hi", "model: call toolu_1", "user: response toolu_1, note"]


def test_an_empty_turn_between_two_others_keeps_them_apart() -> None:
    assert outline(contents_of(user("a"), assistant(a_text(" ")), user("b"))) == [
        "user: a",
        "model: .",
        "user: b",
    ]


def test_empty_first_turns_and_empty_prefills_are_dropped() -> None:
    contents = contents_of(assistant(a_text(" ")), user("a"), {"role": "assistant", "content": ""})

    assert outline(contents) == ["user: a"]


def test_an_empty_last_user_turn_creates_no_prefill() -> None:
    contents = contents_of(user("a"), assistant("b"), user(a_text("\n")))

    assert outline(contents) == ["user: a", "model: b", "user: ."]


def test_a_conversation_begins_with_the_user() -> None:
    assert outline(contents_of(assistant("I begin"), user("a"))) == ["user: .", "model: I begin", "user: a"]


def test_nothing_but_blanks_is_still_a_conversation() -> None:
    assert outline(contents_of(user(" "))) == ["user: ."]


def test_a_prefill_is_kept_for_an_older_claude_without_thinking() -> None:
    assert outline(contents_of(user("a"), assistant("I would"))) == ["user: a", "model: I would"]


def test_a_prefill_ends_with_a_word() -> None:
    contents = contents_of(user("hi"), assistant("I say\n\n"))

    assert outline(contents) == ["user: hi", "model: I say"]


NEW_CLAUDE = "claude-sonnet-4-6"


@pytest.mark.parametrize(
    "model", [CLAUDE_THINKING, NEW_CLAUDE, "claude-opus-5", "claude-mythos-preview", GEMINI_3, GPT]
)
def test_after_a_prefill_other_models_are_asked_to_go_on(model: str) -> None:
    assert outline(contents_of(user("a"), assistant("I would"), model=model))[2:] == ["user: Continue."]


# --- parallel calls, orphans (5.3, 5.4) ---

CALLS = [a_tool_use("a"), a_tool_use("b"), a_tool_use("c")]


@pytest.mark.parametrize("last", [a_text("I would"), a_tool_use(), a_text(" ")])
def test_a_new_claude_takes_any_end_of_the_history(last: dict[str, Any]) -> None:
    request = translated(user("a"), assistant(last), tools=[a_tool()], model=NEW_CLAUDE)

    validate_generate(an_envelope(NEW_CLAUDE, request.request))


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3, GPT])
def test_results_come_first_and_in_the_order_of_the_calls(model: str) -> None:
    results = [a_text("so?"), a_tool_result("c"), a_tool_result("a"), a_tool_result("b")]

    contents = contents_of(user("hi"), assistant(*CALLS), user(*results), model=model)

    assert outline(contents)[1:] == [
        "model: call a, call b, call c",
        "user: response a, response b, response c, so?",
    ]


def test_a_result_carries_the_name_of_the_function_it_answers() -> None:
    calls = [a_tool_use("a", "first"), a_tool_use("b", "second")]

    contents = contents_of(user("hi"), assistant(*calls), user(a_tool_result("b"), a_tool_result("a")))

    assert [part["functionResponse"]["name"] for part in contents[2]["parts"]] == ["first", "second"]


def test_a_result_without_call_becomes_text_and_keeps_its_images() -> None:
    stray = a_tool_result("gone", [a_text("words"), an_image()])

    contents = contents_of(user("hi"), assistant("ho"), user(stray))

    text, image = contents[2]["parts"]
    assert "gone" in text["text"]
    assert "words" in text["text"]
    assert "inlineData" in image


@pytest.mark.parametrize("tool_use_id", ["gone", "a", ["a"], None, ...])
@pytest.mark.parametrize("content", ["words", ["words"], {"deep": "words"}, [a_text("words"), an_image()]])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
def test_a_result_within_a_stray_one_becomes_text(tool_use_id: Any, content: Any, model: str) -> None:
    inner = {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}
    if tool_use_id is ...:
        del inner["tool_use_id"]
    stray = a_tool_result("stray", [inner])

    request = translated(user("hi"), assistant(a_tool_use("a")), user(stray), model=model, tools=[a_tool()])

    validate_generate(an_envelope(model, request.request))
    answer, *others = request.request["contents"][2]["parts"]
    assert answer["functionResponse"]["response"] == {"error": INTERRUPTED}
    assert "words" in repr(others)
    assert ("inlineData" in repr(others)) == ("image" in repr(content))


def test_each_result_is_checked_by_its_id() -> None:
    contents = contents_of(
        user("hi"), assistant(a_tool_use("a")), user(a_tool_result("a"), a_tool_result("x"))
    )

    assert [("functionResponse" in part) for part in contents[2]["parts"]] == [True, False]


def test_of_two_results_for_one_call_the_first_is_kept() -> None:
    results = [a_tool_result("a", "first"), a_tool_result("a", "second")]

    contents = contents_of(user("hi"), assistant(a_tool_use("a")), user(*results))

    assert [part["functionResponse"]["response"] for part in contents[2]["parts"]] == [{"result": "first"}]


def test_the_first_of_two_calls_with_one_id_counts() -> None:
    contents = contents_of(
        user("hi"), assistant(a_tool_use("a"), a_text("x"), a_tool_use("a")), user(a_tool_result("a"))
    )

    assert outline(contents)[1:] == ["model: x, call a", "user: response a"]


def test_one_id_in_two_turns_becomes_two_ids() -> None:
    contents = contents_of(
        user("hi"),
        assistant(a_tool_use("a")),
        user(a_tool_result("a")),
        assistant(a_tool_use("a")),
        user(a_tool_result("a")),
    )

    assert outline(contents)[1:] == [
        "model: call a",
        "user: response a",
        "model: call a_2",
        "user: response a_2",
    ]


def test_illegal_ids_are_rewritten_on_both_sides() -> None:
    contents = contents_of(user("hi"), assistant(a_tool_use("call:1.x")), user(a_tool_result("call:1.x")))

    assert outline(contents)[1:] == ["model: call call_1_x", "user: response call_1_x"]


def test_an_interrupted_call_is_answered_with_an_error() -> None:
    contents = contents_of(user("hi"), assistant(*CALLS[:2]), user(a_tool_result("b"), a_text("stop")))

    assert outline(contents)[2] == "user: response a, response b, stop"
    assert contents[2]["parts"][0]["functionResponse"]["response"] == {"error": INTERRUPTED}


def test_the_calls_of_a_final_claude_turn_stay_open() -> None:
    assert outline(contents_of(user("hi"), assistant(a_tool_use("a")))) == ["user: hi", "model: call a"]


def test_open_calls_are_answered_where_prefills_are_refused() -> None:
    contents = contents_of(user("hi"), assistant(a_tool_use("a")), model=GEMINI_3)

    assert outline(contents)[1:] == ["model: call a", "user: response a"]


# --- order within an assistant turn (7.5) ---


def test_text_after_a_call_goes_before_the_first_one() -> None:
    contents = contents_of(
        user("hi"),
        assistant(a_text("x"), a_tool_use("a"), a_text("y"), a_tool_use("b"), a_text("z")),
        user("go"),
    )

    assert outline(contents)[1] == "model: x, y, z, call a, call b"


def test_interleaved_thinking_keeps_its_order() -> None:
    blocks = [a_thinking("1"), a_text("x"), a_tool_use("a"), a_thinking("2"), a_tool_use("b")]

    contents = contents_of(user("hi"), assistant(*blocks), user("go"), model=CLAUDE_THINKING)

    assert outline(contents)[1] == "model: thought, x, call a, thought, call b"


def test_a_claude_turn_with_thinking_begins_with_it() -> None:
    contents = contents_of(
        user("hi"), assistant(a_text("x"), a_thinking("1"), a_text("y")), user("go"), model=CLAUDE_THINKING
    )

    assert outline(contents)[1] == "model: thought, x, y"


def test_a_claude_turn_does_not_end_with_thinking() -> None:
    only_thinking = contents_of(user("hi"), assistant(a_thinking()), user("go"), model=CLAUDE_THINKING)
    behind_a_call = contents_of(
        user("hi"),
        assistant(a_thinking("1"), a_tool_use("a"), a_thinking("2")),
        user("go"),
        model=CLAUDE_THINKING,
    )

    assert outline(only_thinking)[1] == "model: thought, ."
    assert outline(behind_a_call)[1] == "model: thought, call a"


def test_what_is_in_order_stays_as_it_is() -> None:
    history = [user(a_text("hi")), assistant(a_tool_use("a")), user(a_tool_result("a"), a_text("and?"))]

    assert repair_history(history) == history


# --- system messages that are not there to be read ---


def test_an_empty_system_message_is_no_turn() -> None:
    """Claude Code sends one when the effort changes."""
    messages = [user("hi"), assistant("ho"), {"role": "system", "content": [], "output_config": {}}]

    assert repair_history(messages) == repair_history(messages[:2])
    assert repair_history([*messages, user("he")]) == repair_history([*messages[:2], user("he")])


def test_a_system_text_may_be_for_one_turn_only() -> None:
    reminder = {"role": "system", "content": [a_text("Be quick.")], "clear_at": "next_user_message"}

    last = repair_history([user("hi"), reminder])
    later = repair_history([user("hi"), reminder, assistant("ho"), user("he")])

    assert last == [{"role": "user", "content": [a_text("hi"), a_text("Be quick.")]}]
    assert "Be quick." not in repr(later)
    assert "Be quick." in repr(repair_history([user("hi"), reminder | {"clear_at": "never"}, user("he")]))


def test_a_tool_change_outlasts_the_text_beside_it() -> None:
    change = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Read"}}
    system = {"role": "system", "content": [a_text("Bye."), change], "clear_at": "next_user_message"}

    assert repair_history([user("hi"), system, user("he")])[0]["content"] == [
        a_text("hi"),
        change,
        a_text("he"),
    ]


# --- pieces of a stream among the blocks ---

ARGUMENTS = '{"city": "Oslo"}'


def piece(text: str, field: str = "partial_json") -> dict[str, Any]:
    return {"type": "input_json_delta", "index": 1, field: text}


def a_started_call(given: Any = "", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given, "index": 1, **fields}


PIECES = [
    ("LangChain.js", [a_started_call(), piece('{"city":', "input"), piece(' "Oslo"}', "input")]),
    ("MaxKB", [a_started_call({}), piece(""), piece('{"city":'), piece(' "Oslo"}')]),
    ("LangChain", [a_started_call({}, partial_json=ARGUMENTS)]),
    ("with the whole input", [a_started_call({"city": "Oslo"}), piece(ARGUMENTS)]),
    ("with the whole input and text", [a_started_call({"city": "Oslo"}, partial_json=ARGUMENTS)]),
    ("with nothing before", [piece("lost"), a_started_call({"city": "Oslo"})]),
]


@pytest.mark.parametrize("blocks", [row[1] for row in PIECES], ids=[row[0] for row in PIECES])
def test_a_call_left_in_pieces_is_put_together(blocks: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(blocks)

    _, model, _ = contents_of(user("hi"), assistant(*blocks), user(a_tool_result()))

    assert model["parts"] == [{"functionCall": {"name": "f", "args": {"city": "Oslo"}, "id": "toolu_1"}}]
    assert blocks == before


def test_parallel_calls_left_in_pieces_keep_their_own() -> None:
    first, second = a_started_call(), a_started_call() | {"id": "toolu_2"}

    _, model, _ = contents_of(
        user("hi"), assistant(first, piece('{"a": 1}'), second, piece('{"b": 2}')), user("and?")
    )

    assert [part["functionCall"]["args"] for part in model["parts"]] == [{"a": 1}, {"b": 2}]


def test_pieces_of_a_text_are_one_text() -> None:
    pieces = [{"type": "text_delta", "text": text, "index": 0} for text in ("two", " ", "words")]
    others = [{"type": "signature_delta", "signature": "s"}, {"type": "citations_delta", "citation": {}}]

    _, model, _ = contents_of(user("hi"), assistant(*pieces, *others), user("and?"))

    assert model["parts"] == [{"text": "two words"}]


@pytest.mark.parametrize(
    ("rest", "arguments"),
    [
        ([{"input": ""}, piece('{"q":'), piece(' "x"}')], '{"q":"x"}'),
        ([{}, piece('{"q": "x"}', "input")], '{"q":"x"}'),
        ([{"input": '{"q": "x"}'}], '{"q":"x"}'),
        ([{"input": ""}], "{}"),
        ([{}], "{}"),
        ([{"input": None}], "{}"),
        ([{"input": '{"q": '}], '{"value":"{\\"q\\": "}'),
    ],
)
@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_server_call_in_deltas_is_merged(rest: list[dict[str, Any]], arguments: str, kind: str) -> None:
    """langchain-ai/langchainjs#9980."""
    call = {"type": kind, "id": "srvtoolu_1", "name": "find", "server_name": "docs", **rest[0]}

    _, model, _ = contents_of(user("hi"), assistant(call, *rest[1:]), user("and?"))

    assert model["parts"][0]["text"].endswith(f" called with {arguments}]")


# --- names as an earlier answer left them ---


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("default_api:Read", "Read"),
        ("default_api:Gone", "Gone"),
        ("Read", "Read"),
    ],
)
def test_the_namespace_before_a_name_goes(name: str, sent: str) -> None:
    _, model, answer = contents_of(
        user("hi"), assistant(a_tool_use(name=name)), user(a_tool_result()), tools=[a_tool("Read")]
    )

    assert model["parts"][0]["functionCall"]["name"] == sent
    assert answer["parts"][0]["functionResponse"]["name"] == sent
