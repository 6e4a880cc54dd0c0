"""Tool loops with the official Python SDK: by hand, and with its own runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic, beta_tool

from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.clients.conversations import (
    accepted_calls,
    assert_paired,
    declared_functions,
    function_calls,
    function_responses,
)

if TYPE_CHECKING:
    from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam

    from proxy_site.emulator.server import EmulatorServer

CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-pro-preview"
OTHER_GEMINI = "gemini-2.5-pro"
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK_FOR_PARIS = [thinking("A tool knows."), function_call("get_weather", {"city": "Paris"})]


def take_turn(client: Anthropic, history: list[MessageParam], model: str, *, streamed: bool = True) -> str:
    """Ask, run the tools it wants, and so on until there are only words. All of it joins the history."""
    while True:
        arguments: dict[str, Any] = {
            "model": model, "max_tokens": 8000, "messages": history, "tools": [WEATHER],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        }  # fmt: skip
        if streamed:
            with client.messages.stream(**arguments) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**arguments)
        history.append({"role": "assistant", "content": message.content})
        if message.stop_reason != "tool_use":
            return "".join(block.text for block in message.content if block.type == "text")
        results: list[ToolResultBlockParam] = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"18 °C in {block.input['city']}"}
            for block in message.content
            if block.type == "tool_use"
        ]
        history.append({"role": "user", "content": results})


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "in one piece"])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_a_tool_is_called_and_its_answer_used(
    model: str, streamed: bool, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply(*ASK_FOR_PARIS)
    google.state.reply("It is mild.")

    said = take_turn(client, [{"role": "user", "content": "How is the weather?"}], model, streamed=streamed)

    assert said == "It is mild."
    last = accepted_calls(google)[-1]
    assert function_calls(last)[0]["args"] == {"city": "Paris"}
    assert "18 °C in Paris" in str(function_responses(last)[0]["response"])
    assert_paired(last)


@pytest.mark.parametrize(
    "models",
    [
        (CLAUDE, GEMINI, CLAUDE, OTHER_GEMINI),
        (GEMINI, CLAUDE, CLAUDE, GEMINI),
        (OTHER_GEMINI, GEMINI, OTHER_GEMINI, CLAUDE),
    ],
    ids=lambda models: ", ".join(models),
)
def test_tools_and_thinking_survive_each_switch_of_the_model(
    models: tuple[str, ...], client: Anthropic, google: EmulatorServer
) -> None:
    history: list[MessageParam] = []
    for number, model in enumerate(models):
        google.state.reply(*ASK_FOR_PARIS)
        google.state.reply(thinking("That was easy."), f"Answer {number}")
        history.append({"role": "user", "content": f"Question {number}"})

        assert take_turn(client, history, model) == f"Answer {number}"

    calls = accepted_calls(google)
    assert len(function_calls(calls[-1])) == len(models)
    for call in calls:
        assert_paired(call)


def test_parallel_calls_are_answered_in_any_order(client: Anthropic, google: EmulatorServer) -> None:
    cities = ["Paris", "London", "Rome"]
    google.state.reply(*[function_call("get_weather", {"city": city}) for city in cities])
    history: list[MessageParam] = [{"role": "user", "content": "Compare the weather"}]
    message = client.messages.create(model=CLAUDE, max_tokens=8000, messages=history, tools=[WEATHER])
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [use.input["city"] for use in uses] == cities

    results: list[ToolResultBlockParam] = [
        {"type": "tool_result", "tool_use_id": use.id, "content": f"18 °C in {use.input['city']}"}
        for use in reversed(uses)
    ]
    history += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    client.messages.create(model=CLAUDE, max_tokens=8000, messages=history, tools=[WEATHER])

    last = accepted_calls(google)[-1]
    assert_paired(last)
    assert ["Paris" in str(response["response"]) for response in function_responses(last)] == [
        True,
        False,
        False,
    ]


def test_a_tool_can_be_forced(client: Anthropic, google: EmulatorServer) -> None:
    message = client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=500,
        messages=[{"role": "user", "content": "Hello"}],
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather"},
    )

    assert message.stop_reason == "tool_use"
    assert accepted_calls(google)


@beta_tool
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: where
    """
    return f"18 °C in {city}"


@pytest.mark.parametrize("thread", [{"thread": False}, {}], ids=["without a thread", "by default"])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_the_tool_runner_runs_to_the_end(
    model: str, thread: dict[str, Any], client: Anthropic, google: EmulatorServer
) -> None:
    """By default it first asks for a thread held by the server, which we refuse as the API says."""
    google.state.reply(*ASK_FOR_PARIS)
    google.state.reply(function_call("get_weather", {"city": "Rome"}))
    google.state.reply("Both are mild.")

    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=8000,
        messages=[{"role": "user", "content": "Compare Paris and Rome"}],
        tools=[get_weather],
        **thread,
    )
    final = runner.until_done()

    assert [block.text for block in final.content if block.type == "text"] == ["Both are mild."]
    last = accepted_calls(google)[-1]
    assert [call["args"]["city"] for call in function_calls(last)] == ["Paris", "Rome"]
    assert_paired(last)


@beta_tool
def get_tide(harbour: str) -> str:
    """When high water is.

    Args:
        harbour: where
    """
    return f"High water at {harbour}: 14:20"


@pytest.mark.parametrize("thread", [{"thread": False}, {}], ids=["without a thread", "by default"])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_a_tool_added_midway_is_declared_and_run(
    model: str, thread: dict[str, Any], client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply(*ASK_FOR_PARIS)
    google.state.reply(function_call("get_tide", {"harbour": "Dover"}))
    google.state.reply("Mild, and high water at twenty past two.")
    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=8000,
        messages=[{"role": "user", "content": "Weather in Paris, then the tide at Dover"}],
        tools=[get_weather],
        betas=["inline-tools-2026-09-15"],
        **thread,
    )

    messages = []
    for message in runner:
        messages.append(message)
        if len(messages) == 1:
            runner.add_tools(get_tide)

    said = [block.text for block in messages[-1].content if block.type == "text"]
    assert said == ["Mild, and high water at twenty past two."]
    first, second, last = accepted_calls(google)
    assert [declared_functions(call) for call in (first, second, last)] == [
        {"get_weather"},
        {"get_weather", "get_tide"},
        {"get_weather", "get_tide"},
    ]
    assert "14:20" in str(function_responses(last)[-1]["response"])
    assert_paired(last)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_a_tool_removed_midway_is_no_longer_declared(
    model: str, client: Anthropic, google: EmulatorServer
) -> None:
    google.state.reply(*ASK_FOR_PARIS)
    google.state.reply(function_call("get_tide", {"harbour": "Dover"}))
    google.state.reply("It is mild.")
    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=8000,
        messages=[{"role": "user", "content": "Weather in Paris"}],
        tools=[get_weather, get_tide],
        betas=["inline-tools-2026-09-15"],
    )

    for number, _ in enumerate(runner):
        if number == 1:
            runner.remove_tools(get_weather)

    first, second, last = accepted_calls(google)
    assert declared_functions(first) == declared_functions(second) == {"get_weather", "get_tide"}
    # Gemini refuses a history whose functions are not declared, so the removed one keeps a stand-in.
    [tools] = last.envelope["request"]["tools"]
    left = [
        one["name"] for one in tools["functionDeclarations"] if "Do not call it" not in one["description"]
    ]
    assert left == ["get_tide"]
    assert_paired(last)
