"""Thinking and signatures in the history: what each family is given back."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.google_api.content import NO_SIGNATURE_SENTINEL
from gateway.translation.signature_families import SignatureCache, key_of_text, signature_for
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    SIGNATURE,
    a_chunk,
    a_stream,
    a_text,
    a_thinking,
    a_tool_result,
    a_tool_use,
    assistant,
    events_of,
    translated,
    user,
)
from tests.gateway.translation.response.grammar import as_the_sdk_reads

OURS = f"claude#{SIGNATURE}"
GEMINI = "gemini#R2VtaW5p"
THOUGHT = {"thought": True, "text": "t", "thoughtSignature": SIGNATURE}
CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}, "id": "toolu_1"}}


def model_parts(
    model: str, *blocks: dict[str, Any], signatures: SignatureCache | None = None
) -> list[dict[str, Any]]:
    messages = [user("hi"), assistant(*blocks), user(a_tool_result() if "tool_use" in repr(blocks) else "go")]
    parts: list[dict[str, Any]] = translated(*messages, model=model, signatures=signatures).request[
        "contents"
    ][1]["parts"]
    return parts


# --- tags (7.3) ---


@pytest.mark.parametrize(
    ("family", "signature", "accepted"),
    [
        ("claude", OURS, SIGNATURE),
        ("claude", SIGNATURE, SIGNATURE),  # from the real API
        ("claude", GEMINI, None),
        ("claude", "claude#c2hvcnQ=", None),
        ("claude", "claude#" + "not base64! " * 9, None),
        ("claude", "A" * 61, None),
        ("claude", None, None),
        ("gemini", GEMINI, "R2VtaW5p"),
        ("gemini", "R2VtaW5p", None),
        ("gemini", OURS, None),
        ("gemini", "gemini#", None),
        ("gpt", "gpt#R2VtaW5p", None),
    ],
)
def test_a_signature_goes_back_only_to_the_family_that_made_it(
    family: Any, signature: Any, accepted: Any
) -> None:
    assert signature_for(family, signature) == accepted


# --- conversion (7.4) ---

X = {"text": "x"}
ROWS = [
    ("claude, its own", CLAUDE_THINKING, [a_thinking("t", OURS), a_text("x")], [THOUGHT, X]),
    ("claude, untagged", CLAUDE_THINKING, [a_thinking("t", SIGNATURE), a_text("x")], [THOUGHT, X]),
    ("claude, foreign", CLAUDE_THINKING, [a_thinking("t", GEMINI), a_text("x")], [X]),
    ("claude, unsigned", CLAUDE_THINKING, [a_thinking("t", ""), a_text("x")], [X]),
    (
        "claude, text kept secret",
        CLAUDE_THINKING,
        [a_thinking("", OURS), a_text("x")],
        [{**THOUGHT, "text": ""}, X],
    ),
    (
        "claude, redacted",
        CLAUDE_THINKING,
        [{"type": "redacted_thinking", "data": "b3BhcXVl" * 9}, a_text("x")],
        [X],
    ),
    (
        "claude, redacted by us",
        CLAUDE_THINKING,
        [{"type": "redacted_thinking", "data": OURS}, a_text("x")],
        [{**THOUGHT, "text": ""}, X],
    ),
    ("claude without thinking", CLAUDE, [a_thinking("t", OURS), a_text("x")], [X]),
    ("claude, call", CLAUDE, [a_tool_use()], [CALL]),
    ("gemini, foreign", GEMINI_3, [a_thinking("t", OURS), a_text("x")], [X]),
    ("gemini, unsigned", GEMINI_3, [a_thinking("t", ""), a_text("x")], [X]),
    (
        "gemini, signed text",
        GEMINI_3,
        [a_thinking("t", GEMINI), a_text("x")],
        [{"thought": True, "text": "t"}, {"text": "x", "thoughtSignature": "R2VtaW5p"}],
    ),
    (
        "gemini, carrier of a call",
        GEMINI_3,
        [a_thinking("", GEMINI), a_tool_use()],
        [{**CALL, "thoughtSignature": "R2VtaW5p"}],
    ),
    (
        "gemini, the call's own",
        GEMINI_3,
        [a_thinking("", GEMINI), {**a_tool_use(), "thoughtSignature": "b3du"}],
        [{**CALL, "thoughtSignature": "b3du"}],
    ),
    (
        "gemini, the call's own from Claude",
        GEMINI_3,
        [{**a_tool_use(), "thoughtSignature": OURS}],
        [{**CALL, "thoughtSignature": NO_SIGNATURE_SENTINEL}],
    ),
    ("gemini, sentinel", GEMINI_3, [a_tool_use()], [{**CALL, "thoughtSignature": NO_SIGNATURE_SENTINEL}]),
    (
        "gemini, carrier behind the text",
        GEMINI_3,
        [a_text("x"), a_thinking("", GEMINI)],
        [{"text": "x", "thoughtSignature": "R2VtaW5p"}],
    ),
    ("gemini, redacted", GEMINI_3, [{"type": "redacted_thinking", "data": "x"}, a_text("x")], [X]),
    ("gemini, only thinking", GEMINI_3, [a_thinking("t", GEMINI)], [{"thought": True, "text": "t"}]),
    ("gpt, any", GPT, [a_thinking("t", OURS), a_text("x")], [X]),
    ("gpt, call", GPT, [{**a_tool_use(), "thoughtSignature": "b3du"}], [CALL]),
]


@pytest.mark.parametrize(
    ("model", "blocks", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_history(model: str, blocks: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    assert model_parts(model, *blocks) == parts


def test_of_parallel_calls_only_the_first_gets_the_sentinel() -> None:
    parts = model_parts(GEMINI_3, a_tool_use("a"), a_tool_use("b"))

    assert [part.get("thoughtSignature") for part in parts] == [NO_SIGNATURE_SENTINEL, None]


def test_a_signature_stays_with_its_call_when_text_is_moved() -> None:
    text, call = model_parts(GEMINI_3, a_thinking("", GEMINI), a_tool_use(), a_text("x"))

    assert "thoughtSignature" not in text
    assert call["thoughtSignature"] == "R2VtaW5p"


# --- from the answer into the next request ---


def history_after(model: str, *parts: dict[str, Any], signatures: SignatureCache) -> dict[str, Any]:
    """The answer as a client keeps it."""
    events = events_of(a_stream(model=model, signatures=signatures), a_chunk(*parts, finish_reason="STOP"))
    return {"role": "assistant", "content": as_the_sdk_reads(events)["content"]}


def sent_back(model: str, answer: dict[str, Any], signatures: SignatureCache) -> list[dict[str, Any]]:
    calls = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
    result = user(*(a_tool_result(call) for call in calls)) if calls else user("go on")
    request = translated(user("hi"), answer, result, model=model, signatures=signatures)
    parts: list[dict[str, Any]] = request.request["contents"][1]["parts"]
    return parts


GEMINI_CALL = {"functionCall": {"name": "f", "args": {}, "id": "toolu_g"}, "thoughtSignature": "c2lnbmF0dXJl"}


def test_claudes_thinking_survives_a_restart_without_any_cache() -> None:
    signed: list[dict[str, Any]] = [
        {"text": "t", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": SIGNATURE},
        {"text": "x"},
    ]
    answer = history_after(CLAUDE_THINKING, *signed, signatures=SignatureCache())

    assert sent_back(CLAUDE_THINKING, answer, SignatureCache()) == [THOUGHT, X]


def test_geminis_call_survives_a_restart_without_any_cache() -> None:
    answer = history_after(GEMINI_3, {"text": "x"}, GEMINI_CALL, signatures=SignatureCache())

    assert sent_back(GEMINI_3, answer, SignatureCache()) == [X, GEMINI_CALL]


def test_a_client_that_drops_the_carrier_is_helped_by_the_cache() -> None:
    signatures = SignatureCache()
    answer = history_after(GEMINI_3, GEMINI_CALL, signatures=signatures)
    answer["content"] = [block for block in answer["content"] if block["type"] != "thinking"]

    assert sent_back(GEMINI_3, answer, signatures) == [GEMINI_CALL]


def test_geminis_signed_text_is_remembered() -> None:
    signatures = SignatureCache()
    parts = [{"text": "an "}, {"text": "answer"}, {"text": "", "thoughtSignature": "c2lnbmF0dXJl"}]
    answer = history_after(GEMINI_3, *parts, signatures=signatures)

    assert sent_back(GEMINI_3, answer, signatures) == [
        {"text": "an answer", "thoughtSignature": "c2lnbmF0dXJl"}
    ]


def test_an_answer_of_one_family_does_no_harm_to_the_other() -> None:
    signatures = SignatureCache()
    of_gemini = history_after(GEMINI_3, GEMINI_CALL, signatures=signatures)
    of_claude = history_after(CLAUDE_THINKING, THOUGHT, CALL, signatures=signatures)

    assert "thoughtSignature" not in repr(sent_back(CLAUDE_THINKING, of_gemini, signatures))
    assert SIGNATURE not in repr(sent_back(GEMINI_3, of_claude, signatures))


# --- the store ---


def test_the_store_forgets_the_least_recently_used() -> None:
    store = SignatureCache(capacity=2)
    store.put("a", "1")
    store.put("b", "2")
    store.get("a")
    store.put("c", "3")

    assert [store.get(key) for key in ("a", "b", "c")] == ["1", None, "3"]
    assert len(store) == 2


def test_texts_have_keys_of_a_fixed_size() -> None:
    assert len(key_of_text("x" * 10_000)) == len(key_of_text(""))


# --- the second try ---


def test_without_thinking_nothing_signed_is_left() -> None:
    signatures = SignatureCache()
    signatures.put("toolu_1", GEMINI)
    blocks = [a_thinking("t", GEMINI), a_text("x"), a_tool_use()]

    request = translated(
        user("hi"),
        assistant(*blocks),
        user(a_tool_result()),
        model=GEMINI_3,
        signatures=signatures,
        without_thinking=True,
    )

    assert request.request["contents"][1]["parts"] == [X, {**CALL, "thoughtSignature": NO_SIGNATURE_SENTINEL}]
    assert not request.thinks
