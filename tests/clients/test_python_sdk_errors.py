"""Each error arrives as the exception that the official SDK has for it, with a sentence that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import Anthropic

from proxy_site.emulator.delivery.behaviour import pace
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

CLAUDE = "claude-opus-4-6-thinking"
HELLO: dict[str, Any] = {
    "model": CLAUDE,
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture(scope="module")
def guarded_gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), AUTH_TOKEN="the key") as gateway:
        yield gateway


@pytest.fixture
def client(guarded_gateway: LiveGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=guarded_gateway.url, api_key="the key", max_retries=0) as anthropic_client:
        yield anthropic_client


def test_a_wrong_key_is_an_authentication_error_and_not_retried(guarded_gateway: LiveGateway) -> None:
    with (
        Anthropic(base_url=guarded_gateway.url, api_key="another key", max_retries=5) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(**HELLO)

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request_id is not None
    assert "AUTH_TOKEN" in caught.value.message


def test_the_key_is_taken_as_a_bearer_token_too(guarded_gateway: LiveGateway) -> None:
    with Anthropic(base_url=guarded_gateway.url, auth_token="the key", api_key=None) as client:
        assert client.messages.create(**HELLO).role == "assistant"


def test_an_unknown_model_is_not_found_and_the_error_says_what_there_is(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=r"model: my-model .*claude-sonnet-4-6"):
        client.messages.create(**{**HELLO, "model": "my-model"})


def test_an_unknown_model_is_not_found_in_the_list_either(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: my-model"):
        client.models.retrieve("my-model")


def test_an_endpoint_we_do_not_have_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="/v1/messages/batches is not a path"):
        client.messages.batches.list()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"extra_body": {"max_tokens": "many"}}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, r"messages\.0\.role"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\.0\.content"),
        ({"extra_body": {"temperature": 1}}, "temperature: Extra inputs are not permitted"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, r"tools\.0\.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1}}, r"thinking\.budget_tokens"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str, client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=field) as caught:
        client.messages.create(**{**HELLO, **changes})

    assert caught.value.type == "invalid_request_error"


def test_a_long_limit_is_told_with_the_time_it_ends_and_not_retried(
    client: Anthropic, shared_emulator: EmulatorServer
) -> None:
    shared_emulator.state.fault("quota_exhausted", model="gemini-2.5-flash", times=3)

    with pytest.raises(anthropic.RateLimitError, match=r"3 accounts tried for gemini-2\.5-flash:") as caught:
        client.with_options(max_retries=2).messages.create(**{**HELLO, "model": "gemini-2.5-flash"})

    headers = caught.value.response.headers
    assert 7000 < int(headers["retry-after"]) <= 7385
    assert headers["x-should-retry"] == "false"
    assert "Next try in 2 h 3 min" in caught.value.message


def test_a_short_limit_is_waited_for_by_the_client(
    client: Anthropic, shared_emulator: EmulatorServer
) -> None:
    shared_emulator.state.fault("rate_limited", delay=1.0, model="gemini-2.5-flash-lite", times=3)

    answer = client.with_options(max_retries=2).messages.create(**{**HELLO, "model": "gemini-2.5-flash-lite"})

    assert answer.stop_reason in {"end_turn", "max_tokens"}


def test_google_out_of_breath_in_the_middle_of_a_stream_is_an_error_there(
    client: Anthropic, shared_emulator: EmulatorServer
) -> None:
    """What was said before it has left by then; with all of it at hand another account would be asked."""
    slowly = pace(chunk_delay=0.2)
    shared_emulator.state.fault("error_mid_stream", slowly, after_chunks=2, model="claude-sonnet-4-6")

    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(**{**HELLO, "model": "claude-sonnet-4-6"}) as stream,
    ):
        for _ in stream:
            pass

    assert caught.value.type == "overloaded_error"


def test_a_refusal_of_google_stays_a_bad_request(client: Anthropic, shared_emulator: EmulatorServer) -> None:
    shared_emulator.state.fault("claude_invalid_request", message="prompt is too long: 9 tokens > 8 maximum")

    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 9 tokens > 8 maximum"):
        client.messages.create(**HELLO)


def test_no_account_yet_is_told_once(
    emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = LiveGateway(emulator, tmp_path_factory.mktemp("data"))
    gateway.start()
    try:
        with (
            Anthropic(base_url=gateway.url, api_key="anything", max_retries=5) as client,
            pytest.raises(anthropic.InternalServerError, match="There is no account yet") as caught,
        ):
            client.messages.create(**HELLO)
    finally:
        gateway.stop()

    assert caught.value.status_code == 503
    assert caught.value.response.headers["x-should-retry"] == "false"
