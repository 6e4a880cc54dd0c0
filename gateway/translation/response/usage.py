"""Google's usageMetadata into Anthropic's usage.

Google counts cached tokens within the prompt, Anthropic beside it. Thinking is output in both, but Google
counts it apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = (
    ("promptTokenCount", "prompt_tokens"),
    ("cachedContentTokenCount", "cached_tokens"),
    ("candidatesTokenCount", "visible_tokens"),
    ("thoughtsTokenCount", "thinking_tokens"),
)


LARGEST_COUNT = 2**40
"""More tokens than that are a mistake of the upstream's, and would spoil every sum."""


class Tokens(NamedTuple):
    """As reported; nothing is estimated. Anthropic's sense: the input is without what came from the cache,
    the output includes thinking."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    thinking: int = 0

    @classmethod
    def sum(cls, each: Iterable[Tokens]) -> Tokens:
        return cls(*(min(sum(counts), LARGEST_COUNT) for counts in zip(*each, strict=True)))

    @property
    def all_input(self) -> int:
        """What people mean by input: also what came from the cache."""
        return self.input + self.cache_read

    def as_shown(self) -> dict[str, int]:
        """For JSON: all input, and the part of it that came from the cache; likewise output and thinking."""
        return {
            "input_tokens": self.all_input,
            "cached_tokens": self.cache_read,
            "output_tokens": self.output,
            "thinking_tokens": self.thinking,
        }


NO_TOKENS = Tokens()


class TokenUsage:
    """What the answer has cost so far. Each chunk repeats the whole, so the latest number counts."""

    __slots__ = (
        "_estimate",
        "_latest",
        "cached_tokens",
        "prompt_tokens",
        "raw_estimate",
        "thinking_tokens",
        "visible_tokens",
    )

    def __init__(self, input_token_estimate: int, raw_estimate: int = 0) -> None:
        """``raw_estimate`` is what ``prompt_tokens`` will be compared with; 0 for nothing."""
        self.raw_estimate = raw_estimate
        self._estimate = max(1, input_token_estimate)
        self._latest: dict[str, Any] = {}
        self.prompt_tokens: int | None = None
        self.cached_tokens = 0
        self.visible_tokens = 0
        self.thinking_tokens = 0

    def merge(self, usage_metadata: dict[str, Any]) -> None:
        if usage_metadata == self._latest:
            return  # as for most chunks of a stream
        self._latest = usage_metadata
        for theirs, ours in _FIELDS:
            value = usage_metadata.get(theirs)
            if isinstance(value, int) and value >= 0:
                setattr(self, ours, min(value, LARGEST_COUNT))

    @property
    def input_tokens(self) -> int:
        """Estimated until Google has told."""
        if self.prompt_tokens is None:
            return self._estimate
        return max(0, self.prompt_tokens - self.cached_tokens)

    @property
    def output_tokens(self) -> int:
        return self.visible_tokens + self.thinking_tokens

    @property
    def cache_read_input_tokens(self) -> int:
        return self.cached_tokens

    @property
    def reported(self) -> Tokens:
        prompt = self.prompt_tokens or 0
        return Tokens(
            max(0, prompt - self.cached_tokens),
            min(self.output_tokens, LARGEST_COUNT),
            self.cached_tokens,
            self.thinking_tokens,
        )

    def as_anthropic(self) -> dict[str, Any]:
        """All four numbers each time, as clients overwrite what they have with what they get."""
        usage: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
        }
        if self.thinking_tokens:
            usage["output_tokens_details"] = {"thinking_tokens": self.thinking_tokens}
        return usage
