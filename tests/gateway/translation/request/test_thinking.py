"""How much the model thinks, cell by cell of the table."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.translation.request.request import TranslationOptions
from gateway.translation.request.thinking import plan_thinking
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GPT,
    a_model,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    assistant,
    translated,
    user,
)

ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 5_000}}
ADAPTIVE = {"thinking": {"type": "adaptive"}}
DISABLED = {"thinking": {"type": "disabled"}}


def effort(level: str) -> dict[str, Any]:
    return {**ADAPTIVE, "output_config": {"effort": level}}


def claude(budget: int) -> dict[str, Any]:
    return {"include_thoughts": True, "thinking_budget": budget}


def budget(tokens: int, *, thoughts: bool = True) -> dict[str, Any]:
    return {"includeThoughts": thoughts, "thinkingBudget": tokens}


def level(name: str, *, thoughts: bool = True) -> dict[str, Any]:
    return {"includeThoughts": thoughts, "thinkingLevel": name}


CELLS: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
    (CLAUDE_THINKING, "-", ENABLED, claude(5_000)),
    (CLAUDE_THINKING, "-", ADAPTIVE, claude(16_000)),
    (CLAUDE_THINKING, "-", effort("low"), claude(4_096)),
    (CLAUDE_THINKING, "-", effort("medium"), claude(10_000)),
    (CLAUDE_THINKING, "-", effort("high"), claude(24_000)),
    (CLAUDE_THINKING, "-", effort("from-the-future"), claude(16_000)),
    (CLAUDE_THINKING, "-", {"thinking": {"type": "between-tools"}}, claude(16_000)),
    (CLAUDE_THINKING, "-", DISABLED, None),
    (CLAUDE_THINKING, "-", {}, claude(16_000)),
    (CLAUDE_THINKING, "-", {"thinking": None}, claude(16_000)),
    (CLAUDE, "-", ENABLED, None),
    (CLAUDE, "-", {}, None),
    (GPT, "-", ENABLED, None),
    ("chat_20706", "-", ENABLED, None),
    ("gemini-2.0-flash", "-", ENABLED, None),
    ("gemini-3-pro-high", "antigravity", ENABLED, budget(5_000)),
    ("gemini-3-pro-high", "antigravity", effort("max"), budget(30_976)),
    ("gemini-3-pro-high", "antigravity", DISABLED, level("low", thoughts=False)),
    ("gemini-3-flash", "antigravity", DISABLED, level("minimal", thoughts=False)),
    ("gemini-3-pro-high", "antigravity", {}, budget(16_000)),
    ("gemini-3-pro-low", "cli", effort("max"), level("low")),
    ("gemini-3-flash-minimal", "cli", {}, level("minimal")),
    ("gemini-3-pro-preview", "cli", ENABLED, level("high")),
    ("gemini-3-pro-preview", "cli", effort("low"), level("low")),
    ("gemini-3-pro-preview", "cli", effort("xhigh"), level("high")),
    ("gemini-3-pro-preview", "cli", effort("max"), level("high")),
    ("gemini-3-pro-preview", "cli", DISABLED, level("low", thoughts=False)),
    ("gemini-3-pro-preview", "cli", {}, level("high")),
    ("gemini-2.5-pro", "cli", {**ENABLED, "max_tokens": 64_000}, budget(5_000)),
    ("gemini-2.5-pro", "cli", {**effort("xhigh"), "max_tokens": 64_000}, budget(32_768)),
    ("gemini-2.5-flash", "cli", {**effort("xhigh"), "max_tokens": 64_000}, budget(24_576)),
    ("gemini-2.5-flash", "cli", DISABLED, budget(0, thoughts=False)),
    ("gemini-2.5-pro", "cli", DISABLED, budget(128, thoughts=False)),
    ("gemini-2.5-flash", "cli", {}, budget(16_000)),
    ("gemini-2.5-flash", "cli", {"max_tokens": 64}, budget(128)),
    ("gemini-3-pro-preview", "gemini", {}, level("high")),
    ("gemini-3-pro-preview", "gemini", effort("medium"), level("high")),
    ("gemini-3-pro-preview", "gemini", DISABLED, level("low", thoughts=False)),
    ("gemini-3.1-pro-preview", "gemini", effort("medium"), level("medium")),
    ("gemini-3.1-pro-preview", "gemini", effort("minimal"), level("low")),
    ("gemini-3-flash-preview", "gemini", effort("medium"), level("medium")),
    ("gemini-3.5-flash", "gemini", DISABLED, level("minimal", thoughts=False)),
    ("gemini-3.6-flash-lite", "gemini", effort("low"), level("low")),
    ("gemini-3.1-flash-lite", "gemini", effort("low"), level("minimal")),
    ("gemini-3.1-flash-lite", "gemini", effort("medium"), level("high")),
    ("gemini-4-pro", "gemini", effort("minimal"), level("low")),
    ("gemini-4-pro", "gemini", effort("medium"), level("high")),
    ("gemini-4-flash", "gemini", DISABLED, level("low", thoughts=False)),
    ("gemini-2.5-pro", "gemini", {**effort("max"), "max_tokens": 64_000}, budget(32_768)),
    ("gemini-2.5-pro", "gemini", DISABLED, budget(128, thoughts=False)),
    ("gemini-2.5-flash", "gemini", {**effort("max"), "max_tokens": 64_000}, budget(24_576)),
    ("gemini-2.5-flash-lite", "gemini", {"max_tokens": 64}, budget(512)),
    ("gemini-2.5-flash-lite", "gemini", DISABLED, budget(0, thoughts=False)),
    ("gemini-2.9-experimental", "gemini", {}, budget(16_000)),
    ("gemini-2.0-flash", "gemini", ENABLED, None),
]


@pytest.mark.parametrize(("model", "mode", "fields", "config"), CELLS)
def test_thinking_config(
    model: str, mode: str, fields: dict[str, Any], config: dict[str, Any] | None
) -> None:
    request = translated(model=a_model(model, mode), **fields).request

    assert request["generationConfig"].get("thinkingConfig") == config


@pytest.mark.parametrize(
    ("max_tokens", "wanted", "max_output_tokens", "thinking_budget"),
    [
        (32_000, 31_999, 32_000, 31_999),  # Claude Code, as it is
        (16_000, 16_000, 24_192, 16_000),  # room for the answer is added
        (100, 10_000, 18_192, 10_000),
        (128_000, 64_000, 64_000, 62_976),  # up to what the model can do
        (64_000, 60_000, 64_000, 60_000),
        (50_000, 500, 50_000, 1_024),  # the least Claude takes
    ],
)
def test_max_tokens_is_above_the_budget_and_within_the_model(
    max_tokens: int, wanted: int, max_output_tokens: int, thinking_budget: int
) -> None:
    request = MessagesRequest("m", max_tokens, [], thinking={"type": "enabled", "budget_tokens": wanted})

    plan = plan_thinking(request, a_model(CLAUDE_THINKING), default_budget=1, default_level=None)

    assert plan.config == claude(thinking_budget)
    assert plan.max_output_tokens == max_output_tokens


def test_a_model_too_small_to_think_does_not() -> None:
    model = a_model(CLAUDE_THINKING, max_output_tokens=1_500)

    request = translated(model=model)

    assert request.request["generationConfig"] == {"maxOutputTokens": 1_500}
    assert not request.thinks


def test_the_operators_defaults_are_used() -> None:
    options = TranslationOptions(default_thinking_budget=2_000, default_thinking_level="medium")

    claude_request = translated(model=CLAUDE_THINKING, options=options).request
    gemini_request = translated(model=a_model("gemini-3-pro-preview", "cli"), options=options).request

    assert claude_request["generationConfig"]["thinkingConfig"] == claude(2_000)
    assert gemini_request["generationConfig"]["thinkingConfig"] == level("medium")


# --- effort changed within the conversation ---


def a_change(effort: Any, *content: Any) -> dict[str, Any]:
    return {"role": "system", "content": list(content), "output_config": {"effort": effort}}


CHANGED_EFFORTS = [
    ([a_change("low")], 4_096),
    ([a_change("low"), a_change("max")], 64_000),
    ([a_change("low"), user("go on"), assistant("so"), user("and?")], 4_096),
    ([a_change("low", a_text("Be quick."))], 4_096),
    ([a_change("low"), {"role": "system", "content": "Be brief."}], 4_096),
    ([a_change("low"), {"role": "system", "content": "Be brief.", "output_config": {}}], 4_096),
    ([a_change(None)], 24_000),
    ([{"role": "user", "content": "hi", "output_config": {"effort": "low"}}], 24_000),
    ([], 24_000),
]


@pytest.mark.parametrize(("messages", "tokens"), CHANGED_EFFORTS)
def test_the_last_system_message_with_an_effort_decides(messages: list[dict[str, Any]], tokens: int) -> None:
    """Claude Code sends an empty one when the user changes the effort (beta per-turn-control-2026-07-01)."""
    request = MessagesRequest("m", 128_000, [user("hi"), *messages], **effort("high"))

    plan = plan_thinking(
        request, a_model(CLAUDE_THINKING, max_output_tokens=128_000), default_budget=1, default_level=None
    )

    assert plan.config == claude(tokens)


def test_a_changed_effort_is_geminis_level() -> None:
    request = MessagesRequest("m", 9_000, [user("hi"), a_change("low")], **effort("high"))

    plan = plan_thinking(
        request, a_model("gemini-3-pro-preview", "cli"), default_budget=1, default_level=None
    )

    assert plan.config == level("low")


# --- when Claude cannot think (5.6, 7.6) ---


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_claude_does_not_think_before_a_forced_call(choice: dict[str, Any]) -> None:
    request = translated(model=CLAUDE_THINKING, tools=[a_tool()], tool_choice=choice).request

    assert "thinkingConfig" not in request["generationConfig"]
    assert request["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"


LOOPS = [
    ("signed", [assistant(a_thinking(), a_tool_use()), user(a_tool_result())], True),
    ("no thinking", [assistant(a_tool_use()), user(a_tool_result())], False),
    ("unsigned", [assistant(a_thinking(signature=""), a_tool_use()), user(a_tool_result())], False),
    (
        "of Gemini",
        [assistant(a_thinking(signature="gemini#" + "A" * 60), a_tool_use()), user(a_tool_result())],
        False,
    ),
    ("interrupted", [assistant(a_tool_use()), user("stop")], False),
    ("ended", [assistant(a_tool_use()), user(a_tool_result()), assistant("done"), user("next")], True),
    (
        "began unsigned",
        [
            assistant(a_tool_use("a")),
            user(a_tool_result("a")),
            assistant(a_thinking(), a_tool_use("b")),
            user(a_tool_result("b")),
        ],
        False,
    ),
    ("open at the end", [assistant(a_tool_use())], False),
    ("no tools", [assistant("ho"), user("he")], True),
]


@pytest.mark.parametrize(("messages", "thinks"), [row[1:] for row in LOOPS], ids=[row[0] for row in LOOPS])
def test_claude_keeps_thinking_in_a_loop_with_thinking(messages: Any, thinks: bool) -> None:
    request = translated(user("hi"), *messages, model=CLAUDE_THINKING)

    assert request.thinks is thinks
    assert ("thinkingConfig" in request.request["generationConfig"]) is thinks


def test_a_loop_from_the_start_may_keep_thinking() -> None:
    assert translated(
        assistant(a_thinking(), a_tool_use()), user(a_tool_result()), model=CLAUDE_THINKING
    ).thinks


def test_with_thinking_off_nothing_is_invented_and_no_thinking_is_sent() -> None:
    blocks = [a_thinking(), a_text("x"), a_tool_use("a")]
    loop = [
        user("hi"),
        assistant(*blocks),
        user(a_tool_result("a")),
        assistant(a_tool_use("b")),
        user(a_tool_result("b")),
    ]

    contents = translated(*loop, model=CLAUDE_THINKING).request["contents"]

    assert len(contents) == 5
    assert not any("thought" in part for content in contents for part in content["parts"])


def test_gemini_needs_no_recovery() -> None:
    loop = [user("hi"), assistant(a_tool_use()), user(a_tool_result())]

    request = translated(*loop, model="gemini-3-flash")

    assert request.thinks
    assert len(request.request["contents"]) == 3


# --- sampling beside thinking ---


def test_with_thinking_claude_gets_no_other_sampling() -> None:
    config = translated(model=CLAUDE_THINKING, temperature=1, top_p=0.5, top_k=40).request["generationConfig"]

    assert set(config) == {"maxOutputTokens", "thinkingConfig"}
    assert translated(model=CLAUDE_THINKING, top_p=0.97).request["generationConfig"]["topP"] == 0.97
