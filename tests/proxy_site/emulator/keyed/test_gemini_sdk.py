"""Google's own SDK at the emulated Gemini API: what it can read is right from the client's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google import genai
from google.genai import errors, types

from tests.proxy_site.emulator.keyed.conftest import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

FLASH = "gemini-3.5-flash"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


@pytest.fixture
def client(emulator: EmulatorServer) -> Iterator[genai.Client]:
    with client_for(emulator, "AIza-emulator-ada") as one:
        yield one


def client_for(emulator: EmulatorServer, key: str) -> genai.Client:
    options = types.HttpOptions(base_url=emulator.gemini_api_url, api_version="v1beta", timeout=5_000)
    return genai.Client(api_key=key, http_options=options)


def test_a_whole_answer_has_text_and_usage(client: genai.Client) -> None:
    answer = client.models.generate_content(model=FLASH, contents="Say hello.")

    assert answer.text is not None
    assert "Say hello." in answer.text
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0)
    assert answer.model_version == FLASH


def test_a_streamed_answer_arrives_in_chunks(emulator: EmulatorServer, client: genai.Client) -> None:
    emulator.state.reply("One two three four. " * 20)

    chunks = list(client.models.generate_content_stream(model=FLASH, contents="Count."))

    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks) == "One two three four. " * 20
    assert emulator.state.log.entries("streamGenerateContent", provider="gemini")[0].account == "gemini-ada"


def test_a_tool_is_called_and_its_result_goes_back(emulator: EmulatorServer, client: genai.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema=schema)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declaration])])
    question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])

    first = client.models.generate_content(model=FLASH, contents=[question], config=config)
    assert first.function_calls is not None
    assert first.function_calls[0].name == "get_weather"
    assert first.candidates is not None
    said = first.candidates[0].content
    assert said is not None
    result = types.Part.from_function_response(name="get_weather", response={"result": "sunny"})
    second = client.models.generate_content(
        model=FLASH, contents=[question, said, types.Content(role="user", parts=[result])], config=config
    )

    assert second.text is not None
    assert "sunny" in second.text


def test_thoughts_come_apart_and_are_counted(client: genai.Client) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW)

    answer = client.models.generate_content(
        model=FLASH, contents="Think.", config=types.GenerateContentConfig(thinking_config=thinking)
    )

    assert answer.parts is not None
    assert answer.parts[0].thought is True
    assert answer.parts[-1].thought_signature
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count


def test_an_image_is_counted(client: genai.Client) -> None:
    image = types.Part.from_bytes(data=PNG, mime_type="image/png")

    counted = client.models.count_tokens(model=FLASH, contents=[image, "What is this?"])

    assert counted.total_tokens is not None
    assert counted.total_tokens > 1_120
    assert client.models.generate_content(model=FLASH, contents=[image, "What is this?"]).text


def test_models_are_listed_page_by_page(client: genai.Client) -> None:
    listed = list(client.models.list(config={"page_size": 3, "query_base": True}))

    names = [model.name for model in listed]
    assert f"models/{FLASH}" in names
    assert len(names) == len(set(names)) > 3
    one = client.models.get(model=FLASH)
    assert (one.input_token_limit, one.output_token_limit) == (1_048_576, 65_536)
    assert one.supported_actions == ["generateContent", "countTokens"]


def test_a_wrong_key_is_a_client_error(emulator: EmulatorServer) -> None:
    with client_for(emulator, "AIza-nobody") as client, pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=FLASH, contents="Hello")

    assert (raised.value.code, raised.value.status) == (400, "INVALID_ARGUMENT")
    assert raised.value.message == "API key not valid. Please pass a valid API key."


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("gemini_per_day", errors.ClientError, 429),
        ("gemini_location", errors.ClientError, 400),
        ("gemini_suspended", errors.ClientError, 403),
        ("gemini_overloaded", errors.ServerError, 503),
        ("gemini_internal", errors.ServerError, 500),
    ],
)
def test_a_fault_is_the_error_of_the_sdk(
    emulator: EmulatorServer, client: genai.Client, fault: str, kind: type[errors.APIError], code: int
) -> None:
    emulator.state.fault(fault, provider="gemini")

    with pytest.raises(kind) as raised:
        client.models.generate_content(model=FLASH, contents="Hello")

    assert raised.value.code == code


def test_every_finish_reason_reaches_the_sdk(emulator: EmulatorServer, client: genai.Client) -> None:
    for reason in types.FinishReason:
        emulator.state.fault("finish", reason=reason.value)
        answer = client.models.generate_content(model=FLASH, contents="Hello")
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason is reason


def test_a_blocked_prompt_has_only_feedback(emulator: EmulatorServer, client: genai.Client) -> None:
    emulator.state.fault("prompt_blocked", reason="PROHIBITED_CONTENT")

    answer = client.models.generate_content(model=FLASH, contents="Hello")

    assert answer.candidates is None
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT


def test_keys_of_a_project_share_its_limits(emulator: EmulatorServer) -> None:
    with (
        client_for(emulator, "AIza-emulator-grace") as one,
        client_for(emulator, "AIza-emulator-grace-2") as two,
    ):
        for _ in range(5):
            one.models.generate_content(model=FLASH, contents="Hello")
            two.models.generate_content(model=FLASH, contents="Hello")
        with pytest.raises(errors.ClientError) as raised:
            two.models.generate_content(model=FLASH, contents="Hello")
        assert one.models.generate_content(model="gemini-2.5-flash", contents="Hello").text

    assert emulator.state.clock.now() == NOON
    assert "generate_content_free_tier_requests, limit: 10, model: gemini-3.5-flash" in str(
        raised.value.message
    )
    assert "GenerateRequestsPerMinutePerProjectPerModel-FreeTier" in str(raised.value.details)
