"""Chunks in any order, as no upstream would send them and as every upstream might."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.builders import SIGNATURE, a_chunk
from tests.gateway.translation.schemas.schema_examples import ANY_JSON

if TYPE_CHECKING:
    from gateway.google_api.content import Chunk

TEXTS = st.sampled_from(["", " ", "\n", "Hello", "wörld ✓", "a" * 50, "EN", "D", "\ud83d", "\ude00!"])
SIGNATURES = st.sampled_from([None, "", SIGNATURE])
FINISH_REASONS = st.sampled_from(
    [None, None, None, "STOP", "STOP", "MAX_TOKENS", "SAFETY", "OTHER", "MALFORMED_FUNCTION_CALL",
     "FROM_THE_FUTURE", "FINISH_REASON_UNSPECIFIED", "CONTINUATION", "PUP_LIMITED_DISABLED"]
)  # fmt: skip
NAMES = st.sampled_from(["get_weather", "mcp__x__y", "not_declared", "default_api:get_weather"])
ARGUMENTS = st.one_of(st.dictionaries(st.text(max_size=3), ANY_JSON, max_size=2), ANY_JSON)


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    part = draw(st.sampled_from([_text, _text, _thought, _thought, _call, _call, _both, _odd]))(draw)
    signature = draw(SIGNATURES)
    return part if signature is None else {**part, "thoughtSignature": signature}


def _text(draw: st.DrawFn) -> dict[str, Any]:
    return {"text": draw(TEXTS)}


def _thought(draw: st.DrawFn) -> dict[str, Any]:
    return {"text": draw(TEXTS), "thought": True}


def _call(draw: st.DrawFn) -> dict[str, Any]:
    call = {"name": draw(NAMES), "args": draw(ARGUMENTS)}
    tool_use_id = draw(st.sampled_from([None, "toolu_vrtx_1", "toolu_vrtx_2", "not legal!", 7]))
    return {"functionCall": call if tool_use_id is None else {**call, "id": tool_use_id}}


def _both(draw: st.DrawFn) -> dict[str, Any]:
    return {**draw(st.sampled_from([_text, _thought]))(draw), **_call(draw)}


def _odd(draw: st.DrawFn) -> dict[str, Any]:
    return draw(
        st.sampled_from(
            [
                {},
                {"text": None},
                {"thought": True},
                {"functionCall": {"args": {}}},
                {"functionCall": "get_weather"},
                {"executableCode": {"code": "1"}},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"thought": True, "inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"unknown": [1]},
            ]
        )
    )


USAGES = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(
            ["promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount"]
        ),
        st.one_of(st.integers(-5, 5_000), st.none(), st.just("many")),
    ),
)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    chunk = a_chunk(
        *draw(st.lists(parts(), max_size=3)), finish_reason=draw(FINISH_REASONS), usage=draw(USAGES)
    )
    return draw(st.sampled_from([chunk, chunk, chunk["response"]]))


def odd_chunks() -> st.SearchStrategy[Chunk]:
    return st.sampled_from(
        [
            {},
            {"response": None},
            {"response": {"candidates": "none"}},
            {"response": {"candidates": [None, {"index": 1, "content": {"parts": [{"text": "another"}]}}]}},
            {"response": {"candidates": [{"content": None}]}},
            {"response": {"candidates": [{"content": {"parts": [None, 3]}, "finishReason": 5}]}},
            {"response": {"promptFeedback": {"blockReason": "SAFETY"}}},
            {"response": {"responseId": "msg_from_upstream"}},
            {"traceId": "t"},
        ]
    )


def an_error() -> st.SearchStrategy[Chunk]:
    return st.sampled_from(
        [{"error": {"code": 503, "message": "overloaded"}}, {"error": "broken"}, {"error": None}]
    )


RULES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "thinking": st.sampled_from(
            [{"type": "adaptive"}] * 3
            + [{"type": "adaptive", "display": "omitted"}, {"type": "disabled"}, None]
        ),
        "stop_sequences": st.sampled_from([None, ["END"], ["END", "lo", "aa"]]),
        "tool_choice": st.sampled_from([None, {"type": "auto", "disable_parallel_tool_use": True}]),
    }
)
"""What a client may ask of its answer."""


def answers() -> st.SearchStrategy[list[Chunk]]:
    """Mostly sound, now and then odd; one in ten breaks off with an error."""
    sound = st.lists(st.one_of(chunks(), chunks(), chunks(), odd_chunks()), max_size=6)
    broken = st.builds(lambda some, error, rest: [*some, error, *rest], sound, an_error(), sound)
    return st.integers(0, 9).flatmap(lambda dice: broken if dice == 0 else sound)
