"""Chunks that contain nothing but text, as objects with types. Most chunks of an answer are such, and reading
one as a TextChunk takes half the time of a dict, with nothing left to check.

The types reject whatever matters besides the text and the finish reason: fields of a part other than ``text``
and ``thought``, a second part or candidate, an empty text, half of a surrogate pair, sources, a refused
prompt, an error, a count that is no number. Fields that the gateway never reads are skipped.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from gateway.google_api.content import Chunk, text_part, thought_part

Missing = Annotated[str, msgspec.Meta(min_length=1, max_length=0)]
"""The type of a field that has to be missing: no value is valid."""


class TextPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: Annotated[str, msgspec.Meta(min_length=1)]
    thought: bool = False


class TextContent(msgspec.Struct, gc=False):
    parts: tuple[TextPart]


class TextCandidate(msgspec.Struct, rename="camel", gc=False):
    content: TextContent
    index: Literal[0] = 0
    finish_reason: str | None = None
    grounding_metadata: Missing = ""


LARGEST_COUNT = 2**40
"""Larger counts of tokens are an error of the upstream's and would distort every sum."""
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]


class TokenCounts(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True, gc=False):
    """Google's usageMetadata: the fields that the gateway reads. A missing count is None."""

    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    thoughts_token_count: Count | None = None


class TextChunk(msgspec.Struct, rename="camel", gc=False):
    """A chunk of text as the Gemini API sends it; Cloud Code wraps it in a member ``response``."""

    candidates: tuple[TextCandidate]
    usage_metadata: TokenCounts = TokenCounts()
    response_id: Any = None
    prompt_feedback: Missing = ""
    error: Missing = ""

    def as_chunk(self) -> Chunk:
        """Return the chunk as a dict, with the fields that the gateway reads."""
        candidate = self.candidates[0]
        part = candidate.content.parts[0]
        content = {"parts": [thought_part(part.text) if part.thought else text_part(part.text)]}
        return {
            "candidates": [{"content": content, "finishReason": candidate.finish_reason}],
            "usageMetadata": msgspec.to_builtins(self.usage_metadata),
            "responseId": self.response_id,
        }


class WrappedTextChunk(msgspec.Struct, gc=False):
    response: TextChunk
    error: Missing = ""


NOT_ONLY_TEXT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Raised by the two functions below for any other chunk, and for invalid JSON."""

read_text_chunk = msgspec.json.Decoder(TextChunk).decode
read_wrapped_text_chunk = msgspec.json.Decoder(WrappedTextChunk).decode
WRAPPER = b'"response":'
"""Part of each wrapped chunk. In a text, quotes are escaped."""
