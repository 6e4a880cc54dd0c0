"""Whatever stands at any place of a body: it is taken, or refused in the provider's words."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_site.emulator.anthropic_api.validator import validate as validate_anthropic
from proxy_site.emulator.gemini_api.validator import validate as validate_gemini
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Place = tuple[int | str, ...]

ANTHROPIC: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 2000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I", "signature": Signatures().issue("claude", "I")},
                {"type": "tool_use", "id": "toolu_01", "name": "Read", "input": {"a": [1]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01",
                    "content": [
                        {"type": "text", "text": "x"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"},
                        },
                    ],
                }
            ],
        },
    ],
    "tools": [{"name": "Read", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "stream": True,
}
GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "Hello"}, {"inlineData": {"mimeType": "image/png", "data": "aaaa"}}],
        },
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "Read", "args": {"a": 1}},
                    "thoughtSignature": Signatures().issue("gemini", "a"),
                }
            ],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "Read", "response": {"result": "x"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "Read", "parametersJsonSchema": {"type": "object"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {"maxOutputTokens": 99, "thinkingConfig": {"thinkingLevel": "LOW"}},
}


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


def with_value(body: Any, at: Place, value: Any) -> Any:
    if not at:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner)
    ),
    max_leaves=4,
)


def is_taken_or_refused(validate: Callable[[Any], object], body: Any) -> bool:
    """False for a refusal with another status, or without words. Raises what is no refusal."""
    try:
        validate(body)
    except Refusal as refused:
        return refused.status in {400, 404} and bool(refused.message)
    return True


@settings(max_examples=300)
@given(st.sampled_from(list(places(ANTHROPIC))), values)
def test_anthropic_says_what_is_wrong(at: Place, value: Any) -> None:
    assert is_taken_or_refused(validate_anthropic, with_value(ANTHROPIC, at, value))


@settings(max_examples=300)
@given(st.sampled_from(list(places(GEMINI))), values)
def test_gemini_says_what_is_wrong(at: Place, value: Any) -> None:
    assert is_taken_or_refused(
        lambda body: validate_gemini(body, "gemini-3.5-flash"), with_value(GEMINI, at, value)
    )


def test_the_unchanged_bodies_are_taken() -> None:
    assert validate_anthropic(ANTHROPIC)["contents"]
    assert validate_gemini(GEMINI, "gemini-3.5-flash")["contents"]
