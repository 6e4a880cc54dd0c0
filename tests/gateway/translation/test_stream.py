"""The state machine, transition by transition."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translation.signatures import SignatureCache
from gateway.translation.stream import REFUSED, EmptyAnswer, UpstreamErrorInStream
from tests.builders import (
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    SIGNATURE,
    a_chunk,
    a_stream,
    a_tool,
    events_of,
    translated,
)
from tests.gateway.translation.grammar import as_the_sdk_reads, assert_grammar

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
    events = events_of(a_stream(model=model), *chunks)
    assert_grammar(events)
    blocks: list[dict[str, Any]] = as_the_sdk_reads(events)["content"]
    return blocks


def a_block(kind: str, text: str, signature: str | None = None) -> dict[str, Any]:
    if kind == "text":
        return {"type": "text", "text": text}
    return {"type": "thinking", "thinking": text, "signature": signature or ""}


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
        [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
        [a_block("text", "![image](data:image/png;base64,aGk=)")],
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


def test_message_start_waits_for_content_and_tells_what_is_known() -> None:
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
def test_what_makes_no_sense_is_passed_over(response: Any) -> None:
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


@pytest.mark.parametrize("finish", ["STOP", "OTHER", "SAFETY"])
def test_after_a_call_the_client_is_told_to_run_it(finish: str) -> None:
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
    assert message["content"] == [{"type": "text", "text": REFUSED}]
    assert message["stop_reason"] == "refusal"


def test_a_blocked_prompt_is_a_refusal() -> None:
    events = events_of(a_stream(), {"response": {"promptFeedback": {"blockReason": "SAFETY"}}})

    assert as_the_sdk_reads(events)["stop_reason"] == "refusal"


def test_a_limit_spent_on_thinking_is_an_answer_without_content() -> None:
    message = as_the_sdk_reads(events_of(a_stream(), a_chunk(finish_reason="MAX_TOKENS")))

    assert message["content"] == []
    assert message["stop_reason"] == "max_tokens"


def test_only_thinking_is_an_answer() -> None:
    assert blocks_of(thought("a"), SIGNED) == [a_block("thinking", "a", CLAUDE_SIGNED)]


# --- errors in the stream ---

ERROR = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "No capacity available"}}


def test_an_error_before_the_first_event_is_raised() -> None:
    with pytest.raises(UpstreamErrorInStream, match="No capacity available") as caught:
        a_stream().receive(ERROR)

    assert caught.value.body is ERROR


def test_an_error_after_it_closes_the_block_and_ends_the_stream() -> None:
    stream = a_stream()
    stream.receive(a_chunk({"text": "x"}))

    events = stream.receive(ERROR)

    assert events == [
        {"type": "content_block_stop", "index": 0},
        {"type": "error", "error": {"type": "overloaded_error", "message": "No capacity available"}},
    ]
    assert stream.failure is ERROR
    assert stream.close() == []


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
    assert stream.usage.cache_read_input_tokens == 4
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
