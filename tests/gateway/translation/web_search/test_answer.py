"""Whatever the upstream says, the blocks of a search stand in front of it, and all is a legal message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from accounts.failures import UpstreamError
from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.dialects.anthropic.stream_events import text_in
from gateway.translation.request.answer_rules import AnswerRules
from gateway.translation.response.stream import BrokenAnswer, EmptyAnswer
from gateway.translation.web_search.answer import (
    NOTHING_ALLOWED,
    NOTHING_FOUND,
    search_blocks,
    with_search,
    without_search,
    words_beside,
)
from gateway.translation.web_search.requested_search import asked_search
from gateway.translation.web_search.sources import Source
from tests.builders import (
    PNG,
    a_body,
    a_chunk,
    a_messages_request,
    a_stream,
    a_text,
    a_tool,
    assistant,
    events_of,
    translated,
    user,
)
from tests.gateway.translation.response.chunk_examples import RULES, answers
from tests.gateway.translation.response.grammar import as_the_sdk_reads, assert_grammar
from tests.gateway.translation.response.test_stream_properties import TARGETS, without_nulls

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.google_api.content import Chunk
    from gateway.translation.response.stream import MessageStream

SOURCES = [Source("https://a.example/", "A", ("So it is.",)), Source("https://b.example/", "B")]
BLOCKS = search_blocks("srvtoolu_1", "tides", SOURCES)
SEARCHED = translated(model="gemini-3.1-flash-lite")
SEARCHED = replace(SEARCHED, answer_rules=AnswerRules(thinking="none", with_sources=True))


def all_events(stream: MessageStream, chunks: list[Chunk]) -> list[StreamEvent]:
    try:
        return [event for chunk in chunks for event in stream.receive(chunk)] + stream.close()
    except (EmptyAnswer, UpstreamError, BrokenAnswer):
        return []


@given(answers())
def test_any_answer_that_was_held_is_a_message_with_its_sources(chunks: list[Chunk]) -> None:
    held = all_events(a_stream(SEARCHED), chunks)
    if not held or held[-1]["type"] != "message_stop":
        return
    events = with_search(held, BLOCKS, text_in(held))

    assert_grammar(events)
    message = as_the_sdk_reads(events)
    assert message["content"][:2] == BLOCKS
    assert [block["type"] for block in message["content"][2:]] in ([], ["text"])
    assert message["stop_reason"] != "tool_use"
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}
    history = [user("hi"), assistant(*message["content"]), user("go on")]
    parse_messages_request(a_body(*history))


@pytest.mark.parametrize(
    ("text", "found", "shown", "said"),
    [
        ("So it is.", SOURCES, SOURCES, "So it is."),
        ("So it is.", SOURCES, SOURCES[:1], "So it is."),
        ("", SOURCES, SOURCES, ""),
        ("So it is.", SOURCES, [], NOTHING_ALLOWED),
        ("So it is.", [], [], f"{NOTHING_FOUND}\n\nSo it is."),
        ("", [], [], NOTHING_FOUND),
    ],
)
def test_text_without_a_source_is_no_search_result(
    text: str, found: list[Source], shown: list[Source], said: str
) -> None:
    assert words_beside(text, found, shown) == said


@given(answers(), TARGETS, RULES)
def test_any_answer_is_the_same_behind_blocks_of_ours(
    chunks: list[Chunk], model: str, rules: dict[str, Any]
) -> None:
    request = translated(model=model, tools=[a_tool()], **rules)
    said_first = replace(request, answer_rules=replace(request.answer_rules, said_first=tuple(BLOCKS)))

    alone = all_events(a_stream(request), chunks)
    behind = all_events(a_stream(said_first), chunks)

    assert bool(alone) is bool(behind)
    if alone and alone[-1]["type"] == "message_stop":
        assert_grammar(behind)
        message, expected = as_the_sdk_reads(behind), as_the_sdk_reads(alone)
        expected["content"] = [*BLOCKS, *expected["content"]]
        assert without_nulls(message) == without_nulls(expected)


def test_a_stop_sequence_keeps_the_sources() -> None:
    rules = replace(SEARCHED.answer_rules, stop_sequences=("END",))
    stream = a_stream(replace(SEARCHED, answer_rules=rules))
    chunk = a_chunk({"text": "more"}, finish_reason="STOP", usage={"promptTokenCount": 1})
    chunk["response"]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["q"]}

    stream.receive(a_chunk({"text": "some END"}, usage={"promptTokenCount": 1}))

    assert not stream.is_complete
    stream.receive(chunk)
    assert stream.grounding_metadata == {"webSearchQueries": ["q"]}


def test_images_beside_what_was_found_are_left_out() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}

    held = events_of(a_stream(SEARCHED), a_chunk({"text": "So "}, image, {"text": "it is."}))

    assert text_in(held) == "So it is."


def test_an_answer_for_which_no_sources_are_wanted_keeps_none() -> None:
    chunk = a_chunk({"text": "Hi"})
    chunk["response"]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["q"]}
    stream = a_stream()

    events_of(stream, chunk)

    assert stream.grounding_metadata == {}


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, []),
        ("", []),
        ("Be brief.", ["Be brief."]),
        ([a_text("One."), a_text("Two.")], ["One.", "Two."]),
    ],
)
def test_the_instruction_follows_the_clients_system_prompt(system: Any, expected: list[str]) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, a_tool()]
    request = a_messages_request(system=system, tools=tools)
    search = asked_search(request)
    assert search is not None

    changed = without_search(request, search, "unavailable", "srvtoolu_1")

    assert isinstance(changed.system, list)
    *before, told = [block["text"] for block in changed.system if block["text"]]
    assert before == expected
    assert told.startswith("Web search does not work")
    assert changed.messages is request.messages
