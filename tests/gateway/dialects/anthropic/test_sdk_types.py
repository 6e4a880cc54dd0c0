"""Whatever the official SDK's types require is required here, unless a reason is written down."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params

from gateway.dialects.anthropic.messages import parse_count_tokens_request, parse_messages_request
from gateway.errors import InvalidRequest
from tests.gateway.dialects.anthropic.sdk_types import (
    beside_literals,
    of_another_type,
    places,
    with_optional_fields,
    without_required_fields,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.gateway.dialects.anthropic.sdk_types import Case, Place

BODIES = {
    "create": (message_create_params.MessageCreateParamsNonStreaming, parse_messages_request),
    "count_tokens": (message_count_tokens_params.MessageCountTokensParams, parse_count_tokens_request),
    "beta create": (beta_create_params.MessageCreateParamsNonStreaming, parse_messages_request),
    "beta count_tokens": (beta_count_tokens_params.MessageCountTokensParams, parse_count_tokens_request),
}
# "holder.field > type" that the SDK's types allow and the API, or this server, does not.
REFUSED = {
    "AssistantMessageParam.content > ToolResultBlockParam": "only the user has results",
    "UserMessageParam.content > ToolUseBlockParam": "only the model calls tools",
    "UserMessageParam.content > ThinkingBlockParam": "only the model thinks",
    "UserMessageParam.content > RedactedThinkingBlockParam": "only the model thinks",
    "MessageCreateParams*.thread > Thread*Params": "this server holds no threads",
}
NULL_IS_ABSENT = "a field that may be null may be left out as well: some clients leave out what is null"
HISTORY = "a history is taken as the client keeps it, and translation mends it"
LEFT_BY_A_STREAM = "a stream that broke off leaves it empty or as text (langchain-ai/langchainjs#9980)"
ONLY_ANTHROPIC_READS_IT = (
    "made and read by Anthropic's servers alone, and missing when another server answered"
)
NO_REQUIREMENT = {
    "Citation*Param.document_title": NULL_IS_ABSENT,
    "Citation*Param.title": NULL_IS_ABSENT,
    "ThinkingBlockParam.signature": HISTORY,
    "ToolUseBlockParam.input": HISTORY,
    "ServerToolUseBlockParam.input": LEFT_BY_A_STREAM,
    "MCPToolUseBlockParam.input": LEFT_BY_A_STREAM,
    "*.encrypted_*": ONLY_ANTHROPIC_READS_IT,
    "InputSchemaTyped.type": "schemas of MCP servers often lack it",
    "*Tool*Param.type": "a tool without a type is a custom one, and refused for what that lacks",
    "*Toolset*Param.type": "the same",
    "ToolBash*Param.type": "the same",
    "ToolTextEditor*Param.type": "the same",
    "*ComputerUse*Param.type": "the same",
}
NEWER_KINDS = "newer kinds come without notice, and an unknown one is ignored or described in words"
NEWER_WORDS = "newer words come with newer models; a 400 makes Claude Code send everything six times"
SERVERS_WORDS = "said by Anthropic's servers, which say new ones without notice"
OPEN = {
    "*BlockParam.type": NEWER_KINDS,
    "*SourceParam.type": NEWER_KINDS,
    "Citation*Param.type": NEWER_KINDS,
    "*Caller*Param.type": NEWER_KINDS,
    "*Tool*Param.type": NEWER_KINDS,
    "*Toolset*Param.type": NEWER_KINDS,
    "ThinkingConfig*Param.type": NEWER_KINDS,
    "WebFetchURLSource*Param.type": NEWER_KINDS,
    "*ErrorParam.type": NEWER_KINDS,
    "*ErrorObjectParam.type": NEWER_KINDS,
    "*ToolChange*Param.type": NEWER_KINDS,
    "*EditParam.type": NEWER_KINDS,
    "BrowserStateChange*Param.type": NEWER_KINDS,
    "*TriggerParam.type": NEWER_KINDS,
    "*KeepParam.type": NEWER_KINDS,
    "*ClearAtLeastParam.type": NEWER_KINDS,
    "*ThinkingTurnsParam.type": NEWER_KINDS,
    "CompactionConfigParam.type": NEWER_KINDS,
    "TokenTaskBudgetParam.type": NEWER_KINDS,
    "RequestMCPServerURLDefinitionParam.type": NEWER_KINDS,
    "*.effort": NEWER_WORDS,
    "*.speed": NEWER_WORDS,
    "*.display": NEWER_WORDS,
    "*.clear_at": NEWER_WORDS,
    "*.prefix_mismatch_behavior": NEWER_WORDS,
    "*.allowed_callers": "a newer tool is a newer caller",
    "ServerToolUseBlockParam.name": SERVERS_WORDS,
    "*.error_code": SERVERS_WORDS,
    "*.file_type": SERVERS_WORDS,
}
ANY_TYPE = {
    "ToolUseBlockParam.input": HISTORY,
    "ServerToolUseBlockParam.input": LEFT_BY_A_STREAM,
    "MCPToolUseBlockParam.input": LEFT_BY_A_STREAM,
    "InputSchemaTyped.*": "schemas of MCP servers are often wrong",
    "*.user_profile_id": "a header, not a field of the body",
    "*.workspace_id": "a header, not a field of the body",
    "*.betas": "a header, not a field of the body",
}
NOT_ACCEPTED = {
    "*.thread": "this server holds no threads",
    "SystemMessageParam.content": "null is absent, and a message needs content",
}
USED: set[str] = set()


@pytest.fixture(params=BODIES)
def endpoint(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def refusal(endpoint: str, body: dict[str, Any]) -> str | None:
    try:
        BODIES[endpoint][1](body)
    except InvalidRequest as error:
        return error.message
    return None


def has_reason(name: str, reasons: dict[str, str]) -> bool:
    rows = [row for row in reasons if fnmatchcase(name, row)]
    USED.update(rows)
    return bool(rows)


def all_cases(endpoint: str, about: Callable[[Place], Iterable[Case]]) -> Iterator[Case]:
    """Of every type the endpoint takes."""

    def may_enter(place: Place) -> bool:
        message = refusal(endpoint, place.put(place.sample()))
        is_refused = has_reason(f"{place.holder} > {place.name}", REFUSED)
        assert bool(message) == is_refused, f"{place.name} in {place.holder}: {message}"
        return not is_refused

    for place in places(BODIES[endpoint][0], may_enter):
        yield from about(place)


def not_refused(
    endpoint: str, about: Callable[[Place], Iterable[Case]], reasons: dict[str, str]
) -> list[Any]:
    """The cases that pass, or are refused for something else than their field, without a reason."""
    found = []
    for case in all_cases(endpoint, about):
        message = refusal(endpoint, case.body) or "accepted"
        if not message.startswith(f"{case.path}: ") and not has_reason(case.name, reasons):
            found.append((case.name, case.path, message))
    return found


def test_a_required_field_is_missed_by_its_path(endpoint: str) -> None:
    assert not_refused(endpoint, without_required_fields, NO_REQUIREMENT) == []


def test_a_value_beside_the_literal_is_refused_by_its_path(endpoint: str) -> None:
    assert not_refused(endpoint, beside_literals, OPEN) == []


def test_a_value_of_another_type_is_refused_by_its_path(endpoint: str) -> None:
    assert not_refused(endpoint, of_another_type, ANY_TYPE) == []


def test_every_optional_field_is_accepted_in_each_form(endpoint: str) -> None:
    refused = [
        (case.name, message)
        for case in all_cases(endpoint, with_optional_fields)
        if (message := refusal(endpoint, case.body)) and not has_reason(case.name, NOT_ACCEPTED)
    ]

    assert refused == []


def test_the_walk_reaches_what_it_should() -> None:
    """A change of the SDK that blinded the walk would make every test above pass."""
    seen = list(places(BODIES["beta create"][0]))
    names = {place.name for place in seen}

    assert len(names) > 150
    assert {"TextBlockParam", "Base64ImageSourceParam", "ToolChoiceToolParam", "MCPToolsetParam"} <= names
    assert sum(len(list(without_required_fields(place))) for place in seen) > 400
    assert sum(len(list(beside_literals(place))) for place in seen) > 300


def test_no_reason_is_left_over() -> None:
    not_refused("beta create", without_required_fields, NO_REQUIREMENT)
    not_refused("beta create", beside_literals, OPEN)
    not_refused("beta create", of_another_type, ANY_TYPE)
    for case in all_cases("beta create", with_optional_fields):
        if refusal("beta create", case.body):
            has_reason(case.name, NOT_ACCEPTED)

    assert {*REFUSED, *NO_REQUIREMENT, *OPEN, *ANY_TYPE, *NOT_ACCEPTED} - USED == set()
