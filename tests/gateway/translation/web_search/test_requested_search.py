"""What a request wants of web search, and what is sent for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.errors import InvalidRequest
from gateway.translation.web_search.encrypted_content import sealed
from gateway.translation.web_search.request import translate_search
from gateway.translation.web_search.requested_search import (
    LONGEST_CONVERSATION,
    RequestedSearch,
    asked_search,
)
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import (
    a_messages_request,
    a_model,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    assistant,
    user,
)
from tests.gateway.translation.request.test_conversation_properties import ODD_BLOCKS
from tests.gateway.translation.schemas.schema_examples import ANY_JSON

if TYPE_CHECKING:
    from gateway.translation.request.request import TranslatedRequest

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
SEARCHER = "gemini-3.1-flash-lite"
SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
FOUND = {
    "type": "web_search_result",
    "url": "https://x.y/",
    "title": "Tides",
    "encrypted_content": sealed(["Noon."]),
}
REMINDER = a_text("<system-reminder>\nToday is Monday.\n</system-reminder>")


def asked(
    *messages: dict[str, Any], tool: dict[str, Any] | None = None, **fields: Any
) -> RequestedSearch | None:
    tools = [{**SEARCH, **(tool or {})}]
    return asked_search(a_messages_request(*messages, **{"tools": tools, **fields}))


def a_search(*messages: dict[str, Any], **fields: Any) -> RequestedSearch:
    search = asked(*messages, **fields)
    assert search is not None
    return search


def server_call(id: str = "srvtoolu_1") -> dict[str, Any]:
    return {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": "tides"}}


def server_result(content: Any = None, id: str = "srvtoolu_1") -> dict[str, Any]:
    return {"type": "web_search_tool_result", "tool_use_id": id, "content": content or [FOUND]}


FAILED = {"type": "web_search_tool_result_error", "error_code": "unavailable"}


# Whether there is a search


@pytest.mark.parametrize("version", ["20250305", "20260209", "20260318", "20991231"])
def test_a_search_that_stands_alone_can_be_made(version: str) -> None:
    assert a_search(tool={"type": f"web_search_{version}"}).error_code is None


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": None},
        {"tools": [a_tool()]},
        {"tools": [{**SEARCH, "input_schema": {"type": "object"}}]},
        {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {"tool_choice": {"type": "none"}},
        {"tools": [SEARCH, a_tool("other")], "tool_choice": {"type": "tool", "name": "other"}},
        {"max_tokens": 0},
    ],
)
def test_no_search_without_the_tool_or_its_choice(fields: dict[str, Any]) -> None:
    assert asked(**fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [SEARCH, a_tool()]},
        {"tools": [a_tool(defer_loading=True), SEARCH]},
        {"tools": [SEARCH, {"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {"output_config": SCHEMA},
    ],
)
def test_a_search_is_unavailable_beside_other_features(fields: dict[str, Any]) -> None:
    assert a_search(**fields).error_code == "unavailable"


@pytest.mark.parametrize("choice", [None, "auto", "any", "tool"])
def test_a_choice_that_asks_for_it_changes_nothing(choice: str | None) -> None:
    name = {"name": "web_search"} if choice == "tool" else {}

    assert a_search(**({"tool_choice": {"type": choice, **name}} if choice else {})).error_code is None


@pytest.mark.parametrize(
    "content", [[{"type": "image", "source": {"type": "url", "url": "https://x.y"}}], [REMINDER]]
)
def test_without_a_question_there_is_nothing_to_search_for(content: list[dict[str, Any]]) -> None:
    assert a_search(user(*content)).error_code == "unavailable"


@pytest.mark.parametrize(
    "lists",
    [
        {"allowed_domains": ["https://example.com"]},
        {"blocked_domains": ["*.example.com"]},
        {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"]},
    ],
)
def test_domains_that_cannot_be_kept_are_refused(lists: dict[str, Any]) -> None:
    assert a_search(tool=lists).error_code == "invalid_tool_input"


@pytest.mark.parametrize("nothing", [None, []])
def test_lists_without_domains_are_none(nothing: Any) -> None:
    search = a_search(tool={"allowed_domains": nothing, "blocked_domains": nothing, "max_uses": None})

    assert search.error_code is None
    assert search.domains.allows_all


@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "max_uses", "allowed_domains", "blocked_domains", "user_location", "cache_control"]
        ),
        st.one_of(ANY_JSON, st.lists(ANY_JSON, max_size=3), st.lists(st.text(), max_size=3)),
    )
)
def test_a_version_newer_than_we_may_bring_anything(tool: dict[str, Any]) -> None:
    tool = {**tool, "type": "web_search_20991231"}
    request = MessagesRequest("any", 100, [user("Tides?")], tools=[tool])

    search = asked_search(request)

    assert search is not None
    translated = translate_search(search, request, a_model(SEARCHER))
    validate_generate(an_envelope(translated))


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.lists(ODD_BLOCKS, max_size=3)), max_size=4)
)
def test_any_history_that_is_taken_can_be_searched_with(
    history: list[tuple[str, list[dict[str, Any]]]],
) -> None:
    messages = [{"role": role, "content": blocks} for role, blocks in history if blocks]
    try:
        request = a_messages_request(user("Tides?"), *messages, tools=[{**SEARCH, "max_uses": 3}])
    except InvalidRequest:
        return

    search = asked_search(request)

    assert search is not None
    if search.error_code is None:
        validate_generate(an_envelope(translate_search(search, request, a_model(SEARCHER))))


# How often


BEFORE = (user("Tides?"), assistant(server_call(), server_result(), a_text("Noon.")))


@pytest.mark.parametrize(
    ("messages", "max_uses", "error_code"),
    [
        ([], 1, None),
        ([], 0, "max_uses_exceeded"),
        ([], -1, "max_uses_exceeded"),
        ([*BEFORE, user("And in Bergen?")], 1, None),
        (BEFORE, 1, "max_uses_exceeded"),
        (BEFORE, 2, None),
        (BEFORE, None, None),
        ([user("Tides?"), assistant(server_call(), server_result(FAILED), a_text("No."))], 1, None),
        ([user("Tides?"), assistant(server_call())], 1, "max_uses_exceeded"),
        (
            [
                user("Tides?"),
                assistant(server_call(), server_result(), a_tool_use()),
                user(a_tool_result()),
                assistant(server_call("srvtoolu_2"), server_result(id="srvtoolu_2")),
            ],
            2,
            "max_uses_exceeded",
        ),
    ],
)
def test_searches_of_the_same_turn_count(messages: Any, max_uses: Any, error_code: str | None) -> None:
    assert a_search(*messages, tool={"max_uses": max_uses}).error_code == error_code


def test_a_tool_loop_repeats_no_search_blocks() -> None:
    loop = [user("Tides?"), assistant(a_tool_use())]
    tools = [SEARCH, a_tool()]

    assert a_search(user("Tides?"), tools=tools).opens_answer
    assert not a_search(*loop, user(a_tool_result()), tools=tools).opens_answer
    assert not a_search(*loop, user(a_tool_result(), REMINDER), tools=tools).opens_answer
    assert not a_search(
        *loop, user(a_tool_result()), {"role": "system", "content": "Be brief."}, tools=tools
    ).opens_answer
    assert a_search(*loop, user(a_tool_result(), a_text("Stop. Tides?")), tools=tools).opens_answer


# What is asked


def test_the_question_is_the_last_user_text() -> None:
    search = a_search(user("One?"), assistant("Two."), user(REMINDER, a_text("Three?"), a_text("Four?")))

    assert search.question == "Three?\nFour?"
    assert search.conversation == "User: One?\n\nAssistant: Two."


def test_a_question_between_reminders_is_one() -> None:
    reminder = REMINDER["text"]
    both = f"{reminder}\n{reminder}\n"

    assert a_search(user(a_text(f"{reminder} Tides? {reminder}"))).question
    assert a_search(user(a_text(both), a_text("Tides?"))).question == "Tides?"


def test_a_reminder_without_an_end_takes_no_time() -> None:
    endless = "<system-reminder>" * 50_000
    started = time.perf_counter()

    assert a_search(user(endless)).question == endless
    assert a_search(user(f"<system-reminder>{'</system-reminder> ' * 50_000}x")).question
    assert time.perf_counter() - started < 5


def test_the_shown_query_is_one_short_line() -> None:
    search = a_search(user("Tides\n\x1b[31m in  Oslo? " + "x" * 10_000))

    assert search.query.startswith("Tides [31m in Oslo? xxx")
    assert len(search.query) == 400


def test_the_conversation_is_told_with_its_sources_and_without_thinking() -> None:
    search = a_search(
        user("Tides?"),
        assistant(a_thinking(), server_call(), server_result(), a_text("At noon.")),
        {"role": "system", "content": "Be brief."},
        user("In Bergen?"),
    )

    assert search.conversation == (
        'User: Tides?\n\nAssistant: [server tool web_search called with {"query":"tides"}]\n'
        "[result of web search:\n- Tides, https://x.y/\n    Noon.]\nAt noon."
    )


def test_a_long_conversation_keeps_its_newest_part() -> None:
    search = a_search(user("x" * 50_000), assistant("The end."), user("And now?"))

    assert len(search.conversation) == LONGEST_CONVERSATION
    assert search.conversation.endswith("The end.")


def test_a_prefill_is_part_of_the_told_conversation() -> None:
    search = a_search(user("Tides?"), assistant("They are"))

    assert (search.question, search.conversation) == ("Tides?", "Assistant: They are")


# What is sent


def sent(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tool = fields.pop("tool", {})
    request = a_messages_request(*messages, tools=[{**SEARCH, **tool}], **fields)
    search = asked_search(request)
    assert search is not None
    translated = translate_search(search, request, a_model(SEARCHER), system_preamble="Preamble.")
    validate_generate(an_envelope(translated))
    return translated.request


def an_envelope(translated: TranslatedRequest) -> dict[str, Any]:
    return {
        "project": "p",
        "model": translated.model.sent_id,
        "userAgent": "antigravity",
        "requestType": translated.request_type,
        "request": translated.request,
    }


def test_a_search_in_googles_words() -> None:
    request = sent(user("Tides?"), system=[a_text("x-anthropic-billing-header: a=b"), a_text("Be brief.")])

    preamble, instruction, system = (part["text"] for part in request["systemInstruction"]["parts"])
    assert request["contents"] == [{"role": "user", "parts": [{"text": "Tides?"}]}]
    assert request["tools"] == [{"googleSearch": {"enhancedContent": {"imageSearch": {"maxResultCount": 5}}}}]
    assert request["generationConfig"] == {"candidateCount": 1}
    assert (preamble, system) == ("Preamble.", "Be brief.")
    assert instruction.startswith("Always search the web")
    assert set(request) == {"contents", "systemInstruction", "tools", "generationConfig"}


@pytest.mark.parametrize(("max_uses", "results"), [(None, 5), (8, 8), (1, 1), (10**12, 20)])
def test_max_uses_sets_the_number_of_results(max_uses: int | None, results: int) -> None:
    [tool] = sent(user("Tides?"), tool={"max_uses": max_uses})["tools"]

    assert tool["googleSearch"]["enhancedContent"]["imageSearch"]["maxResultCount"] == results


def test_the_conversation_goes_before_the_question_in_the_same_content() -> None:
    [content] = sent(user("Tides?"), assistant("Noon."), user("In Bergen?"))["contents"]

    before, question = (part["text"] for part in content["parts"])
    assert question == "In Bergen?"
    assert "User: Tides?\n\nAssistant: Noon." in before


@pytest.mark.parametrize(
    "fields",
    [
        {"stop_sequences": ["X"]},
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        {"temperature": 0.2},
        {"top_k": 4},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "tool", "name": "web_search", "disable_parallel_tool_use": True}},
        {"metadata": {"user_id": "u"}},
    ],
)
def test_unsupported_search_fields_do_not_reach_google(fields: dict[str, Any]) -> None:
    assert sent(user("Tides?"), **fields) == sent(user("Tides?"))


def test_domains_and_the_place_are_told() -> None:
    location = {"type": "approximate", "city": "Oslo", "country": "NO", "timezone": "Europe/Oslo"}
    request = sent(tool={"allowed_domains": ["a.example", "b.example/blog"], "user_location": location})
    blocking = sent(tool={"blocked_domains": ["c.example"]})

    told = request["systemInstruction"]["parts"][1]["text"]
    assert "only sources of these sites: a.example, b.example/blog." in told
    assert "about here: Oslo, NO, Europe/Oslo." in told
    assert "no sources of these sites: c.example." in blocking["systemInstruction"]["parts"][1]["text"]
