"""What a gateway must do however it is set up: some twenty cases, each on every one of `SETUPS`."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from proxy_site.emulator.delivery.behaviour import truncated_json
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.builders import PNG, SIGNATURE, a_tool, an_image, assistant, user
from tests.clients.conversations import accepted_calls, assert_paired, function_responses, parts_of
from tests.live_gateway import manage

if TYPE_CHECKING:
    from anthropic import Anthropic

    from proxy_site.emulator.server import EmulatorServer
    from tests.live_gateway import LiveGateway
    from tests.smoke.conftest import Setup

CLAUDE = "claude-sonnet-4-6"
GEMINI = "gemini-3-flash"
both_families = pytest.mark.parametrize("model", [CLAUDE, GEMINI])


def a_request(*messages: Any, model: str = GEMINI, **fields: Any) -> Any:
    return {"model": model, "max_tokens": 2000, "messages": list(messages) or [user("Hello")], **fields}


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@both_families
def test_a_message_is_answered(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("Good morning.")

    message = client.messages.create(**a_request(model=model))

    assert (text_of(message), message.model, message.stop_reason) == ("Good morning.", model, "end_turn")
    assert message.usage.output_tokens > 0


@both_families
def test_a_stream_is_answered(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("Good morning, 漢字.")

    with client.messages.stream(**a_request(model=model)) as stream:
        streamed = "".join(stream.text_stream)

    assert streamed == "Good morning, 漢字."


@both_families
def test_a_tool_is_called_and_its_result_used(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply(function_call("get_weather", {"city": "Paris"}))
    google.state.reply("It is mild.")
    first = client.messages.create(**a_request(model=model, tools=[a_tool()]))
    [use] = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "18 °C"}

    history = [user("Hello"), {"role": "assistant", "content": first.content}, user(result)]
    last = client.messages.create(**a_request(*history, model=model, tools=[a_tool()]))

    assert (use.input, text_of(last)) == ({"city": "Paris"}, "It is mild.")
    call = accepted_calls(google)[-1]
    assert_paired(call)
    assert "18 °C" in str(function_responses(call)[0]["response"])


@both_families
def test_its_thinking_is_shown_and_taken_back(model: str, client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply(thinking("Easy."), "Yes.")
    fields: Any = {"model": model, "thinking": {"type": "enabled", "budget_tokens": 1500}}
    first = client.messages.create(**a_request(**fields))

    history = [user("Hello"), {"role": "assistant", "content": first.content}, user("Sure?")]
    client.messages.create(**a_request(*history, **fields))

    assert [block.type for block in first.content] == ["thinking", "text"]
    assert len(accepted_calls(google)) == 2


def test_a_model_is_called_by_its_name_there(client: Anthropic, setup: Setup, google: EmulatorServer) -> None:
    client.messages.create(**a_request(model=GEMINI))

    [call] = accepted_calls(google)
    assert call.envelope["model"] == setup.sent_as


def test_an_image_arrives_as_it_was(client: Anthropic, google: EmulatorServer) -> None:
    client.messages.create(**a_request(user(an_image())))

    [call] = accepted_calls(google)
    assert {"inlineData": {"mimeType": "image/png", "data": PNG}} in parts_of(call)


def test_another_models_thinking_is_taken_too(client: Anthropic, google: EmulatorServer) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": f"claude#{SIGNATURE}"}
    history = [user("Hello"), assistant(thought, {"type": "text", "text": "Hi."}), user("And now?")]

    client.messages.create(**a_request(*history, model=GEMINI))

    assert len(accepted_calls(google)) == 1


def test_the_system_prompt_and_the_limits_arrive(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("many words " * 200)

    message = client.messages.create(**a_request(system="Be short.", max_tokens=20, stop_sequences=["STOP"]))

    [call] = accepted_calls(google)
    assert "Be short." in str(call.envelope["request"]["systemInstruction"])
    assert message.stop_reason == "max_tokens"


def test_an_answer_follows_its_schema(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply('{"city": "Paris"}')
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    message = client.messages.create(
        **a_request(output_config={"format": {"type": "json_schema", "schema": schema}})
    )

    assert text_of(message) == '{"city": "Paris"}'


def test_tokens_are_counted(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model=GEMINI, messages=[user("many words " * 500)])  # type: ignore[list-item]

    assert 700 < counted.input_tokens < 1500


def test_models_are_listed(client: Anthropic) -> None:
    assert {CLAUDE, GEMINI} <= {model.id for model in client.models.list()}


def test_the_next_account_answers_when_one_is_at_its_limit(client: Anthropic, google: EmulatorServer) -> None:
    google.state.fault("quota_exhausted")
    google.state.reply("From another.")

    message = client.messages.create(**a_request())

    assert text_of(message) == "From another."
    limited, answered = google.state.log.generations()
    assert (limited.status, answered.status) == (429, 200)
    assert limited.account != answered.account


def test_a_connection_that_breaks_is_not_seen(client: Anthropic, google: EmulatorServer) -> None:
    google.state.fault("close_before_headers")
    google.state.reply("There you are.")

    assert text_of(client.messages.create(**a_request())) == "There you are."


def test_an_answer_cut_in_the_middle_ends_with_an_error(client: Anthropic, google: EmulatorServer) -> None:
    google.state.reply("a b c d e f g h", behaviour=truncated_json())

    with pytest.raises(anthropic.APIError), client.messages.stream(**a_request()) as stream:
        stream.until_done()


def test_a_request_that_is_wrong_is_told_where(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        client.messages.create(**a_request({"role": "nobody", "content": "Hello"}))


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        client.messages.create(**a_request(model="no-such-model"))


def test_a_large_request_is_answered(client: Anthropic, google: EmulatorServer) -> None:
    noise = base64.b64encode(bytes(2_000_000)).decode()

    message = client.messages.create(
        **a_request(
            user({"type": "text", "text": "What is it?"}, an_image(), {"type": "text", "text": noise})
        )
    )

    assert message.stop_reason == "end_turn"
    assert len(accepted_calls(google)[0].body) > len(noise)


def test_many_streams_at_once_each_get_their_own_answer(client: Anthropic, google: EmulatorServer) -> None:
    def answer_to(question: str) -> str:
        with client.messages.stream(**a_request(user(question))) as stream:
            return "".join(stream.text_stream)

    questions = [f"stream number {number}." for number in range(20)]
    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(answer_to, questions))

    assert all(question in answer for question, answer in zip(questions, answers, strict=True))


def test_the_ledger_has_what_was_asked(gateway: LiveGateway, client: Anthropic) -> None:
    answered = client.messages.with_raw_response.create(**a_request())
    request_id = answered.headers["request-id"]

    shown = manage("logs", request_id, env=gateway.env)

    assert request_id in shown.stdout.decode()
    assert GEMINI in shown.stdout.decode()
