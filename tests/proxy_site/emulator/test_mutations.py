"""Every place of a correct request, made wrong in every simple way: Google refuses each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proxy_site.emulator.rules.validator import GoogleError, validate_generate
from tests.proxy_site.emulator.builders import (
    Json,
    a_claude_request,
    a_gemini_request,
    a_gpt_request,
    a_web_search_request,
    changed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below these Google takes any JSON: arguments and results belong to the tools.
FREE_FORM = ("args", "response")
# The keys of this object are names of the tool's own, not fields.
NAMES_OF_THEIR_OWN = "properties"
# What a request may leave out without breaking anything else.
OPTIONAL = {
    "userAgent",
    "requestType",
    "requestId",
    "systemInstruction",
    "role",
    "description",
    "nullable",
    "enum",
    "required",
    "sessionId",
    "maxOutputTokens",
    "candidateCount",
    "enhancedContent",
    "imageSearch",
    "maxResultCount",
    "temperature",
    "topP",
    "stopSequences",
    "mode",
    "allowedFunctionNames",
    "functionCallingConfig",
    "toolConfig",
    "generationConfig",
    "include_thoughts",
    "thinking_budget",
    "includeThoughts",
    "thinkingBudget",
    "thinkingConfig",
    "tools",
    "args",
    "parameters",
    "properties",
    "file_path",
    "lines",
    "encoding",
}


def places(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member of every object and list, with the dotted path to it."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        here = f"{path}.{key}" if path else str(key)
        yield here, member
        if key not in FREE_FORM:
            yield from places(member, here)


def of_another_type(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return "a string"
    return {"an": "object"}


def retyped(envelope: Json) -> Iterator[tuple[str, Json]]:
    for path, value in places(envelope):
        yield f"{path} of another type", changed(envelope, path, of_another_type(value))


def with_a_stranger(envelope: Json) -> Iterator[tuple[str, Json]]:
    for path, value in places(envelope):
        last = path.rpartition(".")[2]
        if isinstance(value, dict) and last not in {*FREE_FORM, NAMES_OF_THEIR_OWN}:
            yield f"a stranger in {path}", changed(envelope, f"{path}.stranger", 1)


def with_a_list(envelope: Json) -> Iterator[tuple[str, Json]]:
    for path, value in places(envelope):
        if not isinstance(value, list):
            yield f"a list at {path}", changed(envelope, path, [value])


def with_something_missing(envelope: Json) -> Iterator[tuple[str, Json]]:
    for path, _ in places(envelope):
        last = path.rpartition(".")[2]
        if last not in OPTIONAL and not last.isdigit():
            yield f"{path} missing", changed(envelope, path, ...)


def with_a_torn_signature(envelope: Json) -> Iterator[tuple[str, Json]]:
    for path, value in places(envelope):
        if path.endswith("thoughtSignature") and not value.startswith("skip"):
            other = "B" if value[5] == "A" else "A"
            yield f"{path} torn", changed(envelope, path, value[:5] + other + value[6:])


MUTATIONS = [retyped, with_a_stranger, with_a_list, with_something_missing, with_a_torn_signature]

# Left out, these make another request that is also in order: a result without its image, a thought that
# becomes a text, a pairing by name instead of by id.
HARMLESS = {
    a_claude_request: {"request.contents.2.parts.0.functionResponse.parts missing"},
    a_gemini_request: {"request.contents.1.parts.0.thought missing"},
    a_gpt_request: {
        "request.contents.1.parts.0.functionCall.id missing",
        "request.contents.2.parts.0.functionResponse.id missing",
    },
    a_web_search_request: set(),
}


@pytest.mark.parametrize("build", HARMLESS)
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_mutation_of_a_correct_request_is_refused(build: Any, mutate: Any) -> None:
    envelope = build()
    validate_generate(envelope)

    taken = {what for what, mutant in mutate(envelope) if passes(mutant)}

    assert taken - HARMLESS[build] == set()


def passes(envelope: Json) -> bool:
    try:
        validate_generate(envelope)
    except GoogleError:
        return False
    return True
