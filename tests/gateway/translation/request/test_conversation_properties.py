"""Any legal conversation gives a request that Google accepts, and repairing it twice changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.errors import InvalidRequest
from gateway.translation.request.history import as_turns, pair_tools
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from proxy_site.emulator.gemini_api.catalogue import OFFERS
from proxy_site.emulator.gemini_api.validator import validate
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import a_model, a_text, a_tool_result, a_tool_use
from tests.gateway.translation.request.conversation_examples import Conversation, conversations
from tests.gateway.translation.schemas.schema_examples import ANY_JSON
from tests.gateway.translation.schemas.test_schema_properties import an_envelope
from tests.gateway.translation.tokens.shares import Shares

GEMINI_API_MODELS = [name for name, offer in OFFERS.items() if offer.model.thinking_budgets]


@pytest.mark.hypothesis
def test_any_legal_conversation_gives_a_request_that_google_accepts() -> None:
    shares = Shares()

    @given(conversations())
    def check(conversation: Conversation) -> None:
        shares.count(**conversation.traits)

        request = translate(conversation)

        validate_generate(an_envelope(request.model.sent_id, request.request))

    check()
    shares.check()


@given(conversations(), st.sampled_from(GEMINI_API_MODELS))
def test_any_legal_conversation_is_accepted_by_the_gemini_api(
    conversation: Conversation, model_id: str
) -> None:
    request = parse_messages_request(conversation.body)

    translated = translate_request(
        request, a_model(model_id, "gemini"), TranslationOptions(), SignatureCache()
    )

    validate(translated.request, model_id)


@given(conversations())
def test_the_second_try_without_thinking_is_accepted_and_holds_none(conversation: Conversation) -> None:
    request = translate(conversation, without_thinking=True)

    validate_generate(an_envelope(request.model.sent_id, request.request))
    parts = [part for content in request.request["contents"] for part in content["parts"]]
    assert not any("thought" in part for part in parts)
    assert {part.get("thoughtSignature") for part in parts} <= {None, "skip_thought_signature_validator"}
    assert not request.thinks


@given(conversations(), st.sampled_from([1, 500, 2_000]))
def test_a_shortened_history_is_accepted_too(conversation: Conversation, max_tokens: int) -> None:
    request = translate(conversation, TranslationOptions(max_context_tokens=max_tokens))

    validate_generate(an_envelope(request.model.sent_id, request.request))


@given(conversations())
def test_every_word_of_the_client_is_told(conversation: Conversation) -> None:
    said = "\n".join(strings_in(translate(conversation).request["contents"]))

    for block in blocks_in(conversation.body["messages"]):
        if block.get("type") == "text" and "text" in block:
            assert block["text"].strip() in said
    assert [word for word in conversation.words if word not in said] == []


@given(conversations())
def test_no_file_is_told_as_words(conversation: Conversation) -> None:
    request = translate(conversation).request
    files, others = split_files(request)

    assert not any(
        file[:40] in text or file[-40:-4] in text for file in conversation.files for text in others
    )
    is_prefill = request["contents"][-1]["role"] == "model"
    if not conversation.target.startswith("gpt") and not is_prefill:
        assert set(conversation.files) <= set(files)


@given(conversations())
def test_translating_twice_gives_the_same(conversation: Conversation) -> None:
    assert translate(conversation).request == translate(conversation).request


@given(conversations())
def test_translating_leaves_the_request_as_it_was(conversation: Conversation) -> None:
    before = copy.deepcopy(conversation.body)

    translate(conversation)

    assert conversation.body == before


def strings_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings_in(one)]


def split_files(value: Any) -> tuple[list[str], list[str]]:
    """The data of all files, and all other strings."""
    if isinstance(value, dict) and "inlineData" in value:
        return [value["inlineData"]["data"]], []
    if not isinstance(value, dict | list):
        return [], [value] if isinstance(value, str) else []
    inner = [split_files(one) for one in (value.values() if isinstance(value, dict) else value)]
    return [file for files, _ in inner for file in files], [text for _, texts in inner for text in texts]


def blocks_in(value: Any) -> list[dict[str, Any]]:
    """All objects, however deep."""
    if isinstance(value, dict):
        return [value, *(block for one in value.values() for block in blocks_in(one))]
    return [block for one in value for block in blocks_in(one)] if isinstance(value, list) else []


def translate(
    conversation: Conversation, options: TranslationOptions | None = None, *, without_thinking: bool = False
) -> TranslatedRequest:
    return translate_request(
        parse_messages_request(conversation.body),
        a_model(conversation.target, conversation.header_mode),
        options or TranslationOptions(),
        SignatureCache(),
        without_thinking=without_thinking,
    )


IDS = st.sampled_from(["a", "b", "c"])
BLOCKS = st.one_of(
    st.builds(a_text, st.sampled_from(["x", " ", ""])),
    st.builds(a_tool_use, IDS),
    st.builds(a_tool_result, IDS, st.sampled_from([None, "r", [], [a_text("r")]])),
    st.just({"type": "thinking", "thinking": "t", "signature": "s"}),
)
SAID_BY = {"tool_use": "assistant", "thinking": "assistant", "tool_result": "user"}
MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system"]),
    st.one_of(st.sampled_from(["", "hello"]), st.lists(BLOCKS, max_size=4)),
)


@given(st.lists(MESSAGES, max_size=6))
def test_repairing_a_repaired_history_changes_nothing(messages: list[dict[str, Any]]) -> None:
    repaired = pair_tools(as_turns(messages))

    assert pair_tools(as_turns(repaired)) == repaired


@given(st.lists(MESSAGES, min_size=1, max_size=6), st.sampled_from(["gemini-3-flash", "gpt-oss-120b-medium"]))
def test_even_an_illegal_history_is_repaired_for(messages: list[dict[str, Any]], target: str) -> None:
    """Anthropic refuses such histories; a client that has one would be stuck with it."""
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [
                block for block in message["content"] if SAID_BY.get(block["type"]) in (None, message["role"])
            ]
        message["content"] = message["content"] or "."
    body = {"model": "any", "max_tokens": 5_000, "messages": messages}
    request = translate(Conversation(body, target, "antigravity"))

    validate_generate(an_envelope(request.model.sent_id, request.request))


@pytest.mark.parametrize("target", ["claude-sonnet-4-5-thinking", "gemini-3-flash", "gpt-oss-120b-medium"])
def test_a_conversation_of_nothing_but_blanks_is_accepted(target: str) -> None:
    body = {"model": "any", "max_tokens": 5_000, "messages": [{"role": "user", "content": [a_text(" ")]}]}

    request = translate(Conversation(body, target, "antigravity"))

    validate_generate(an_envelope(request.model.sent_id, request.request))


FIELDS = st.sampled_from(
    "text source content input name title url data tool_name thinking".split()  # noqa: SIM905 -- shorter
)
TYPES = st.sampled_from(
    [
        "text",
        "image",
        "document",
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "tool_reference",
        "compaction",
        "thinking",
        "redacted_thinking",
        "from_the_future",
    ]
)
ODD_BLOCKS = st.recursive(
    st.builds(
        lambda kind, fields: {**fields, "type": kind}, TYPES, st.dictionaries(FIELDS, ANY_JSON, max_size=3)
    ),
    lambda inner: st.builds(
        lambda kind, field, blocks: {"type": kind, field: blocks},
        TYPES,
        FIELDS,
        st.one_of(st.lists(inner, max_size=2), inner),
    ),
    max_leaves=4,
)


@given(st.lists(ODD_BLOCKS, min_size=1, max_size=3), st.sampled_from(["user", "assistant"]), st.booleans())
def test_odd_blocks_are_refused_or_translated_and_never_break(
    blocks: list[dict[str, Any]], role: str, in_a_result: bool
) -> None:
    content = [a_tool_result(content=blocks)] if in_a_result and role == "user" else blocks
    messages = [{"role": "user", "content": "hi"}, {"role": role, "content": content}]
    body = {"model": "any", "max_tokens": 5_000, "messages": [*messages, {"role": "user", "content": "go"}]}
    try:
        request = translate(Conversation(body, "gemini-3-flash", "antigravity"))
    except InvalidRequest:
        return

    validate_generate(an_envelope(request.model.sent_id, request.request))
