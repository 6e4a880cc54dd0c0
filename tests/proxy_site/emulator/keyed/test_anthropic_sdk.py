"""Anthropic's own SDK at the emulated API: what it can read is right from the client's side."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from proxy_site.emulator.anthropic_api.faults import anthropic_pings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types import Message, MessageParam, ToolParam

    from proxy_site.emulator.server import EmulatorServer

SONNET, OPUS = "claude-sonnet-4-6", "claude-opus-5-5"
PNG = base64.b64encode(
    bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
).decode()
HELLO: MessageParam = {"role": "user", "content": "Say hello."}
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def client(emulator: EmulatorServer) -> Iterator[anthropic.Anthropic]:
    with client_for(emulator, "sk-ant-api03-emulator-ada") as one:
        yield one


def client_for(emulator: EmulatorServer, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=emulator.anthropic_api_url, max_retries=0, timeout=5)


def test_a_whole_message_has_text_and_usage(emulator: EmulatorServer, client: anthropic.Anthropic) -> None:
    message = client.messages.create(model=SONNET, max_tokens=1000, messages=[HELLO])

    assert message.content[0].type == "text"
    assert "Say hello." in message.content[0].text
    assert (message.stop_reason, message.model, message.role) == ("end_turn", SONNET, "assistant")
    assert message.usage.input_tokens > 0
    assert message.usage.cache_creation is not None
    assert message.usage.output_tokens_details is not None
    entry = emulator.state.log.entries("messages", provider="anthropic")[0]
    assert entry.headers["anthropic-version"] == "2026-10-21"
    assert entry.usage_sent["output_tokens"] == message.usage.output_tokens


def test_a_stream_accumulates_to_a_message(emulator: EmulatorServer, client: anthropic.Anthropic) -> None:
    emulator.state.reply("One two three four. " * 20)

    with client.messages.stream(model=SONNET, max_tokens=1000, messages=[HELLO]) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert len(pieces) > 3
    assert "".join(pieces) == "One two three four. " * 20
    assert message.content[0].type == "text"
    assert (
        message.usage.output_tokens == emulator.state.log.entries("messages")[0].usage_sent["output_tokens"]
    )


def test_a_tool_is_called_and_its_result_goes_back(client: anthropic.Anthropic) -> None:
    question: MessageParam = {"role": "user", "content": "What is the weather in Paris?"}
    with client.messages.stream(
        model=OPUS, max_tokens=1000, messages=[question], tools=[WEATHER], thinking={"type": "adaptive"}
    ) as stream:
        first = stream.get_final_message()

    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert first.stop_reason == "tool_use"
    call = first.content[-1]
    assert call.type == "tool_use"
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}],
    }
    said: MessageParam = {"role": "assistant", "content": first.content}
    second = client.messages.create(
        model=OPUS,
        max_tokens=1000,
        messages=[question, said, result],
        tools=[WEATHER],
        thinking={"type": "adaptive"},
    )

    assert "sunny" in "".join(block.text for block in second.content if block.type == "text")


def test_a_thought_belongs_to_its_conversation(client: anthropic.Anthropic) -> None:
    first = client.messages.create(
        model=OPUS, max_tokens=999, messages=[HELLO], thinking={"type": "adaptive"}
    )
    said: MessageParam = {"role": "assistant", "content": first.content}
    goodbye: MessageParam = {"role": "user", "content": "Say goodbye."}

    assert client.messages.create(model=OPUS, max_tokens=999, messages=[HELLO, said, goodbye]).content
    with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
        client.messages.create(model=OPUS, max_tokens=999, messages=[goodbye, said, goodbye])
    changed: Any = [{"role": "user", "content": "Another."}, said, goodbye]
    dropped = client.beta.messages.create(
        model=OPUS,
        max_tokens=999,
        messages=changed,
        thinking={"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
        betas=["thinking-binding-controls-2026-08-01"],
    )
    assert dropped.content


def test_an_omitted_thought_keeps_its_signature(client: anthropic.Anthropic) -> None:
    omitted: Any = {"type": "adaptive", "display": "omitted"}
    first = client.messages.create(model=OPUS, max_tokens=999, messages=[HELLO], thinking=omitted)
    said: MessageParam = {"role": "assistant", "content": first.content}

    thought = first.content[0]
    assert thought.type == "thinking"
    assert (thought.thinking, bool(thought.signature)) == ("", True)
    assert client.messages.create(model=OPUS, max_tokens=999, messages=[HELLO, said, HELLO]).content


def test_images_are_taken_and_counted(client: anthropic.Anthropic) -> None:
    source: Any = {"type": "base64", "media_type": "image/png", "data": PNG}
    picture: MessageParam = {
        "role": "user",
        "content": [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}],
    }

    assert client.messages.count_tokens(model=SONNET, messages=[picture]).input_tokens > 0
    assert client.messages.create(model=SONNET, max_tokens=100, messages=[picture]).content


def test_models_are_listed_page_by_page(client: anthropic.Anthropic) -> None:
    listed = list(client.models.list(limit=2))

    assert [model.id for model in listed][:2] == [OPUS, "claude-sonnet-5-5"]
    assert {model.lifecycle for model in listed} == {"active", "retired"}
    assert client.models.retrieve(SONNET).max_input_tokens == 200_000
    capabilities = client.models.retrieve(OPUS).capabilities
    assert capabilities is not None
    assert capabilities.thinking.types.adaptive.supported


def test_a_prefix_is_written_once_and_read_then(client: anthropic.Anthropic) -> None:
    system: Any = [
        {"type": "text", "text": "word " * 100, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]

    first, second = (
        client.messages.create(model=SONNET, max_tokens=50, system=system, messages=[HELLO]).usage
        for _ in "ab"
    )

    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_1h_input_tokens == first.cache_creation_input_tokens
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens
    assert (first.cache_read_input_tokens, second.cache_creation_input_tokens) == (0, 0)
    assert first.input_tokens == second.input_tokens


def test_the_reason_to_stop_is_told(emulator: EmulatorServer, client: anthropic.Anthropic) -> None:
    emulator.state.reply("One STOP two.")
    stopped = client.messages.create(model=SONNET, max_tokens=99, messages=[HELLO], stop_sequences=["STOP"])
    cut = client.messages.create(model=SONNET, max_tokens=3, messages=[HELLO])

    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "STOP")
    assert cut.stop_reason == "max_tokens"


@pytest.mark.parametrize("category", ["cyber", "bio", None])
def test_a_refusal_is_an_answer(
    emulator: EmulatorServer, client: anthropic.Anthropic, category: str | None
) -> None:
    for streamed in (False, True):
        emulator.state.fault("anthropic_refusal", category=category, explanation="No.")
        if streamed:
            with client.messages.stream(model=SONNET, max_tokens=99, messages=[HELLO]) as stream:
                message: Message = stream.get_final_message()
        else:
            message = client.messages.create(model=SONNET, max_tokens=99, messages=[HELLO])

        assert message.stop_reason == "refusal"
        assert message.stop_details is not None
        assert (message.stop_details.category, message.stop_details.explanation) == (category, "No.")


# (fault, the SDK's exception, error_code, retry-after)
FAULTS: list[tuple[str, type[anthropic.APIStatusError], str | None, str | None]] = [
    ("anthropic_key_invalid", anthropic.AuthenticationError, None, None),
    ("anthropic_spend_limit", anthropic.BadRequestError, None, None),
    ("anthropic_credit_too_low", anthropic.BadRequestError, None, None),
    ("anthropic_on_hold", anthropic.BadRequestError, "organization_on_hold", None),
    ("anthropic_client_too_old", anthropic.BadRequestError, "claude_code_version_too_old", None),
    ("anthropic_tier_spend_limit", anthropic.RateLimitError, "enforced_spend_limit_reached", None),
    ("anthropic_contract_spend_limit", anthropic.RateLimitError, "contract_spend_limit_reached", None),
    ("anthropic_ramp_limit", anthropic.RateLimitError, "ramp_limit_exceeded", "20"),
    ("anthropic_rate_limited", anthropic.RateLimitError, None, "12"),
    ("anthropic_permission", anthropic.PermissionDeniedError, None, None),
    ("anthropic_model_not_found", anthropic.NotFoundError, None, None),
    ("anthropic_conflict", anthropic.ConflictError, None, None),
    ("anthropic_internal", anthropic.InternalServerError, None, None),
    ("anthropic_timeout", anthropic.APIStatusError, None, None),
    ("anthropic_overloaded", anthropic.APIStatusError, None, None),
    ("anthropic_billing", anthropic.APIStatusError, None, None),
    ("anthropic_too_large", anthropic.APIStatusError, None, None),
]


@pytest.mark.parametrize(("fault", "kind", "code", "retry_after"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_is_the_error_of_the_sdk(
    emulator: EmulatorServer,
    client: anthropic.Anthropic,
    fault: str,
    kind: type[anthropic.APIStatusError],
    code: str | None,
    retry_after: str | None,
) -> None:
    emulator.state.fault(fault, provider="anthropic")

    with pytest.raises(kind) as raised:
        client.messages.create(model=SONNET, max_tokens=99, messages=[HELLO])

    error = raised.value
    assert error.error_code == code
    assert error.request_id is not None
    assert error.request_id.startswith("req_01")
    assert isinstance(error.body, dict)
    assert error.body["request_id"] == error.request_id
    assert error.response.headers.get("retry-after") == retry_after
    assert error.type is not None


def test_an_error_may_be_the_first_event(emulator: EmulatorServer, client: anthropic.Anthropic) -> None:
    emulator.state.fault("anthropic_overloaded_in_stream")

    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        client.messages.stream(model=SONNET, max_tokens=99, messages=[HELLO]) as stream,
    ):
        list(stream)

    assert raised.value.status_code == 200
    assert raised.value.type == "overloaded_error"


def test_pings_do_not_disturb_the_sdk(emulator: EmulatorServer, client: anthropic.Anthropic) -> None:
    emulator.state.reply("Hello.", behaviour=anthropic_pings(4))

    with client.messages.stream(model=SONNET, max_tokens=99, messages=[HELLO]) as stream:
        assert stream.get_final_text() == "Hello."


def test_keys_of_an_organisation_share_its_limits(emulator: EmulatorServer) -> None:
    names = ("sk-ant-api03-emulator-grace", "sk-ant-api03-emulator-grace-2")
    emulator.state.keys["anthropic-grace"].group.limits.requests_per_minute = 3
    with client_for(emulator, names[0]) as one, client_for(emulator, names[1]) as two:
        answers = [
            client.messages.with_raw_response.create(model=SONNET, max_tokens=9, messages=[HELLO])
            for client in (one, two, one)
        ]
        with pytest.raises(anthropic.RateLimitError) as raised:
            two.messages.create(model=SONNET, max_tokens=9, messages=[HELLO])

    remaining = [answer.headers["anthropic-ratelimit-requests-remaining"] for answer in answers]
    assert remaining == ["2", "1", "0"]
    assert answers[0].headers["anthropic-ratelimit-requests-reset"] == "2027-01-15T08:01:00Z"
    assert raised.value.response.headers["retry-after"] == "60"
    assert "rate limit of 3 requests per minute" in raised.value.message
