"""Translation of Google's usageMetadata into Anthropic's usage.

Google counts cached tokens as part of the prompt, Anthropic does not. Thinking is output in both, but Google
counts it separately.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.google_api.text_chunks import LARGEST_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.google_api.text_chunks import TokenCounts

_INTEGERS = (int, bool)


class Tokens(NamedTuple):
    """Tokens as reported, none estimated. As in Anthropic's usage, the input excludes tokens read from the
    cache and the output includes thinking."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    thinking: int = 0

    @classmethod
    def sum(cls, each: Iterable[Tokens]) -> Tokens:
        return cls(*(min(sum(counts), LARGEST_COUNT) for counts in zip(*each, strict=True)))

    @property
    def all_input(self) -> int:
        """All input tokens, including those read from the cache."""
        return self.input + self.cache_read

    def as_shown(self) -> dict[str, int]:
        """Return counts for JSON: all input and its cached part, all output and its thinking part."""
        return {
            "input_tokens": self.all_input,
            "cached_tokens": self.cache_read,
            "output_tokens": self.output,
            "thinking_tokens": self.thinking,
        }


NO_TOKENS = Tokens()


class TokenUsage:
    """The usage of an answer so far. Each chunk repeats all counts, so the latest one is valid."""

    __slots__ = (
        "_estimate",
        "cache_writes",
        "cached_tokens",
        "prompt_tokens",
        "raw_estimate",
        "thinking_tokens",
        "visible_tokens",
    )

    def __init__(self, input_token_estimate: int, raw_estimate: int = 0) -> None:
        """``raw_estimate`` is compared with ``prompt_tokens`` to update the model's token ratio; 0 for no
        update."""
        self.raw_estimate = raw_estimate
        self._estimate = max(1, input_token_estimate)
        self.prompt_tokens: int | None = None
        self.cached_tokens = 0
        self.visible_tokens = 0
        self.thinking_tokens = 0
        self.cache_writes = (0, 0)
        """The parts of the prompt that were written to a cache for five minutes and for an hour. They are 0
        for Google, which does not charge for writing."""

    def merge(self, usage_metadata: Mapping[str, Any]) -> None:
        """Update the counts from the usageMetadata of one chunk, whatever it contains."""
        for name in usage_metadata:  # without calls: the counts differ in each chunk
            value = usage_metadata[name]
            if type(value) not in _INTEGERS or value < 0:
                continue
            count = value if value < LARGEST_COUNT else LARGEST_COUNT  # noqa: FURB136
            if name == "candidatesTokenCount":
                self.visible_tokens = count
            elif name == "promptTokenCount":
                self.prompt_tokens = count
            elif name == "cachedContentTokenCount":
                self.cached_tokens = count
            elif name == "thoughtsTokenCount":
                self.thinking_tokens = count

    def merge_counts(self, *each: TokenCounts) -> None:
        """Do the same for the counts of several chunks in order."""
        prompt = visible = cached = thinking = None
        for counts in reversed(each):  # until each count is known, which the last chunk often has all of
            if prompt is None:
                prompt = counts.prompt_token_count
            if visible is None:
                visible = counts.candidates_token_count
            if cached is None:
                cached = counts.cached_content_token_count
            if thinking is None:
                thinking = counts.thoughts_token_count
        if prompt is not None:
            self.prompt_tokens = prompt
        if visible is not None:
            self.visible_tokens = visible
        if cached is not None:
            self.cached_tokens = cached
        if thinking is not None:
            self.thinking_tokens = thinking

    @property
    def input_tokens(self) -> int:
        """Return the input tokens, estimated until Google reports them."""
        if self.prompt_tokens is None:
            return self._estimate
        tokens = self.prompt_tokens - self.cached_tokens
        return tokens if tokens > 0 else 0  # noqa: FURB136

    @property
    def output_tokens(self) -> int:
        return self.visible_tokens + self.thinking_tokens

    @property
    def reported(self) -> Tokens:
        prompt = self.prompt_tokens or 0
        return Tokens(
            max(0, prompt - self.cached_tokens),
            min(self.output_tokens, LARGEST_COUNT),
            self.cached_tokens,
            self.thinking_tokens,
        )

    def as_anthropic(self, *, is_at_start: bool = False) -> dict[str, Any]:
        """Return all four counts each time: clients replace the whole usage with the latest. There is no
        output yet at the start of a message."""
        usage: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": self.cached_tokens,
            "output_tokens": 0 if is_at_start else self.visible_tokens + self.thinking_tokens,
        }
        if self.thinking_tokens and not is_at_start:
            usage["output_tokens_details"] = {"thinking_tokens": self.thinking_tokens}
        return usage
