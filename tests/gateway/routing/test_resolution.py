from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.offers import ModelOffer
from gateway.routing.names import plain_name
from gateway.routing.resolution import fallback_chain, offered_in_cli, resolve, visible

OFFERED = [
    "claude-opus-4-5-thinking",
    "claude-opus-4-6-thinking",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-thinking",
    "claude-sonnet-4-6",
    "claude-sonnet-4-6-thinking",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-3-flash",
    "gemini-3-pro-image",
    "gemini-3.1-pro-high",
    "gemini-3.1-pro-low",
    "gpt-oss-120b-medium",
    "tab_flash_lite_preview",
]

PIECES = [
    *("claude", "gemini", "gpt", "opus", "sonnet", "pro", "flash", "lite", "thinking", "high", "preview"),
    *("latest", "v1", "claude-code/", "anthropic.", "20250929", "[1m]"),
    *("-", "-", "-", "/", ":", "@", ".", "4", "5", "\u0664"),
]


@pytest.mark.parametrize(
    ("client_name", "thinking", "upstream_id"),
    [
        ("claude-opus-5-5", True, "claude-opus-4-6-thinking"),
        ("claude-opus-5-5", False, "claude-opus-4-6-thinking"),  # has no plain sibling here
        ("claude-sonnet-5-5", True, "claude-sonnet-4-6-thinking"),
        ("claude-sonnet-5-5", None, "claude-sonnet-4-6"),
        ("claude-haiku-5-5", None, "gemini-3-flash"),
        ("claude-3-5-sonnet-20241022", None, "claude-sonnet-4-5"),  # the nearest
        ("claude-opus-4-5", None, "claude-opus-4-5-thinking"),
        ("claude-opus-4-1-20250805", None, "claude-opus-4-5-thinking"),
        ("anthropic/claude-sonnet-4.5", None, "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5:thinking", None, "claude-sonnet-4-5-thinking"),
        ("anthropic/claude-sonnet-4.5:thinking", False, "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", True, "claude-sonnet-4-5-thinking"),
        ("claude-fable-5", None, "claude-opus-4-6-thinking"),
        ("sonnet", None, "claude-sonnet-4-6"),
        ("Gemini-3-Flash", None, "gemini-3-flash"),
        ("claude-code/gemini-3-flash", None, "gemini-3-flash"),
        ("models/gemini-2.5-flash", None, "gemini-2.5-flash"),
        ("google/gemini-3.1-pro-preview", None, "gemini-3.1-pro-low"),
        ("gemini-3.1-pro-medium", None, "gemini-3.1-pro-low"),
        ("gemini-1.5-pro", None, "gemini-3.1-pro-low"),
        ("gemini-3.5-flash-lite", None, "gemini-2.5-flash-lite"),
        ("gemini-flash-latest", None, "gemini-3-flash"),
        ("openai/gpt-oss-120b", None, "gpt-oss-120b-medium"),
        ("google/gemini-embedding-001", None, "google/gemini-embedding-001"),
        ("sonnet" * 100, None, "sonnet" * 100),
        ("claude-sonnet-4-5-20250929", None, "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", True, "claude-sonnet-4-5-thinking"),
        ("claude-sonnet-4-5-thinking", None, "claude-sonnet-4-5-thinking"),
        ("claude-sonnet-4-5-thinking", False, "claude-sonnet-4-5"),
        ("claude-sonnet-4-5[1m]", None, "claude-sonnet-4-5"),
        ("CLAUDE-OPUS-LATEST", True, "claude-opus-4-6-thinking"),
        ("gemini-3.1-pro-low", True, "gemini-3.1-pro-low"),
        ("gpt-oss-120b-medium", None, "gpt-oss-120b-medium"),
        ("my-own-name", None, "my-own-name"),
        (" gemini-3-flash ", None, "gemini-3-flash"),
    ],
)
def test_a_client_name_resolves(client_name: str, thinking: bool | None, upstream_id: str) -> None:
    assert resolve(client_name, OFFERED, thinking) == upstream_id


@pytest.mark.parametrize(
    ("client_name", "offered", "upstream_id"),
    [
        ("claude-opus-5-5", ["claude-sonnet-4-6", "gemini-3.1-pro-high"], "claude-sonnet-4-6"),
        ("claude-opus-5-5", ["gemini-3.1-pro-low", "gemini-3.1-pro-high"], "gemini-3.1-pro-high"),
        ("claude-sonnet-5-5", ["claude-opus-4-6-thinking"], "claude-opus-4-6-thinking"),
        ("claude-sonnet-5-5", ["gemini-2.5-pro", "gemini-3-flash"], "gemini-2.5-pro"),
        ("claude-haiku-5-5", ["claude-opus-4-6", "claude-sonnet-4-6"], "claude-sonnet-4-6"),
        ("claude-haiku-5-5", ["claude-haiku-4-5", "gemini-3-flash"], "claude-haiku-4-5"),
        ("claude-opus-4-7", ["claude-opus-4-6", "claude-opus-5-5"], "claude-opus-4-6"),
        ("claude-opus-4-7", ["claude-opus-4-6", "claude-opus-4-8"], "claude-opus-4-8"),
        ("gemini-2.5-flash-lite", ["gemini-3-flash"], "gemini-3-flash"),
        ("claude-haiku-5-5", ["gpt-oss-120b-medium"], "claude-haiku-5-5"),
        ("claude-haiku-5-5", [], "claude-haiku-5-5"),
    ],
)
def test_the_next_best_kind_answers_when_one_is_missing(
    client_name: str, offered: list[str], upstream_id: str
) -> None:
    assert resolve(client_name, offered, thinking=True) == upstream_id


@given(
    name=st.one_of(
        st.text(max_size=300),
        st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    ),
    thinking=st.sampled_from([True, False, None]),
)
def test_any_name_is_a_model_on_offer_or_stays_itself(name: str, thinking: bool | None) -> None:
    found = resolve(name, OFFERED, thinking)

    assert found in OFFERED or found == plain_name(name)


@pytest.mark.parametrize(
    ("model_id", "substitutes"),
    [
        ("claude-opus-4-6-thinking", ["gemini-3.1-pro-high", "claude-sonnet-4-6"]),
        ("claude-sonnet-4-6", ["gemini-3-flash", "gemini-3.1-pro-high"]),
        ("gemini-3.1-pro-high", ["claude-opus-4-6-thinking", "claude-sonnet-4-6"]),
        ("gemini-3-flash", ["claude-sonnet-4-6"]),
        ("gpt-oss-120b-medium", []),
    ],
)
def test_other_kinds_step_in(model_id: str, substitutes: list[str]) -> None:
    assert fallback_chain(model_id, OFFERED, thinking=None) == substitutes


# Header mode cli has a list of its own


def an_offer(model_id: str, limit: int | None = None) -> ModelOffer:
    return ModelOffer(model_id, model_id, limit, limit, 1.0, None)


def test_in_mode_cli_the_models_of_both_lists_are_offered() -> None:
    listed = {
        one: an_offer(one, 1000) for one in ("claude-sonnet-4-6", "gemini-3-flash", "gemini-3.1-pro-low")
    }
    in_cli = {one: an_offer(one) for one in ("gemini-3-flash-preview", "gemini-2.5-pro")}

    offered = offered_in_cli(listed, in_cli)

    assert visible(offered) == ["claude-sonnet-4-6", "gemini-2.5-pro", "gemini-3-flash"]
    assert offered["gemini-3-flash-preview"].max_input_tokens == 1000
    assert resolve("gemini-3.1-pro-low", offered, thinking=None) == "gemini-2.5-pro"


def test_without_a_list_of_mode_cli_the_other_one_counts() -> None:
    listed = {"gemini-3.1-pro-low": an_offer("gemini-3.1-pro-low")}

    assert offered_in_cli(listed, {}) == listed


def test_googles_internal_models_are_not_shown() -> None:
    assert visible(["tab_flash_lite_preview", "chat_20706", "gemini-3-flash"]) == ["gemini-3-flash"]
