"""Anthropic's usage, without counts that are not whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LARGEST_COUNT = 2**40


@dataclass(slots=True)
class Counts:
    """The tokens counted so far. `input` excludes those read from or written to the cache."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` that is cached for an hour, which costs more."""
    output: int = 0
    thinking: int = 0
    """The part of `output` that is thinking; 0 when the server does not report it."""

    def merge(self, usage: object) -> None:
        """Take over the counts in a usage; in a stream they are cumulative. A missing count or 0 keeps the
        earlier one, since some servers begin with 0."""
        if not isinstance(usage, dict):
            return
        self.input = count(usage, "input_tokens") or self.input
        self.cache_read = count(usage, "cache_read_input_tokens") or self.cache_read
        self.cache_write = count(usage, "cache_creation_input_tokens") or self.cache_write
        self.cache_write_1h = (
            count(usage.get("cache_creation"), "ephemeral_1h_input_tokens") or self.cache_write_1h
        )
        self.output = count(usage, "output_tokens") or self.output
        self.thinking = count(usage.get("output_tokens_details"), "thinking_tokens") or self.thinking

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write


def count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return min(int(value), LARGEST_COUNT) if is_count and value is not None else None


def mended_usage(usage: object, input_estimate: int) -> dict[str, Any]:
    """Return the usage with whole numbers only, because clients fail at others. `input_estimate` stands in
    for missing input tokens, which some servers report only at the end."""
    mended: dict[str, Any] = dict(usage) if isinstance(usage, dict) else {}
    for name in [name for name in mended if name.endswith("_tokens") and count(mended, name) is None]:
        del mended[name]
    mended["input_tokens"] = mended.get("input_tokens") or input_estimate
    mended.setdefault("output_tokens", 0)
    return mended
