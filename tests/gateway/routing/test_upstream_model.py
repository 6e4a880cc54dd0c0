from __future__ import annotations

from typing import Any

import pytest

from gateway.routing.upstream_model import (
    claude_version,
    family_of,
    gemini_version,
    is_thinking_model,
    strip_client_suffix,
)
from tests.builders import a_model


@pytest.mark.parametrize(
    ("given", "stripped"),
    [
        ("m[1m]", "m"),
        (" m[200K] ", "m[200K]"),
        ("m[1M]", "m"),
        ("m[2h]", "m"),
        ("m[1d]", "m"),
        ("m", "m"),
        ("m[x]", "m[x]"),
    ],
)
def test_the_suffix_of_the_client_is_stripped(given: str, stripped: str) -> None:
    assert strip_client_suffix(given) == stripped


@pytest.mark.parametrize(
    ("model", "family", "thinks"),
    [
        ("claude-sonnet-4-5", "claude", False),
        ("Claude-Opus-4-6-Thinking", "claude", True),
        ("gemini-2.5-pro", "gemini", False),
        ("gemini-2.5-flash-thinking", "gemini", True),
        ("gemini-3-flash", "gemini", True),
        ("gemini-3.1-pro-high", "gemini", True),
        ("gemini-10-pro", "gemini", True),
        ("gpt-oss-120b-medium", "gpt", False),
        ("chat_20706", "unknown", False),
    ],
)
def test_family_and_thinking_are_told_by_the_name(model: str, family: str, thinks: bool) -> None:
    assert family_of(model) == family
    assert is_thinking_model(model) is thinks


@pytest.mark.parametrize(
    ("model", "version"),
    [("gemini-3-flash", (3, 0)), ("gemini-3.1-pro-low", (3, 1)), ("gemini-exp", (0, 0)), ("gpt", (0, 0))],
)
def test_geminis_version(model: str, version: Any) -> None:
    assert gemini_version(model) == version


@pytest.mark.parametrize(
    ("model", "mode", "name", "level"),
    [
        ("gemini-3-pro", "cli", "gemini-3-pro-preview", None),
        ("gemini-3-pro-low", "cli", "gemini-3-pro-preview", "low"),
        ("gemini-3-pro-medium", "cli", "gemini-3-pro-preview", "medium"),
        ("gemini-3-pro-high[1m]", "cli", "gemini-3-pro-preview", "high"),
        ("gemini-3-flash", "cli", "gemini-3-flash-preview", None),
        ("gemini-3-flash-minimal", "cli", "gemini-3-flash-preview", "minimal"),
        ("gemini-3-pro-image-preview", "cli", "gemini-3-pro-image", None),
        ("gemini-3-pro-preview", "cli", "gemini-3-pro-preview", None),
        ("gemini-3.1-pro-high", "cli", "gemini-3.1-pro-preview", "high"),
        ("gemini-3.9-pro-high", "cli", "gemini-3.9-pro-high", "high"),
        ("gemini-2.5-pro", "cli", "gemini-2.5-pro", None),
        ("gemini-3-pro", "antigravity", "gemini-3-pro-low", None),
        ("gemini-3-pro-preview", "antigravity", "gemini-3-pro-low", None),
        ("gemini-3-pro-high", "antigravity", "gemini-3-pro-high", None),
        ("gemini-3-flash", "antigravity", "gemini-3-flash", None),
    ],
)
def test_gemini_has_other_names_in_each_header_mode(
    model: str, mode: str, name: str, level: str | None
) -> None:
    upstream = a_model(model, mode)

    assert (upstream.sent_id, upstream.thinking_level, upstream.header_mode) == (name, level, mode)


@pytest.mark.parametrize(
    ("model", "mode", "listed_id"),
    [
        ("gemini-3-flash", "cli", "gemini-3-flash"),
        ("gemini-3-pro-high[1m]", "cli", "gemini-3-pro-high"),
        ("gemini-3-flash", "antigravity", "gemini-3-flash"),
        ("gemini-3-pro", "antigravity", "gemini-3-pro-low"),
        ("claude-sonnet-4-6", "cli", "claude-sonnet-4-6"),
    ],
)
def test_the_listed_name_is_kept_beside_the_sent_one(model: str, mode: str, listed_id: str) -> None:
    assert a_model(model, mode).listed_id == listed_id


def test_models_sent_under_one_name_share_a_quota() -> None:
    keys = {a_model(model, "cli").quota_key for model in ("gemini-3-pro-low", "gemini-3-pro-high")}

    assert keys == {"gemini-3-pro-preview:cli"}


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-oss-120b-medium", "chat_20706"])
def test_other_families_exist_in_antigravity_mode_only(model: str) -> None:
    assert a_model(model, "cli").header_mode == "antigravity"


def test_known_limits_win_over_the_defaults() -> None:
    model = a_model("claude-sonnet-4-5", max_output_tokens=1_000, max_input_tokens=2_000)

    assert (model.max_output_tokens, model.max_input_tokens) == (1_000, 2_000)


def test_the_context_suffix_never_reaches_google() -> None:
    assert a_model("gemini-3-pro-preview[1m]", "cli").sent_id == "gemini-3-pro-preview"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-sonnet-4-5", (4, 5)),
        ("claude-opus-4-6-thinking", (4, 6)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-3-5-sonnet-20241022", (3, 5)),
        ("claude-haiku-4.5", (4, 5)),
        ("claude-opus-5", (5, 0)),
        ("claude-mythos-preview", None),
        ("claude-latest-20250514", None),
    ],
)
def test_the_version_of_claude_is_told_by_the_name(name: str, version: tuple[int, int] | None) -> None:
    assert claude_version(name) == version


def test_a_model_of_another_kind_is_sent_as_listed() -> None:
    model = a_model("gemini-3-pro-high", "gemini")

    assert (model.listed_id, model.sent_id, model.thinking_level) == ("gemini-3-pro-high",) * 2 + (None,)
    assert model.quota_key == "gemini-3-pro-high:gemini"
