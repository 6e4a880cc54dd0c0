"""Parsing of model names in all their spellings. Pure.

Clients use names from other providers: `claude-sonnet-4-5` is `claude-sonnet-4-5@20250929` at Vertex AI,
`us.anthropic.claude-sonnet-4-5-20250929-v1:0` at Bedrock and `anthropic/claude-sonnet-4.5` at OpenRouter.
tests/gateway/routing/test_names.py lists the spellings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.routing.upstream_model import claude_version, strip_client_suffix

ALIAS_PREFIX = "claude-code/"
SHOWN_BY_CLAUDE_CODE = ("claude", "anthropic")
"""Claude Code's model picker shows only names with one of these words; other models get the prefix."""

CLAUDE_KINDS = ("opus", "sonnet", "haiku", "fable", "mythos")
LEVELS = ("high", "medium", "low", "minimal")

Version = tuple[int, int]

# Dates, revisions and other suffixes that do not identify a model.
_NOISE = re.compile(r"-(?:20\d{6}|latest|thinking|v\d+|\d{3}|(?:preview|exp)-\d\d-\d{2,4})(?![^-])")
_TAIL = re.compile(r"-(high|medium|low|minimal|preview|exp|customtools)$")
_GEMINI = re.compile(
    r"gemini-(?:(\d{1,2})(?:[.-](\d{1,2}))?-)?(pro|flash-lite|flash)(?![a-z])"
    r"(?!.*(?:image|audio|tts|live|embedding|robotics|computer))"
)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A parsed name. ``canonical`` is the same for all spellings of one model, at any level, with or without
    thinking.

    ``kind`` is "sonnet", "gemini-pro" and the like, "" when unknown; ``version`` likewise. ``level`` is
    "high", "preview" and the like, or "".
    """

    canonical: str
    kind: str = ""
    version: Version | None = None
    level: str = ""
    thinking: bool = False


@lru_cache(maxsize=1024)
def plain_name(client_name: str) -> str:
    """Return the name without the client's own parts: a suffix such as [1m], and the prefix of an alias."""
    return strip_client_suffix(client_name).removeprefix(ALIAS_PREFIX)


def alias_of(name: str) -> str:
    """Return the name under which Claude Code shows the model in its picker."""
    shown = any(word in name.lower() for word in SHOWN_BY_CLAUDE_CODE)
    return name if shown else f"{ALIAS_PREFIX}{name}"


@lru_cache(maxsize=1024)
def parse_model_name(name: str) -> ModelName:
    text = strip_client_suffix(name).lower().strip("/").rpartition("/")[2]
    text, _, variant = text.partition(":")
    text = text.partition("@")[0]
    thinking = variant == "thinking" or "-thinking" in text
    base, level = _without_level(_NOISE.sub("", text))
    kind, version = _kind_and_version(base)
    canonical = f"{kind}-{version[0]}.{version[1]}" if kind and version else base
    return ModelName(canonical, kind, version, level, thinking)


def _without_level(text: str) -> tuple[str, str]:
    level = ""
    while found := _TAIL.search(text):
        text = text[: found.start()]
        level = found[1] if found[1] in LEVELS else level or "preview"
    return text, level


def _kind_and_version(base: str) -> tuple[str, Version | None]:
    for kind in CLAUDE_KINDS:
        if kind in base:
            return kind, claude_version(base)
    found = _GEMINI.search(base)
    return (f"gemini-{found[3]}", _version(found)) if found else ("", None)


def _version(found: re.Match[str]) -> Version | None:
    return (int(found[1]), int(found[2] or 0)) if found[1] else None
