"""What is kept of known messages gives the same request as when all messages are translated anew."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic.known_messages import Conversation, KnownMessages
from gateway.dialects.anthropic.messages import MessagesRequest, parse_messages_request
from gateway.dialects.anthropic.plain_messages import values_if_plain
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.request.turns import ContentsBuilder
from gateway.translation.signature_families import SignatureCache, key_of_text, tag
from tests.builders import (
    CLAUDE_THINKING,
    GPT,
    SIGNATURE,
    a_model,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    assistant,
    user,
)
from tests.gateway.translation.request.test_plain_history import MODELS, damaged_histories, orderly_histories
from tests.gateway.translation.tokens.shares import Shares

NAMES = ["get_weather", "get.weather", "get_weather_2", "default_api:x", "x"]
TEXTS = st.sampled_from(["Yes.", " indented", "![x](data:image/png;base64,iVBORw0KGgo=)", "ünï ✓"])
RESULTS = st.sampled_from(["done", "", " "])
TOOLS = st.lists(st.sampled_from(NAMES).map(a_tool), unique_by=lambda tool: tool["name"])


@st.composite
def plain_histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rounds of calls, whose ids and names may be odd or return, and their results."""
    messages = [user(draw(TEXTS))]
    for number in range(draw(st.integers(1, 5))):
        ids = draw(st.lists(st.sampled_from([f"toolu_{number}", "toolu_0", "a b", "a_b"]), unique=True))
        calls = [a_tool_use(one, draw(st.sampled_from(NAMES))) for one in ids]
        said = [
            *draw(st.sampled_from([[], [a_thinking()], [a_thinking("so", "short")]])),
            a_text(draw(TEXTS)),
        ]
        rest = draw(st.sampled_from([[], [a_text()]])) if ids else [a_text(draw(TEXTS))]
        messages.append(assistant(*said, *calls))
        messages.append(user(*[a_tool_result(one, draw(RESULTS)) for one in ids], *rest))
    return messages


def translated(request: MessagesRequest, model: str, *, without_thinking: bool) -> Any:
    signatures = SignatureCache()
    signatures.put("toolu_0", tag("gemini", SIGNATURE))
    signatures.put(key_of_text("Yes."), tag("gemini", SIGNATURE))
    found = translate_request(
        request, a_model(model), TranslationOptions(), signatures, without_thinking=without_thinking
    )
    names = found.tool_names
    return (
        orjson.dumps(found.request),
        (names._client_by_upstream, names._upstream_by_client),
        (found.input_token_estimate, found.raw_token_estimate, found.thinks, found.declares_tools),
    )


@pytest.mark.hypothesis
@pytest.mark.parametrize("histories", [plain_histories(), orderly_histories(), damaged_histories()])
def test_each_turn_gives_the_same_request(histories: st.SearchStrategy[list[dict[str, Any]]]) -> None:
    shares = Shares()

    @given(histories, st.data())
    @settings(max_examples=300)
    def check(messages: list[dict[str, Any]], data: st.DataObject) -> None:
        known = KnownMessages()
        for _ in range(data.draw(st.integers(2, 4))):
            end = data.draw(st.integers(1, len(messages)))
            model = data.draw(st.sampled_from([CLAUDE_THINKING, GPT]) | MODELS)
            tools = data.draw(TOOLS) or None
            without_thinking = data.draw(st.booleans())
            few = KnownMessages()
            few.messages, few.kept = known.messages[:end], known.kept
            asked = [
                MessagesRequest(
                    "any", max_tokens=9, messages=sent, tools=tools, thinking={"type": "adaptive"}
                )
                for sent in (messages[:end], Conversation(few, messages[len(few.messages) : end]))
            ]
            anew, shared = (translated(one, model, without_thinking=without_thinking) for one in asked)
            assert anew == shared
            shares.count(reused=bool(known.kept), known=bool(few.messages))
            for message in messages[len(known.messages) : end - 1]:
                if not values_if_plain(message):
                    break
                known.messages.append(message)

    check()
    shares.check()


def test_only_the_end_of_a_known_history_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    request = parse_messages_request(claude_code_request())
    known = KnownMessages()
    known.messages = request.messages[:-1]
    request.messages = Conversation(known, request.messages[-1:])
    model, counted = a_model(CLAUDE_THINKING), []
    as_it_is = ContentsBuilder._contents_of

    def contents_of(self: ContentsBuilder, turns: list[Any]) -> Any:
        counted.append(len(turns))
        return as_it_is(self, turns)

    monkeypatch.setattr(ContentsBuilder, "_contents_of", contents_of)
    for _ in range(2):
        translate_request(request, model, TranslationOptions(), SignatureCache())

    assert counted == [len(known.messages) - 1, 1, 1]


def test_thinking_is_kept_apart_from_none() -> None:
    known = KnownMessages()
    known.messages = [user("Hello"), assistant(a_thinking(), a_text()), user("Go on."), assistant(a_text())]
    messages = Conversation(known, [user("And?")])
    request = MessagesRequest("any", max_tokens=9_999, messages=messages, thinking={"type": "adaptive"})

    sent = [
        translated(request, CLAUDE_THINKING, without_thinking=without)[0] for without in (True, False, True)
    ]

    assert ["thoughtSignature" in one.decode() for one in sent] == [False, True, False]
