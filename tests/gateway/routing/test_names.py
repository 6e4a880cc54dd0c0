"""Spellings of model names as other tools' documentation, configuration and bug reports have them."""

from __future__ import annotations

import pytest

from gateway.routing.names import parse_model_name, plain_name

# Where it is written so, the name, and what it means: the kind with its version, level, thinking.
SPELLINGS = [
    ("Anthropic", "claude-sonnet-4-5-20250929", "sonnet-4.5", "", False),
    ("Anthropic", "claude-3-5-sonnet-latest", "sonnet-3.5", "", False),
    ("Anthropic", "claude-3-7-sonnet-20250219", "sonnet-3.7", "", False),
    ("Anthropic", "claude-opus-4-0", "opus-4.0", "", False),
    ("Anthropic", "claude-opus-4-20250514", "opus-4.0", "", False),
    ("Anthropic", "claude-fable-5-2", "fable-5.2", "", False),
    ("goose", "claude-sonnet-4-latest", "sonnet-4.0", "", False),
    ("Claude Code", "claude-opus-5-5[1m]", "opus-5.5", "", False),
    ("Claude Code", "sonnet", "sonnet", "", False),
    ("Claude Code", "sonnet4", "sonnet-4.0", "", False),
    ("Vertex AI", "claude-sonnet-4-5@20250929", "sonnet-4.5", "", False),
    ("Vertex AI", "claude-3-5-sonnet-v2@20241022", "sonnet-3.5", "", False),
    ("Vertex AI", "publishers/anthropic/models/claude-opus-4-6@default", "opus-4.6", "", False),
    ("Vertex AI", "publishers/google/models/gemini-2.5-pro", "gemini-pro-2.5", "", False),
    ("Bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet-4.5", "", False),
    ("Bedrock", "apac.anthropic.claude-3-5-sonnet-20241022-v2:0", "sonnet-3.5", "", False),
    ("Bedrock", "global.anthropic.claude-opus-4-6-v1", "opus-4.6", "", False),
    ("Bedrock", "anthropic.claude-3-sonnet-20240229-v1:0:200k", "sonnet-3.0", "", False),
    (
        "Bedrock",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "haiku-4.5",
        "",
        False,
    ),
    ("litellm", "bedrock/converse/us-gov.anthropic.claude-3-haiku-20240307-v1:0", "haiku-3.0", "", False),
    ("litellm", "vertex_ai/claude-opus-4-1@20250805", "opus-4.1", "", False),
    ("OpenRouter", "anthropic/claude-sonnet-4.5", "sonnet-4.5", "", False),
    ("OpenRouter", "anthropic/claude-3.7-sonnet:thinking", "sonnet-3.7", "", True),
    ("OpenRouter", "anthropic/claude-3-opus:beta", "opus-3.0", "", False),
    ("OpenRouter", "google/gemini-3-pro-preview", "gemini-pro-3.0", "preview", False),
    ("Helicone", "claude-4.5-sonnet:anthropic", "sonnet-4.5", "", False),
    ("Roo Code", "claude-sonnet-4-20250514:1m", "sonnet-4.0", "", False),
    ("SAP AI Core", "anthropic--claude-4.5-sonnet", "sonnet-4.5", "", False),
    ("CLIProxyAPI", "gemini-claude-opus-4-5-thinking", "opus-4.5", "", True),
    ("c2api", "claude-haiku-4-5-20251001-thinking", "haiku-4.5", "", True),
    ("Gemini API", "models/gemini-2.5-pro", "gemini-pro-2.5", "", False),
    ("Gemini API", "gemini-2.5-pro-preview-05-06", "gemini-pro-2.5", "", False),
    ("Gemini API", "gemini-2.5-flash-preview-09-2025", "gemini-flash-2.5", "", False),
    ("Gemini API", "gemini-2.0-flash-001", "gemini-flash-2.0", "", False),
    ("Gemini API", "gemini-2.5-flash-lite", "gemini-flash-lite-2.5", "", False),
    ("Gemini API", "gemini-flash-latest", "gemini-flash", "", False),
    ("Gemini API", "gemini-3.1-pro-preview-customtools", "gemini-pro-3.1", "preview", False),
    ("Gemini API", "gemini-2.5-flash-preview-tts", "gemini-2.5-flash-preview-tts", "", False),
    ("Gemini API", "gemini-3-pro-image-preview", "gemini-3-pro-image", "preview", False),
    ("Antigravity", "gemini-3.1-pro-high", "gemini-pro-3.1", "high", False),
    ("Antigravity", "gemini-2.5-flash-thinking", "gemini-flash-2.5", "", True),
    ("Antigravity", "gpt-oss-120b-medium", "gpt-oss-120b", "medium", False),
    ("OpenRouter", "openai/gpt-oss-120b:free", "gpt-oss-120b", "", False),
    ("by hand", "Gemini-3-Flash", "gemini-flash-3.0", "", False),
    ("by hand", " CLAUDE-OPUS-LATEST ", "claude-opus", "", False),
    ("by hand", "my-own-name", "my-own-name", "", False),
    ("by hand", "", "", "", False),
]


@pytest.mark.parametrize(
    ("name", "canonical", "level", "thinking"),
    [row[1:] for row in SPELLINGS],
    ids=[f"{where}: {name}" for where, name, *_ in SPELLINGS],
)
def test_one_model_is_read_from_every_spelling(name: str, canonical: str, level: str, thinking: bool) -> None:
    found = parse_model_name(name)

    assert (found.canonical, found.level, found.thinking) == (canonical, level, thinking)


@pytest.mark.parametrize(
    ("client_name", "plain"),
    [
        ("claude-code/gemini-2.5-pro", "gemini-2.5-pro"),
        (" claude-opus-5-5[1m] ", "claude-opus-5-5"),
        ("google/gemini-2.5-pro", "google/gemini-2.5-pro"),
    ],
)
def test_what_is_for_the_client_only_is_removed(client_name: str, plain: str) -> None:
    assert plain_name(client_name) == plain
