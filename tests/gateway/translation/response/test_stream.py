"""The state machine, transition by transition."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from accounts.failures import FailureKind, UpstreamError
from gateway.translation.request.answer_rules import AnswerRules
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.response.stream import (
    ONLY_THINKING,
    BrokenAnswer,
    EmptyAnswer,
)
from gateway.translation.signature_families import SignatureCache
from tests.builders import (
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    SIGNATURE,
    a_chunk,
    a_messages_request,
    a_model,
    a_stream,
    a_tool,
    events_of,
    translated,
)
from tests.gateway.translation.response.grammar import as_the_sdk_reads, assert_grammar

SIGNED = {"text": "", "thought": True, "thoughtSignature": SIGNATURE}


def thought(text: str, **fields: Any) -> dict[str, Any]:
    return {"text": text, "thought": True, **fields}


def call(name: str = "get_weather", args: Any = None, **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {} if args is None else args, **fields}}


def blocks_of(
    *parts: dict[str, Any], model: str = CLAUDE_THINKING, finish: str = "STOP"
) -> list[dict[str, Any]]:
    """What the SDK reads from an answer whose parts come one by one."""
    chunks = [a_chunk(part) for part in parts] + [a_chunk(finish_reason=finish)]
    request = translated(model=model, tools=[a_tool()], thinking={"type": "adaptive"})
    events = events_of(a_stream(request), *chunks)
    assert_grammar(events)
    blocks: list[dict[str, Any]] = as_the_sdk_reads(events)["content"]
    return blocks


def a_block(kind: str, text: str, signature: str | None = None) -> dict[str, Any]:
    if kind == "text":
        return {"type": "text", "text": text}
    return {"type": "thinking", "thinking": text, "signature": signature or ""}


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
CLAUDE_SIGNED = f"claude#{SIGNATURE}"
GEMINI_SIGNED = f"gemini#{SIGNATURE}"
TOOL = {"type": "tool_use", "id": "toolu_new_1", "name": "get_weather", "input": {}}

ROWS: list[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "thinking then text",
        CLAUDE_THINKING,
        [thought("a"), thought("b"), {"text": "x"}],
        [a_block("thinking", "ab"), a_block("text", "x")],
    ),
    (
        "signature in its own part",
        CLAUDE_THINKING,
        [thought("a"), SIGNED, {"text": "x"}],
        [a_block("thinking", "a", CLAUDE_SIGNED), a_block("text", "x")],
    ),
    (
        "signature without text key",
        CLAUDE_THINKING,
        [thought("a"), {"thought": True, "thoughtSignature": SIGNATURE}],
        [a_block("thinking", "a", CLAUDE_SIGNED)],
    ),
    (
        "text and signature together",
        CLAUDE_THINKING,
        [thought("a", thoughtSignature=SIGNATURE)],
        [a_block("thinking", "a", CLAUDE_SIGNED)],
    ),
    (
        "thinking after a signature",
        CLAUDE_THINKING,
        [thought("a"), SIGNED, thought("b")],
        [a_block("thinking", "a", CLAUDE_SIGNED), a_block("thinking", "b")],
    ),
    (
        "thinking kept secret",
        CLAUDE_THINKING,
        [SIGNED, {"text": "x"}],
        [a_block("thinking", "", CLAUDE_SIGNED), a_block("text", "x")],
    ),
    (
        "secret thinking after text",
        CLAUDE_THINKING,
        [{"text": "x"}, SIGNED],
        [a_block("text", "x"), a_block("thinking", "", CLAUDE_SIGNED)],
    ),
    (
        "blank texts count",
        CLAUDE_THINKING,
        [{"text": "a"}, {"text": " "}, {"text": "\n"}, {"text": "b"}],
        [a_block("text", "a \nb")],
    ),
    ("only a blank", CLAUDE_THINKING, [{"text": " "}], [a_block("text", " ")]),
    (
        "empty texts do not",
        CLAUDE_THINKING,
        [{"text": "a"}, {"text": ""}, thought(""), {"text": "b"}],
        [a_block("text", "ab")],
    ),
    ("a call", CLAUDE_THINKING, [{"text": "x"}, call()], [a_block("text", "x"), TOOL]),
    ("text after a call", CLAUDE_THINKING, [call(), {"text": "x"}], [TOOL, a_block("text", "x")]),
    ("the upstream's id", CLAUDE_THINKING, [call(id="toolu_vrtx_1")], [{**TOOL, "id": "toolu_vrtx_1"}]),
    ("an id that is not legal", CLAUDE_THINKING, [call(id="no: way")], [TOOL]),
    ("an id that came before", CLAUDE_THINKING, [call(id="a"), call(id="a")], [{**TOOL, "id": "a"}, TOOL]),
    ("arguments", CLAUDE_THINKING, [call(args={"a": [1, None]})], [{**TOOL, "input": {"a": [1, None]}}]),
    ("arguments as text", CLAUDE_THINKING, [call(args='{"a":1}')], [{**TOOL, "input": {"a": 1}}]),
    ("arguments of another kind", CLAUDE_THINKING, [call(args=[1])], [{**TOOL, "input": {"value": [1]}}]),
    (
        "a call without name",
        CLAUDE_THINKING,
        [{"text": "x"}, {"functionCall": {"args": {}}}],
        [a_block("text", "x")],
    ),
    (
        "an image",
        CLAUDE_THINKING,
        [PICTURE],
        [a_block("text", "![image](data:image/png;base64,aGk=)")],
    ),
    (
        "an image of its thinking",
        GEMINI_3,
        [{**PICTURE, "thought": True}, {"text": "x"}],
        [a_block("text", "x")],
    ),
    ("a call in a thought", GEMINI_3, [{**call(), "thought": True}], [TOOL]),
    (
        "a call beside a thought",
        CLAUDE_THINKING,
        [thought("a", **call())],
        [a_block("thinking", "a"), TOOL],
    ),
    ("a call beside a text", CLAUDE_THINKING, [{"text": "x", **call()}], [a_block("text", "x"), TOOL]),
    (
        "gemini: a call beside a text, signed",
        GEMINI_3,
        [{"text": "x", **call(), "thoughtSignature": SIGNATURE}],
        [a_block("text", "x"), a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    ("a declared tool by its module", GEMINI_3, [call("default_api:get_weather")], [TOOL]),
    ("a declared tool by its module, dotted", GEMINI_3, [call("default_api.get_weather")], [TOOL]),
    (
        "another tool by its module",
        GEMINI_3,
        [call("default_api:other")],
        [{**TOOL, "name": "default_api:other"}],
    ),
    ("halves of a character", GPT, [{"text": "a\ud83d"}, {"text": "\ude00b"}], [a_block("text", "a😀b")]),
    (
        "halves of a character in a thought",
        CLAUDE_THINKING,
        [thought("\ud83d"), thought("\ude00"), SIGNED],
        [a_block("thinking", "😀", CLAUDE_SIGNED)],
    ),
    ("half a character at the end", GPT, [{"text": "a\ud83d"}], [a_block("text", "a\ufffd")]),
    (
        "half a character before a call",
        GPT,
        [{"text": "a\ud83d"}, call()],
        [a_block("text", "a\ufffd"), TOOL],
    ),
    (
        "half a character in between",
        GPT,
        [{"text": "\ud83da"}, {"text": "\ude00"}],
        [a_block("text", "\ufffda\ufffd")],
    ),
    (
        "gemini: only a signature",
        GEMINI_3,
        [{"text": "x"}, {"thoughtSignature": SIGNATURE}, call()],
        [a_block("text", "x"), a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    ("unknown parts", CLAUDE_THINKING, [{"executableCode": {}}, {"text": "x"}, {}], [a_block("text", "x")]),
    (
        "gemini: signature on a call",
        GEMINI_3,
        [{**call(), "thoughtSignature": SIGNATURE}],
        [a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    (
        "gemini: thinking carries it",
        GEMINI_3,
        [thought("a"), {**call(), "thoughtSignature": SIGNATURE}],
        [a_block("thinking", "a", GEMINI_SIGNED), TOOL],
    ),
    (
        "gemini: text between",
        GEMINI_3,
        [thought("a"), {"text": "x"}, {**call(), "thoughtSignature": SIGNATURE}],
        [a_block("thinking", "a"), a_block("text", "x"), a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    (
        "gemini: signature on text after thinking",
        GEMINI_3,
        [thought("a"), {"text": "x", "thoughtSignature": SIGNATURE}],
        [a_block("thinking", "a", GEMINI_SIGNED), a_block("text", "x")],
    ),
    (
        "gemini: signature on text before a call",
        GEMINI_3,
        [{"text": "x"}, {"text": "", "thoughtSignature": SIGNATURE}, call()],
        [a_block("text", "x"), a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    (
        "gemini: signature at the end",
        GEMINI_3,
        [{"text": "x"}, {"text": "", "thoughtSignature": SIGNATURE}],
        [a_block("text", "x")],
    ),
    (
        "gemini: signed thought behind the text",
        GEMINI_3,
        [{"text": "x"}, SIGNED],
        [a_block("text", "x")],
    ),
    (
        "gemini: a call's own signature wins",
        GEMINI_3,
        [{"text": "x", "thoughtSignature": "b2xk"}, {**call(), "thoughtSignature": SIGNATURE}],
        [a_block("text", "x"), a_block("thinking", "", GEMINI_SIGNED), TOOL],
    ),
    ("claude: signature on a call", CLAUDE_THINKING, [{**call(), "thoughtSignature": SIGNATURE}], [TOOL]),
    (
        "gpt: nor do those on texts",
        GPT,
        [{"text": "x", "thoughtSignature": SIGNATURE}],
        [a_block("text", "x")],
    ),
    (
        "gpt: signatures mean nothing",
        GPT,
        [thought("a", thoughtSignature=SIGNATURE), {**call(), "thoughtSignature": "x"}],
        [a_block("thinking", "a"), TOOL],
    ),
]


@pytest.mark.parametrize(
    ("model", "parts", "blocks"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_part(model: str, parts: list[dict[str, Any]], blocks: list[dict[str, Any]]) -> None:
    assert blocks_of(*parts, model=model) == blocks


# --- start ---


def test_message_start_waits_for_content_and_has_known_usage() -> None:
    stream = a_stream()

    assert stream.receive(a_chunk(usage={"promptTokenCount": 12, "cachedContentTokenCount": 2})) == []
    started_before = stream.started
    (start, *_) = stream.receive(a_chunk({"text": "x"}, responseId="msg_vrtx_1"))

    assert (started_before, stream.started) == (False, True)
    assert start["message"] == {
        "id": "msg_vrtx_1",
        "type": "message",
        "role": "assistant",
        "model": "the-name-the-client-used",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "output_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2,
        },
    }


@pytest.mark.parametrize(("estimate", "told"), [(7, 7), (0, 1)])
def test_unknown_input_is_estimated_and_never_nothing(estimate: int, told: int) -> None:
    (start, *_) = a_stream(input_token_estimate=estimate).receive(a_chunk({"text": "x"}, responseId="other"))

    assert start["message"]["usage"]["input_tokens"] == told
    assert start["message"]["id"] == "msg_made_here"


def test_an_answer_that_is_not_wrapped_is_understood() -> None:
    (start, *_) = a_stream().receive(a_chunk({"text": "x"})["response"])

    assert start["type"] == "message_start"


@pytest.mark.parametrize(
    "response",
    [
        {"candidates": "none"},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": {"parts": "none"}}]},
        {
            "candidates": [
                {
                    "content": {"parts": [None, 3, {"functionCall": "f"}, {"inlineData": []}]},
                    "finishReason": 5,
                }
            ]
        },
        {"usageMetadata": "much", "promptFeedback": "bad", "responseId": 5},
    ],
)
def test_malformed_parts_are_ignored(response: Any) -> None:
    events = events_of(a_stream(), {"response": response}, {"response": None}, a_chunk({"text": "x"}))

    assert as_the_sdk_reads(events)["content"] == [a_block("text", "x")]


def test_of_two_candidates_the_first_is_told() -> None:
    chunk = a_chunk({"text": "x"})
    other = {"index": 1, "content": {"parts": [{"text": "y"}]}}
    chunk["response"]["candidates"].append(other)
    only_the_other = {"response": {"candidates": [None, other]}}

    assert "'y'" not in repr(events_of(a_stream(), chunk, only_the_other))


# --- end ---


def test_the_end_repeats_all_numbers() -> None:
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 90,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 4,
    }

    *_, delta, stop = events_of(a_stream(), a_chunk({"text": "x"}, finish_reason="STOP", usage=usage))

    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 90,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }
    assert stop == {"type": "message_stop"}


def test_usage_that_comes_last_counts() -> None:
    *_, delta, _ = events_of(
        a_stream(), a_chunk({"text": "x"}), {"response": {"usageMetadata": {"promptTokenCount": 5}}}
    )

    assert delta["usage"]["input_tokens"] == 5


def test_a_stop_sequence_ends_the_turn() -> None:
    request = translated(stop_sequences=["END"])

    *_, delta, _ = events_of(a_stream(request), a_chunk({"text": "x"}, finish_reason="STOP"))

    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


@pytest.mark.parametrize(
    ("sequences", "stop_reason", "stop_sequence"),
    [(["END"], "stop_sequence", "END"), (["END", "."], "end_turn", None)],
)
@pytest.mark.parametrize("parts", [[], [{"text": ""}], [thought("Hm.")]])
def test_a_stop_sequence_before_any_text_is_an_answer(
    parts: Any, sequences: list[str], stop_reason: str, stop_sequence: str | None
) -> None:
    stream = a_stream(translated(stop_sequences=sequences))

    message = as_the_sdk_reads(events_of(stream, a_chunk(*parts, finish_reason="STOP")))

    assert message["content"] == []
    assert (message["stop_reason"], message["stop_sequence"]) == (stop_reason, stop_sequence)


@pytest.mark.parametrize("finish_reason", ["OTHER", "MALFORMED_FUNCTION_CALL"])
def test_nothing_at_all_for_another_reason_is_no_answer(finish_reason: str) -> None:
    with pytest.raises(EmptyAnswer):
        events_of(a_stream(translated(stop_sequences=["END"])), a_chunk(finish_reason=finish_reason))


@pytest.mark.parametrize(
    ("texts", "said", "found"),
    [
        (["one END two"], "one ", "END"),
        (["one E", "N", "D two"], "one ", "END"),
        (["one E", "N", "d two"], "one ENd two", None),
        (["one EN"], "one EN", None),
        (["EENEND"], "EEN", "END"),
        (["END"], "", "END"),
        (["one \ud83d", "\ude00 two"], "one ", "😀"),
    ],
)
def test_a_stop_sequence_in_the_text_is_named_and_left_out(
    texts: list[str], said: str, found: str | None
) -> None:
    request = translated(stop_sequences=["END", "😀"])
    chunks = [a_chunk({"text": text}) for text in texts]

    message = as_the_sdk_reads(events_of(a_stream(request), *chunks, a_chunk({"text": " never said"})))

    rest = "" if found else " never said"
    assert "".join(block["text"] for block in message["content"]) == said + rest
    assert (message["stop_reason"], message.get("stop_sequence")) == (
        ("stop_sequence", found) if found else ("end_turn", None)
    )


def test_a_call_behind_a_stop_sequence_is_not_shown() -> None:
    request = translated(stop_sequences=["END"], tools=[a_tool()])

    message = as_the_sdk_reads(events_of(a_stream(request), a_chunk({"text": "x END", **call()})))

    assert message["content"] == [a_block("text", "x ")]
    assert message["stop_reason"] == "stop_sequence"


def test_text_that_is_held_back_comes_before_the_next_block() -> None:
    request = translated(model=CLAUDE_THINKING, stop_sequences=["END"], thinking={"type": "adaptive"})
    parts = [thought("a"), {"text": "E"}, thought("b"), {"text": "EN"}, call()]

    blocks = as_the_sdk_reads(events_of(a_stream(request), *map(a_chunk, parts)))["content"]

    assert [block["type"] for block in blocks] == ["thinking", "text", "thinking", "text", "tool_use"]
    assert [block["text"] for block in blocks if "text" in block] == ["E", "EN"]


def test_one_call_ends_the_turn_where_parallel_calls_are_disabled() -> None:
    request = translated(
        tools=[a_tool()], tool_choice={"type": "auto", "disable_parallel_tool_use": True}, model=GEMINI_3
    )
    stream = a_stream(request)
    usage = {"promptTokenCount": 5}

    events = stream.receive(a_chunk({"text": "x"}, call(), call("get_weather", {"city": "Oslo"})))
    before, after = stream.is_complete, stream.receive(a_chunk({"text": "y"}, call(), usage=usage))
    message = as_the_sdk_reads(events + after + stream.close())

    assert message["content"] == [a_block("text", "x"), TOOL]
    assert message["stop_reason"] == "tool_use"
    assert (before, stream.is_complete) == (False, True)


def test_an_answer_through_a_function_is_read_to_its_end() -> None:
    """Usage that came with the call counts only what was generated until then."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = translated(output_config={"format": {"type": "json_schema", "schema": schema}})
    stream = a_stream(request)
    so_far, in_all = ({"promptTokenCount": 5, "candidatesTokenCount": count} for count in (1, 30))

    events = stream.receive(a_chunk(call("give_answer", {"city": "Oslo"}), usage=so_far))
    is_complete = stream.is_complete
    events += stream.receive(a_chunk(finish_reason="STOP", usage=in_all))

    message = as_the_sdk_reads(events + stream.close())
    assert not is_complete
    assert message["content"] == [a_block("text", '{"city":"Oslo"}')]
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("end_turn", 30)


@pytest.mark.parametrize(
    "problem", [{"error": {"code": 503, "message": "late"}}, a_chunk(finish_reason="OTHER")]
)
def test_errors_after_the_end_of_the_turn_are_ignored(problem: Any) -> None:
    request = translated(tools=[a_tool()], tool_choice={"type": "any", "disable_parallel_tool_use": True})

    events = events_of(a_stream(request), a_chunk(call()), problem)

    assert as_the_sdk_reads(events)["stop_reason"] == "tool_use"
    assert events[-1]["type"] == "message_stop"


@pytest.mark.parametrize(
    ("thinking", "model", "blocks"),
    [
        (
            {"type": "adaptive"},
            CLAUDE_THINKING,
            [a_block("thinking", "ab", CLAUDE_SIGNED), a_block("text", "x")],
        ),
        (
            {"type": "adaptive", "display": "updates"},
            CLAUDE_THINKING,
            [a_block("thinking", "ab", CLAUDE_SIGNED), a_block("text", "x")],
        ),
        (
            {"type": "adaptive", "display": "omitted"},
            CLAUDE_THINKING,
            [a_block("thinking", "", CLAUDE_SIGNED), a_block("text", "x")],
        ),
        ({"type": "disabled"}, CLAUDE_THINKING, [a_block("text", "x")]),
        (None, CLAUDE_THINKING, [a_block("text", "x")]),
        ({"type": "adaptive", "display": "omitted"}, GPT, [a_block("text", "x")]),
    ],
)
def test_thinking_is_shown_as_the_client_asks(thinking: Any, model: str, blocks: list[Any]) -> None:
    request = translated(model=model, thinking=thinking)
    parts = [thought("a"), thought("b"), SIGNED, {"text": "x"}]

    message = as_the_sdk_reads(events_of(a_stream(request), *map(a_chunk, parts)))

    assert message["content"] == blocks


def test_a_model_named_for_its_thinking_shows_it_without_being_asked() -> None:
    request = translate_request(
        a_messages_request(model=CLAUDE_THINKING),
        a_model(CLAUDE_THINKING),
        TranslationOptions(),
        SignatureCache(),
    )

    assert request.answer_rules.thinking == "text"


@pytest.mark.parametrize("display", ["text", "omitted", "none"])
def test_a_signature_of_gemini_is_carried_or_kept(display: str) -> None:
    asked = {
        "text": {"type": "adaptive"},
        "omitted": {"type": "adaptive", "display": "omitted"},
        "none": None,
    }
    signatures = SignatureCache()
    request = translated(model=GEMINI_3, tools=[a_tool()], thinking=asked[display])

    events = events_of(
        a_stream(request, signatures=signatures),
        a_chunk(thought("a"), {**call(), "thoughtSignature": SIGNATURE}),
    )

    shown = {
        "text": [a_block("thinking", "a", GEMINI_SIGNED)],
        "omitted": [a_block("thinking", "", GEMINI_SIGNED)],
    }
    assert as_the_sdk_reads(events)["content"] == [*shown.get(display, []), TOOL]
    assert signatures.get("toolu_new_1") == GEMINI_SIGNED


def test_a_signature_of_hidden_thinking_goes_to_the_call() -> None:
    signatures = SignatureCache()
    request = translated(model=GEMINI_3, tools=[a_tool()])

    events_of(
        a_stream(request, signatures=signatures), a_chunk(thought("a", thoughtSignature=SIGNATURE), call())
    )

    assert signatures.get("toolu_new_1") == GEMINI_SIGNED


def test_thinking_that_nobody_sees_begins_the_message() -> None:
    (start,) = a_stream(translated(model=CLAUDE_THINKING)).receive(a_chunk(thought("a")))

    assert start["type"] == "message_start"


def test_no_tokens_asked_for_give_a_message_without_content() -> None:
    request = replace(translated(), answer_rules=AnswerRules(without_content=True))
    usage = {"promptTokenCount": 900, "cachedContentTokenCount": 400, "candidatesTokenCount": 1}

    message = as_the_sdk_reads(
        events_of(a_stream(request), a_chunk({"text": "H"}, finish_reason="STOP", usage=usage))
    )

    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert message["usage"]["input_tokens"] == 500
    assert message["usage"]["cache_read_input_tokens"] == 400


def test_the_arguments_of_the_answer_tool_are_the_answer() -> None:
    request = replace(
        translated(tools=[a_tool("give_answer")]), answer_rules=AnswerRules(answer_tool="give_answer")
    )
    answer = call("give_answer", {"title": "A day"})

    message = as_the_sdk_reads(
        events_of(a_stream(request), a_chunk({"text": "Here:"}), a_chunk(answer, answer))
    )

    assert message["content"] == [a_block("text", "Here:"), a_block("text", '{"title":"A day"}')]
    assert message["stop_reason"] == "end_turn"


@pytest.mark.parametrize("finish", ["STOP", "OTHER", "SAFETY"])
def test_a_call_ends_with_tool_use(finish: str) -> None:
    *_, delta, _ = events_of(a_stream(), a_chunk(call(), finish_reason=finish))

    assert delta["delta"]["stop_reason"] == "tool_use"


def test_closing_twice_and_chunks_after_the_end_do_nothing() -> None:
    stream = a_stream()
    events_of(stream, a_chunk({"text": "x"}))

    assert stream.close() == []
    assert stream.receive(a_chunk({"text": "y"})) == []


# --- empty and refused answers ---


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [a_chunk(finish_reason="STOP")],
        [a_chunk(finish_reason="MALFORMED_FUNCTION_CALL")],
        [a_chunk({"text": ""})],
        [a_chunk(usage={"promptTokenCount": 1})],
    ],
)
def test_an_empty_answer_is_no_answer(chunks: list[Any]) -> None:
    stream = a_stream()

    with pytest.raises(EmptyAnswer):
        events_of(stream, *chunks)

    assert not stream.started


@pytest.mark.parametrize("finish", ["SAFETY", "PROHIBITED_CONTENT", "RECITATION"])
def test_a_refusal_without_words_is_given_some(finish: str) -> None:
    events = events_of(a_stream(), a_chunk(finish_reason=finish))

    message = as_the_sdk_reads(events)
    words = f"The model declined to answer this request ({finish})."
    assert message["content"] == [{"type": "text", "text": words}]
    assert message["stop_reason"] == "refusal"


# Recorded from Vertex in pydantic-ai's tests (test_google_model_armor_…).
ARMOR_OF_PROMPT = {
    "blockReason": "MODEL_ARMOR",
    "blockReasonMessage": "The prompt violated Prompt Injection and Jailbreak filters.",
}
ARMOR_OF_ANSWER = {
    "avgLogprobs": -1.1,
    "finishReason": "MODEL_ARMOR",
    "finishMessage": "The response violated Responsible AI Safety settings (Harassment) filters.",
}
SAFETY = "The model declined to answer this request (SAFETY)."
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"promptFeedback": {"blockReason": "SAFETY"}}, SAFETY),
    ({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": " "}}, SAFETY),
    ({"promptFeedback": {"blockReason": 7}}, "The model declined to answer this request."),
    (
        {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": [{"finishReason": "OTHER"}]},
        SAFETY,
    ),
    (
        {"promptFeedback": ARMOR_OF_PROMPT},
        "The model declined to answer this request: "
        "The prompt violated Prompt Injection and Jailbreak filters.",
    ),
    (
        {"candidates": [ARMOR_OF_ANSWER]},
        "The model declined to answer this request: "
        "The response violated Responsible AI Safety settings (Harassment) filters.",
    ),
    ({"candidates": [{"finishReason": "SAFETY", "finishMessage": ["odd"]}]}, SAFETY),
    (
        {"candidates": [{"finishReason": "SPII", "finishMessage": "\x1b[31m" + "long " * 100}]},
        "The model declined to answer this request: " + ("\\x1b[31m" + "long " * 100)[:300],
    ),
]


@pytest.mark.parametrize(("response", "words"), REFUSALS)
def test_a_refusal_says_why(response: dict[str, Any], words: str) -> None:
    message = as_the_sdk_reads(events_of(a_stream(), {"response": response}))

    assert message["stop_reason"] == "refusal"
    assert message["content"] == [{"type": "text", "text": words}]


def test_a_limit_spent_on_thinking_is_an_answer_without_content() -> None:
    message = as_the_sdk_reads(events_of(a_stream(), a_chunk(finish_reason="MAX_TOKENS")))

    assert message["content"] == []
    assert message["stop_reason"] == "max_tokens"


def test_only_thinking_is_an_answer() -> None:
    assert blocks_of(thought("a"), SIGNED) == [a_block("thinking", "a", CLAUDE_SIGNED)]


# --- half an answer ---


@pytest.mark.parametrize(
    ("parts", "finish", "problem"),
    [
        ([{"text": "x"}], None, "the upstream closed the stream without a finish reason"),
        (
            [{"text": "x"}],
            "FINISH_REASON_UNSPECIFIED",
            "the upstream closed the stream without a finish reason",
        ),
        ([thought("a")], None, "the upstream closed the stream without a finish reason"),
        (
            [{"text": "x"}],
            "MALFORMED_FUNCTION_CALL",
            "the model's tool call could not be read (MALFORMED_FUNCTION_CALL)",
        ),
        (
            [thought("a")],
            "UNEXPECTED_TOOL_CALL",
            "the model called a tool that it was not given (UNEXPECTED_TOOL_CALL)",
        ),
    ],
)
def test_half_an_answer_is_no_answer(parts: list[Any], finish: str | None, problem: str) -> None:
    stream = a_stream()
    for part in parts:
        stream.receive(a_chunk(part))
    stream.receive(a_chunk(finish_reason=finish))

    with pytest.raises(BrokenAnswer) as caught:
        stream.close()

    assert str(caught.value) == problem


@pytest.mark.parametrize("finish", [None, "MALFORMED_FUNCTION_CALL"])
def test_a_call_is_an_end_by_itself(finish: str | None) -> None:
    stream = a_stream()
    events = stream.receive(a_chunk(call(), finish_reason=finish)) + stream.close()

    assert as_the_sdk_reads(events)["stop_reason"] == "tool_use"


def test_thinking_that_nobody_sees_is_not_an_answer() -> None:
    stream = a_stream(translated(model=CLAUDE_THINKING))
    stream.receive(a_chunk(thought("a"), finish_reason="STOP"))

    with pytest.raises(BrokenAnswer, match=ONLY_THINKING):
        stream.close()


def test_an_empty_answer_has_its_reason() -> None:
    with pytest.raises(EmptyAnswer, match=r"tool call could not be read \(MALFORMED_FUNCTION_CALL\)"):
        events_of(a_stream(), a_chunk(finish_reason="MALFORMED_FUNCTION_CALL"))


def test_a_finish_reason_in_the_middle_does_not_end_the_answer() -> None:
    """As other gateways send it: STOP in every chunk."""
    texts = [a_chunk({"text": text}, finish_reason="STOP") for text in ("", "a", "b")]

    assert as_the_sdk_reads(events_of(a_stream(), *texts))["content"] == [a_block("text", "ab")]


@pytest.mark.parametrize(
    ("finish", "code", "kind"),
    [
        ("PUP_LIMITED_DISABLED", 403, FailureKind.DISABLED),
        ("MISSING_THOUGHT_SIGNATURE", 400, FailureKind.BAD_SIGNATURE),
    ],
)
def test_a_finish_reason_that_is_an_error_is_raised_as_one(finish: str, code: int, kind: FailureKind) -> None:
    before_content = a_stream()
    assert before_content.receive(a_chunk(finish_reason=finish)) == []
    begun = a_stream()
    begun.receive(a_chunk({"text": "x"}))
    assert begun.receive(a_chunk(finish_reason=finish))[-1]["type"] == "content_block_stop"

    for stream in before_content, begun:
        with pytest.raises(UpstreamError) as caught:
            stream.close()
        assert (caught.value.kind, caught.value.status, caught.value.reason) == (kind, code, finish)


# --- errors in the stream ---

ERROR = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "No capacity available"}}


@pytest.mark.parametrize("is_begun", [False, True], ids=["before content", "after content"])
def test_an_error_closes_the_block_and_is_raised_at_the_end(is_begun: bool) -> None:
    stream = a_stream()
    if is_begun:
        stream.receive(a_chunk({"text": "x"}))

    events = stream.receive(ERROR)

    assert events == ([{"type": "content_block_stop", "index": 0}] if is_begun else [])
    assert stream.is_complete
    assert stream.receive(a_chunk({"text": "y"})) == []
    with pytest.raises(UpstreamError, match="503 No capacity available") as caught:
        stream.close()
    assert (caught.value.kind, caught.value.body) == (FailureKind.CAPACITY, ERROR)


# --- for the ledger ---


def test_what_the_ledger_wants_to_know() -> None:
    stream = a_stream()
    usage = {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
    }
    events_of(stream, a_chunk(call(), finish_reason="STOP", usage=usage))

    assert stream.stop_reason == "tool_use"
    assert stream.finish_reason == "STOP"
    assert stream.usage.input_tokens == 5
    assert stream.usage.output_tokens == 5
    assert stream.usage.cached_tokens == 4
    assert stream.usage.thinking_tokens == 2


def test_arguments_come_back_under_the_clients_names() -> None:
    schema = {"type": "object", "properties": {"n": {"enum": ["auto", 1]}}}
    request = translated(tools=[a_tool("9f", schema)])

    message = as_the_sdk_reads(events_of(a_stream(request), a_chunk(call("_9f", {"n": "1"}))))

    assert message["content"] == [{"type": "tool_use", "id": "toolu_new_1", "name": "9f", "input": {"n": 1}}]


def test_a_signed_text_is_kept_for_the_next_turn() -> None:
    signatures = SignatureCache()

    events_of(
        a_stream(model=GEMINI_3, signatures=signatures), a_chunk({"text": "x", "thoughtSignature": SIGNATURE})
    )

    assert len(signatures) == 1
