"""Anthropic's usage as far as it can be trusted: counts that are no whole numbers are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LARGEST_COUNT = 2**40


@dataclass(slots=True)
class Counts:
    """Tokens so far. `input` excludes what was read from or written to the cache."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` that is kept for an hour, which costs more."""
    output: int = 0
    thinking: int = 0
    """The part of `output` that is thinking, where it is told."""

    def merge(self, usage: object) -> None:
        """Take the counts that a usage has; in a stream each is cumulative. A server may tell 0 at first."""
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
    """A usage whose counts are whole numbers: clients stop at others. Without input tokens, which some
    servers tell at the end only, it has the estimate."""
    mended: dict[str, Any] = dict(usage) if isinstance(usage, dict) else {}
    for name in [name for name in mended if name.endswith("_tokens") and count(mended, name) is None]:
        del mended[name]
    mended["input_tokens"] = mended.get("input_tokens") or input_estimate
    mended.setdefault("output_tokens", 0)
    return mended
