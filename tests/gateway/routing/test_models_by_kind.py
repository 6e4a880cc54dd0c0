"""Which model each kind of account is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts.offers import ModelOffer
from gateway.routing.models_by_kind import models_by_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

GOOGLE = ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4-5-thinking", "gemini-3-pro-high")
ANTHROPIC = ("claude-sonnet-4-5-20250929", "claude-opus-5-5", "claude-sonnet-4-6")
GEMINI = ("gemini-3-pro-preview", "gemini-2.5-flash")
COMPATIBLE = ("qwen3-coder:30b", "anthropic/claude-sonnet-4.6")


def sent(
    name: str, *, is_routed: bool = False, thinking: bool | None = None, **lists: tuple[str, ...]
) -> dict[str, str]:
    offers: Mapping[str, Mapping[str, ModelOffer]] = {
        kind: {model_id: ModelOffer(model_id, model_id, None, None, None, None) for model_id in ids}
        for kind, ids in lists.items()
    }
    models = models_by_kind(name, offers, is_routed=is_routed, thinking=thinking, mode="antigravity")
    return {kind: model.sent_id for kind, model in models.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "claude-sonnet-4-6",
            {
                "google": "claude-sonnet-4-6",
                "anthropic": "claude-sonnet-4-6",
                "compatible": "anthropic/claude-sonnet-4.6",
            },
        ),
        (
            "claude-sonnet-4-5",
            {"google": "claude-sonnet-4-5", "anthropic": "claude-sonnet-4-5-20250929"},
        ),
        (
            "claude-sonnet-4-5-20250929",
            {"google": "claude-sonnet-4-5", "anthropic": "claude-sonnet-4-5-20250929"},
        ),
        ("claude-opus-5-5", {"anthropic": "claude-opus-5-5"}),
        ("claude-opus-5-5[1m]", {"anthropic": "claude-opus-5-5"}),
        ("gemini-3-pro-high", {"google": "gemini-3-pro-high", "gemini": "gemini-3-pro-preview"}),
        ("qwen3-coder:30b", {"compatible": "qwen3-coder:30b"}),
    ],
)
def test_whoever_offers_the_model_is_asked(name: str, expected: dict[str, str]) -> None:
    assert sent(name, google=GOOGLE, gemini=GEMINI, anthropic=ANTHROPIC, compatible=COMPATIBLE) == expected


def test_a_substitute_steps_in_only_where_no_kind_has_the_model() -> None:
    assert sent("claude-sonnet-4-5", google=("claude-sonnet-4-6",), anthropic=ANTHROPIC) == {
        "anthropic": "claude-sonnet-4-5-20250929"
    }
    assert sent("claude-sonnet-4-7", google=("claude-sonnet-4-6",), anthropic=ANTHROPIC) == {
        "google": "claude-sonnet-4-6",
        "anthropic": "claude-sonnet-4-6",
    }
    assert sent("claude-opus-5-5", gemini=GEMINI) == {"gemini": "gemini-3-pro-preview"}


def test_thinking_is_part_of_the_name_at_google_only() -> None:
    assert sent("claude-sonnet-4-5", thinking=True, google=GOOGLE, anthropic=ANTHROPIC) == {
        "google": "claude-sonnet-4-5-thinking",
        "anthropic": "claude-sonnet-4-5-20250929",
    }


def test_a_route_names_a_model_for_whoever_offers_it() -> None:
    assert sent("qwen3-coder:30b", is_routed=True, google=GOOGLE, compatible=COMPATIBLE) == {
        "compatible": "qwen3-coder:30b"
    }


def test_the_newest_date_answers_a_name_without_one() -> None:
    dated = ("claude-sonnet-4-20250514", "claude-sonnet-4-20251001")

    assert sent("claude-sonnet-4", anthropic=dated) == {"anthropic": "claude-sonnet-4-20251001"}
    assert sent("claude-sonnet-4-20250514", anthropic=dated) == {"anthropic": "claude-sonnet-4-20250514"}


def test_an_unknown_name_is_asked_as_it_is_but_not_of_compatible_servers() -> None:
    assert sent("my-model", google=GOOGLE, compatible=COMPATIBLE) == {"google": "my-model"}
    assert sent("my-model", compatible=COMPATIBLE) == {}
    assert sent("my-model", compatible=()) == {"compatible": "my-model"}
