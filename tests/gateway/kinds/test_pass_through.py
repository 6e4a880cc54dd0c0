"""Bytes of requests and answers that pass through, and what is changed in them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pass_through.body import Changes, _changed_members, changed_body, may_change, with_model
from gateway.pass_through.headers import request_headers
from gateway.pass_through.json_spans import JsonText
from gateway.pass_through.signatures import ANTHROPIC, Signer, without_tags
from gateway.pass_through.stream import PassedStream, events_in
from gateway.pass_through.usage import mended_usage
from gateway.upstreams.hops import HOPS, INSTANCE, hop_headers, why_it_loops

SIGNED = "x" * 60


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    raw = orjson.dumps(body)
    pieces = changed_body(raw, body["messages"], body.get("thinking"), Changes(body["model"], **changes))
    result: dict[str, Any] = orjson.loads(b"".join(pieces))
    return result


def a_body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 10, "messages": list(messages), **fields}


def thought(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]}
USER = {"role": "user", "content": "Hello"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(value=st.dictionaries(st.text(max_size=4), JSON, max_size=5), spaces=st.sampled_from([None, 1]))
def test_spans_are_those_of_the_values(value: dict[str, Any], spaces: int | None) -> None:
    text = json.dumps(value, indent=spaces).encode()

    spans = JsonText(text)
    found = {json.loads(f'"{name}"'): text[a:b] for name, (a, b) in spans.members().items()}

    assert {name: json.loads(one) for name, one in found.items()} == value
    for name, one in value.items():
        if isinstance(one, list):
            start = text.index(found[name])
            assert [json.loads(text[a:b]) for a, b in spans.elements(start)] == one


def test_only_the_models_name_is_replaced() -> None:
    body = b' {"messages" : [{"role":"user","content":"\\"model\\":\\"m\\""}],  "model":"m" , "x":1.0}'

    assert b"".join(with_model(body, "other")) == body.replace(b':"m" ', b':"other" ')


def test_a_body_with_nothing_of_others_need_not_be_read() -> None:
    own = orjson.dumps(a_body(USER, {"role": "assistant", "content": [thought(SIGNED)]}))
    foreign = orjson.dumps(a_body(USER, {"role": "assistant", "content": [thought("gemini#abc")]}))

    assert not may_change(own, Changes("m"))
    assert may_change(foreign, Changes("m"))


@pytest.mark.parametrize(
    ("signer", "signature", "kept"),
    [
        (ANTHROPIC, f"claude#{SIGNED}", SIGNED),
        (ANTHROPIC, SIGNED, SIGNED),
        (ANTHROPIC, "gemini#abc", None),
        (ANTHROPIC, "other-3#abc", None),
        (ANTHROPIC, "", None),
        (Signer("other-3"), "other-3#abc", "abc"),
        (Signer("other-3"), "other-4#abc", None),
        (Signer("other-3"), SIGNED, None),
        (Signer("other-3"), f"claude#{SIGNED}", None),
    ],
)
def test_thinking_goes_back_to_whom_it_came_from(signer: Signer, signature: str, kept: str | None) -> None:
    answer = {"role": "assistant", "content": [thought(signature), {"type": "text", "text": "Hi"}]}

    content = changed(a_body(USER, answer, USER), signer=signer)["messages"][1]["content"]

    assert [block["signature"] for block in content if block["type"] == "thinking"] == (
        [kept] if kept else []
    )
    assert content[-1] == {"type": "text", "text": "Hi"}


SIGNATURES = st.sampled_from(
    ["", "abc", "claude#abc", 'claude#a\u0301"', "claude#", "gemini#abc", "claude#\U0001f600"]
)
TEXTS = st.sampled_from(
    ["x", '"signature":"claude#abc"', '\\"signature":"claude#abc"', "claude#abc", "gateway-1-x"]
)
BLOCKS = st.one_of(
    st.builds(lambda signature: thought(signature), SIGNATURES),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, SIGNATURES),
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda text: {**CALL, "input": {"signature": text, text: "claude#abc"}}, TEXTS | SIGNATURES),
    st.builds(
        lambda text: {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [{"type": "text", "text": text}],
        },
        TEXTS,
    ),
)
MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant"]),
    TEXTS | st.lists(BLOCKS, min_size=1, max_size=4),
)


@settings(max_examples=500, deadline=None)
@given(
    messages=st.lists(MESSAGES, min_size=1, max_size=5),
    thinking=st.sampled_from([None, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}]),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_tags_are_removed_as_by_the_general_way(
    messages: list[dict[str, Any]], thinking: dict[str, Any] | None, ascii_only: bool, indent: int | None
) -> None:
    raw = json.dumps(
        a_body(*messages, thinking=thinking, context_management={}), ensure_ascii=ascii_only, indent=indent
    ).encode()

    quick = b"".join(changed_body(raw, messages, thinking, Changes("other")))
    general = b"".join(_changed_members(raw, messages, thinking, Changes("other")))

    assert orjson.loads(quick) == orjson.loads(general)


def test_tags_alone_are_removed_without_reading_the_rest() -> None:
    answer = {"role": "assistant", "content": [thought(f"claude#{SIGNED}"), {"type": "text", "text": "Hi"}]}
    body = a_body(USER, answer, USER, answer)
    raw = orjson.dumps(body)

    assert without_tags(raw, body["messages"], ANTHROPIC) == raw.replace(b"claude#", b"")


def test_nothing_is_lost_in_a_message_that_changes() -> None:
    raw = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":['
        b'{"type":"thinking","thinking":"","signature":"gemini#x"},{"type":"tool_use","id":"t","name":"f",'
        b'"input":{"big":123456789012345678901234567890,"half":"\\ud83d","one":1.0}}]}]}'
    )
    messages: list[dict[str, Any]] = json.loads(raw)["messages"]

    after = b"".join(changed_body(raw, messages, None, Changes("m")))

    assert b'"big":123456789012345678901234567890' in after
    assert b'"half":"\\ud83d","one":1.0' in after
    assert b"gemini#" not in after


def test_thinking_is_off_in_a_loop_that_began_without_it() -> None:
    loop = (USER, {"role": "assistant", "content": [thought("gemini#abc"), CALL]}, RESULT)
    enabled = {"type": "enabled", "budget_tokens": 2000}
    rules = {"edits": [{"type": "clear_thinking_20251015"}]}

    after = changed(a_body(*loop, thinking=enabled, context_management=rules))

    assert after["thinking"] == {"type": "disabled"}
    assert "context_management" not in after
    assert changed(a_body(*loop[:1], thinking=enabled))["thinking"] == enabled


def test_a_refused_signature_leaves_all_thinking_out() -> None:
    loop = (USER, {"role": "assistant", "content": [thought(SIGNED), CALL]}, RESULT)

    after = changed(a_body(*loop, thinking={"type": "adaptive"}), drops_thinking=True)

    assert after["messages"][1]["content"] == [CALL]
    assert after["thinking"] == {"type": "disabled"}


def test_what_a_simple_server_refuses_is_left_out() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    body = a_body(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": " "}, document]},
        system=[{"type": "text", "text": "x-anthropic-billing-header: a"}, {"type": "text", "text": "S"}],
        context_management={},
        thinking={"type": "adaptive"},
    )

    after = changed(
        body,
        never_thinks=True,
        keeps_system_messages=False,
        keeps_documents=False,
        keeps_attribution=False,
        keeps_blank_texts=False,
        keeps_fields_of_betas=False,
    )

    assert [message["role"] for message in after["messages"]] == ["user", "user"]
    assert [block["type"] for block in after["messages"][1]["content"]] == ["text"]
    assert after["system"] == [{"type": "text", "text": "S"}]
    assert not {"thinking", "context_management"} & after.keys()


def test_at_most_four_breakpoints_are_left() -> None:
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    body = a_body(
        {"role": "user", "content": [marked, marked, marked]},
        system=[marked],
        tools=[{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}}],
    )

    after = orjson.dumps(changed(body, most_breakpoints=4))

    assert after.count(b'"cache_control"') == 4
    assert "cache_control" not in orjson.loads(after)["messages"][0]["content"][0]


# Streams

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"m","content":[],"usage":{"input_tokens":5,"cache_read_input_tokens":7,'
    b'"cache_creation_input_tokens":2,"output_tokens":1}}}\n\n'
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
TEXT = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":"Hi"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
)
DELTA = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ANSWER = START + PING + TEXT + PING + DELTA + STOP


def a_stream(**options: Any) -> PassedStream:
    return PassedStream(**{"model": None, "signer": None, "is_mended": False, "input_estimate": 3, **options})


@settings(max_examples=300, deadline=None)
@given(cuts=st.lists(st.integers(1, len(ANSWER) - 1), max_size=6), line_end=st.sampled_from([b"\n", b"\r\n"]))
def test_a_stream_is_passed_on_byte_for_byte(cuts: list[int], line_end: bytes) -> None:
    answer = ANSWER.replace(b"\n", line_end)
    ends = sorted({*cuts, len(answer)})
    stream = a_stream()

    passed = (
        b"".join(stream.receive(answer[a:b]) for a, b in zip([0, *ends], ends, strict=False)) + stream.close()
    )

    assert passed == answer
    assert (stream.counts.prompt, stream.counts.output, stream.counts.thinking) == (14, 9, 4)
    assert (stream.stop_reason, stream.is_over) == ("end_turn", True)


WORD = TEXT.replace(b"Hi", b"message_stop, error, ping and signature")
SIGNATURE_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"signature_delta","signature":"abc"}}\n\n'
)
EVENTS = [TEXT, TEXT, WORD, SIGNATURE_DELTA, PING, b": comment\n\n", TEXT.replace(b"\n", b"\r\n"), DELTA]


@settings(max_examples=300, deadline=None)
@given(events=st.lists(st.sampled_from(EVENTS), max_size=8), data=st.data(), tags=st.booleans())
def test_events_that_come_together_pass_as_they_do_alone(
    events: list[bytes], data: st.DataObject, tags: bool
) -> None:
    answer = START + b"".join(events) + STOP
    cuts = data.draw(st.lists(st.integers(1, len(answer) - 1), max_size=6))
    ends = sorted({*cuts, len(answer)})
    signer = Signer("other-3") if tags else None
    stream, byte_for_byte = a_stream(signer=signer), a_stream(signer=signer)

    passed = b"".join(stream.receive(answer[a:b]) for a, b in zip([0, *ends], ends, strict=False))
    expected = b"".join(byte_for_byte.receive(answer[at : at + 1]) for at in range(len(answer)))

    assert passed == expected
    assert stream.counts == byte_for_byte.counts
    assert (stream.is_over, stream.stop_reason) == (byte_for_byte.is_over, byte_for_byte.stop_reason)


def test_an_event_without_an_end_is_refused() -> None:
    stream = a_stream()
    piece = b"x" * 2**20

    with pytest.raises(ValueError, match="without an end"):
        for _ in range(40):
            stream.receive(piece)


def test_nothing_leaves_before_there_is_content() -> None:
    stream = a_stream()

    assert stream.receive(START + PING) == b""
    assert stream.receive(TEXT) == START + PING + TEXT
    assert stream.receive(PING) == b""
    assert stream.receive(DELTA) == PING + DELTA


def test_an_error_as_the_first_event_is_no_answer() -> None:
    stream = a_stream()

    assert (
        stream.receive(
            START + b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
        )
        == b""
    )
    assert stream.error == {"type": "error", "error": {"type": "overloaded_error"}}


def test_a_missing_last_event_is_added() -> None:
    stream = a_stream()

    assert stream.receive(START + TEXT + DELTA) + stream.close() == START + TEXT + DELTA + STOP


def test_model_usage_and_signatures_are_changed_where_needed() -> None:
    start = START.replace(b'"input_tokens":5', b'"input_tokens":null')
    stream = a_stream(model="asked-for", signer=Signer("other-3"), is_mended=True)

    events = events_in(stream.receive(start + TEXT + SIGNATURE_DELTA + DELTA + STOP))

    assert events[0]["message"]["model"] == "asked-for"
    assert events[0]["message"]["usage"]["input_tokens"] == 3
    assert events[4]["delta"]["signature"] == "other-3#abc"


@pytest.mark.parametrize(
    ("usage", "mended"),
    [
        (None, {"input_tokens": 3, "output_tokens": 0}),
        ({"input_tokens": 0}, {"input_tokens": 3, "output_tokens": 0}),
        (
            {"input_tokens": None, "output_tokens": "many", "total_tokens": -1},
            {"input_tokens": 3, "output_tokens": 0},
        ),
        (
            {"input_tokens": 5, "output_tokens": 6, "service_tier": "s"},
            {"input_tokens": 5, "output_tokens": 6, "service_tier": "s"},
        ),
    ],
)  # fmt: skip
def test_usage_can_be_read_by_clients(usage: object, mended: dict[str, Any]) -> None:
    assert mended_usage(usage, 3) == mended


# Headers


def test_only_known_headers_go_on() -> None:
    client = {
        "authorization": "Bearer client", "x-api-key": "client", "cookie": "c", "origin": "http://localhost",
        "anthropic-beta": "a-2025-01-01,b", "user-agent": "sdk", "x-stainless-os": "Linux",
        "x-claude-code-session-id": "s", "x-app": "cli", "forwarded": "for=x", "via": "1.1 x",
    }  # fmt: skip

    assert request_headers(client, betas=True, is_stream=True) == {
        "anthropic-beta": "a-2025-01-01,b", "user-agent": "sdk", "x-stainless-os": "Linux",
        "anthropic-version": "2023-06-01", "content-type": "application/json", "accept": "text/event-stream",
        "accept-encoding": "identity",
    }  # fmt: skip
    assert "anthropic-beta" not in request_headers(client, betas=False, is_stream=True)


def test_a_request_that_has_come_back_is_known() -> None:
    first = hop_headers({})

    assert why_it_loops(first)
    assert not why_it_loops({"via": "1.1 another", HOPS: "5"})
    assert why_it_loops({HOPS: "6"})
    assert not why_it_loops({HOPS: "-1"})
    assert hop_headers({"via": "1.1 another", HOPS: "2"}) == {
        "via": f"1.1 another, 1.1 {INSTANCE}",
        HOPS: "3",
    }
