"""Whatever stands where something else should: a request is refused by its path, or it can be translated."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic.messages import parse_count_tokens_request, parse_messages_request
from gateway.errors import InvalidRequest
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from gateway.translation.tokens.token_estimate import estimate_input_tokens
from tests.builders import a_body, a_model, a_text, a_thinking, a_tool, a_tool_result, a_tool_use, an_image
from tests.gateway.dialects.anthropic.sdk_types import places
from tests.gateway.dialects.anthropic.test_sdk_types import BODIES

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]

CONVERSATION = a_body(
    {"role": "user", "content": [a_text(), an_image(), {"type": "from_the_future", "content": [a_text()]}]},
    {"role": "assistant", "content": [a_thinking(), a_text("Let me see."), a_tool_use()]},
    {"role": "user", "content": [a_tool_result(content=[a_text("sunny"), an_image()])]},
    {"role": "system", "content": [], "output_config": {"effort": "low"}},
    {
        "role": "assistant",
        "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_fetch", "input": {"url": "u"}},
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": {
                    "type": "web_fetch_result",
                    "url": "u",
                    "content": {
                        "type": "document",
                        "title": "A paper",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                    },
                },
            },
        ],
    },
    {"role": "user", "content": "Go on."},
    system=[a_text("Be brief.", cache_control={"type": "ephemeral"})],
    tools=[a_tool(), {"type": "custom", "custom": {"name": "other", "parameters": {"type": "object"}}}],
    tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    thinking={"type": "adaptive", "display": "omitted"},
    output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    stop_sequences=["END"],
    temperature=0.5,
    top_p=0.9,
    top_k=40,
    metadata={"user_id": "u"},
    stream=True,
)
SDK_BODIES = [place.put(place.sample()) for place in places(BODIES["beta create"][0])]
VERSIONS = ["2023-06-01", "2026-10-21"]
WORDS = st.sampled_from(
    ["", " ", "text", "tool_use", "image", "document", "enabled", "user", "https://x.y/z"]
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1.0, -1]),
)
KEYS = st.sampled_from(["type", "text", "content", "source", "input", "name", "id", "data", "tool", "x"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def paths_in(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(inner, (*path, key))


def replaced(body: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    body = copy.deepcopy(body)
    holder = body
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return body


def judge(body: Any, version: str = "2023-06-01") -> None:
    """Anything but InvalidRequest would be a 500."""
    with suppress(InvalidRequest):
        estimate_input_tokens(parse_count_tokens_request(body, version=version), "claude")
    try:
        request = parse_messages_request(body, version=version)
    except InvalidRequest as refused:
        check_path(refused.message, body)
        return
    for model in ("claude-sonnet-4-5-thinking", "gemini-3-flash"):
        with suppress(InvalidRequest):
            translated = translate_request(request, a_model(model), TranslationOptions(), SignatureCache())
            orjson.dumps(translated.request)


def check_path(refusal: str, body: Any) -> None:
    """``messages.0.content.2.text: …`` names a place of the body: all but the last step can be gone."""
    *way, last = refusal.partition(": ")[0].split(".")
    for step in way:
        body = body[int(step)] if isinstance(body, list) else body[step]
    assert last


@given(st.data())
def test_anything_may_stand_anywhere_in_a_conversation(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(paths_in(CONVERSATION))))

    judge(replaced(CONVERSATION, path, data.draw(JSON)), data.draw(st.sampled_from(VERSIONS)))


@given(st.data())
def test_anything_may_stand_anywhere_in_what_the_sdk_can_send(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(SDK_BODIES))
    path = data.draw(st.sampled_from(list(paths_in(body))))

    judge(replaced(body, path, data.draw(JSON)))


NEWER_TOOLS = st.dictionaries(
    st.sampled_from(
        ["name", "function", "custom", "parameters", "input_schema", "definition", "description"]
    ),
    st.one_of(JSON, st.dictionaries(st.sampled_from(["name", "parameters", "description"]), JSON)),
    max_size=4,
).map(lambda fields: {**fields, "type": "new_2027"})


@given(NEWER_TOOLS, NEWER_TOOLS, st.sampled_from(["user", "system"]))
def test_a_newer_tool_may_have_any_form(listed: Any, added: Any, role: str) -> None:
    addition = {"type": "tool_addition", "tool": added}
    messages: list[Any] = [{"role": "user", "content": "hi"}, {"role": role, "content": [addition]}]

    judge(a_body(*messages, tools=[listed], tool_choice={"type": "tool", "name": "text"}))


def test_what_claude_code_sends_is_accepted_by_either_version() -> None:
    body = claude_code_request()

    for version in VERSIONS:
        judge(body, version)
        assert parse_messages_request(body, version=version).model == "claude-opus-5-5"


@pytest.mark.parametrize(
    "field", ["input", "content", "text", "tool"], ids=lambda field: f"{field} nested 300 deep"
)
def test_what_is_nested_deeply_is_refused_or_translated(field: str) -> None:
    nested: Any = "words"
    for _ in range(300):
        nested = [{"type": "from_the_future", field: nested}]

    judge(a_body({"role": "user", "content": [a_tool_result(content=nested), *nested]}))
    judge(replaced(CONVERSATION, ("messages", 1, "content", 2, "input"), nested))
    judge(replaced(CONVERSATION, ("messages", 4, "content", 1, "content"), {"type": "x", field: nested}))
