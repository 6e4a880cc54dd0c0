"""What a gateway must do however it is set up: some twenty cases, each on every one of `SETUPS`."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from proxy_site.emulator.delivery.behaviour import combine, truncated_json, without_finish
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.builders import PNG, SIGNATURE, a_tool, an_image, assistant, user
from tests.clients.conversations import accepted_calls, assert_paired
from tests.live_gateway import manage

if TYPE_CHECKING:
    from anthropic import Anthropic

    from proxy_site.emulator.server import EmulatorServer
    from tests.live_gateway import LiveGateway
    from tests.smoke.conftest import Setup

several_accounts = pytest.mark.usefixtures("several_accounts")
large_context = pytest.mark.usefixtures("large_context")
both_models = pytest.mark.parametrize("model", [0, 1], indirect=True)


def a_request(model: str, *messages: Any, **fields: Any) -> Any:
    return {"model": model, "max_tokens": 2000, "messages": list(messages) or [user("Hello")], **fields}


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@both_models
def test_a_message_is_answered(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("Good morning.")

    message = client.messages.create(**a_request(model))

    assert (text_of(message), message.model, message.stop_reason) == ("Good morning.", model, "end_turn")
    assert message.usage.output_tokens > 0


@both_models
def test_a_stream_is_answered(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("Good morning, 漢字.")

    with client.messages.stream(**a_request(model)) as stream:
        streamed = "".join(stream.text_stream)

    assert streamed == "Good morning, 漢字."


@both_models
def test_a_tool_is_called_and_its_result_used(
    model: str, client: Anthropic, setup: Setup, google: EmulatorServer
) -> None:
    google.state.reply(function_call("get_weather", {"city": "Paris"}))
    google.state.reply("It is mild.")
    first = client.messages.create(**a_request(model, tools=[a_tool()]))
    [use] = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "18 °C"}

    history = [user("Hello"), {"role": "assistant", "content": first.content}, user(result)]
    last = client.messages.create(**a_request(model, *history, tools=[a_tool()]))

    assert (use.input, text_of(last)) == ({"city": "Paris"}, "It is mild.")
    call = accepted_calls(google)[-1]
    assert "18 °C" in str(call.envelope)
    if setup.kind == "google":
        assert_paired(call)


@both_models
def test_its_thinking_is_shown_and_taken_back(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply(thinking("Easy."), "Yes.")
    fields: Any = {"thinking": {"type": "enabled", "budget_tokens": 1500}}
    first = client.messages.create(**a_request(model, **fields))

    history = [user("Hello"), {"role": "assistant", "content": first.content}, user("Sure?")]
    client.messages.create(**a_request(model, *history, **fields))

    assert [block.type for block in first.content] == ["thinking", "text"]
    assert len(accepted_calls(google)) == 2


def test_a_model_is_called_by_its_name_there(
    model: str, client: Anthropic, setup: Setup, google: EmulatorServer
) -> None:
    client.messages.create(**a_request(model))

    [call] = accepted_calls(google)
    assert call.model == setup.sent_as


def test_an_image_arrives_as_it_was(model: str, client: Anthropic, google: EmulatorServer) -> None:
    client.messages.create(**a_request(model, user(an_image())))

    [call] = accepted_calls(google)
    assert PNG in call.body.decode()


def test_another_models_thinking_is_taken_too(
    model: str, client: Anthropic, setup: Setup, google: EmulatorServer
) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": f"claude#{SIGNATURE}"}
    history = [user("Hello"), assistant(thought, {"type": "text", "text": "Hi."}), user("And now?")]

    client.messages.create(**a_request(model, *history))

    calls = google.state.log.generations()
    assert calls[-1].status == 200
    assert len(calls) == 1 or setup.kind == "anthropic"  # where it is that model's own, made up


def test_the_system_prompt_and_the_limits_arrive(
    model: str, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply("many words " * 200)

    message = client.messages.create(
        **a_request(model, system="Be short.", max_tokens=20, stop_sequences=["STOP"])
    )

    [call] = accepted_calls(google)
    assert "Be short." in call.body.decode()
    assert message.stop_reason == "max_tokens"


def test_an_answer_follows_its_schema(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply('{"city": "Paris"}')
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    message = client.messages.create(
        **a_request(model, output_config={"format": {"type": "json_schema", "schema": schema}})
    )

    assert text_of(message) == '{"city": "Paris"}'


def test_tokens_are_counted(model: str, client: Anthropic) -> None:
    counted = client.messages.count_tokens(model=model, messages=[user("many words " * 500)])  # type: ignore[list-item]

    assert 700 < counted.input_tokens < 1500


def test_models_are_listed(client: Anthropic, setup: Setup) -> None:
    assert set(setup.models) <= {model.id for model in client.models.list()}


@several_accounts
def test_the_next_account_answers_when_one_is_at_its_limit(
    model: str, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted")
    google.state.reply("From another.")

    message = client.messages.create(**a_request(model))

    assert text_of(message) == "From another."
    limited, answered = google.state.log.generations()
    assert (limited.status, answered.status) == (429, 200)
    assert limited.account != answered.account


def test_a_connection_that_breaks_is_not_seen(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.fault("close_before_headers")
    google.state.reply("There you are.")

    assert text_of(client.messages.create(**a_request(model))) == "There you are."


def test_an_answer_cut_in_the_middle_ends_with_an_error(
    model: str, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply("a b c d e f g h", behaviour=combine(truncated_json(), without_finish()))

    with pytest.raises(anthropic.APIError), client.messages.stream(**a_request(model)) as stream:
        stream.until_done()


def test_a_request_that_is_wrong_is_told_where(model: str, client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        client.messages.create(**a_request(model, {"role": "nobody", "content": "Hello"}))


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        client.messages.create(**a_request("no-such-model"))


@large_context
def test_a_large_request_is_answered(model: str, client: Anthropic, google: EmulatorServer) -> None:
    noise = base64.b64encode(bytes(2_000_000)).decode()

    message = client.messages.create(
        **a_request(
            model, user({"type": "text", "text": "What is it?"}, an_image(), {"type": "text", "text": noise})
        )
    )

    assert message.stop_reason == "end_turn"
    assert len(accepted_calls(google)[0].body) > len(noise)


def test_many_streams_at_once_each_get_their_own_answer(
    model: str, client: Anthropic, google: EmulatorServer
) -> None:
    def answer_to(question: str) -> str:
        with client.messages.stream(**a_request(model, user(question))) as stream:
            return "".join(stream.text_stream)

    questions = [f"stream number {number}." for number in range(20)]
    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(answer_to, questions))

    assert all(question in answer for question, answer in zip(questions, answers, strict=True))


def test_the_ledger_has_what_was_asked(model: str, gateway: LiveGateway, client: Anthropic) -> None:
    answered = client.messages.with_raw_response.create(**a_request(model))
    request_id = answered.headers["request-id"]

    shown = manage("logs", request_id, env=gateway.env)

    assert request_id in shown.stdout.decode()
    assert model in shown.stdout.decode()
