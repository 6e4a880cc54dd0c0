"""Decides which thinking may be sent back to an upstream of Anthropic's format, by its signature.

The gateway tags the signatures of other families (``gemini#...``, gateway/translation/signature_families.py);
those in Anthropic's own answers are not tagged. Signatures of a compatible server get the account's tag,
because no other server knows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TAG = re.compile(r"([a-z][a-z0-9-]*)#")
_TAGGED = re.compile(rb'"signature"\s*+:\s*+"([a-z][a-z0-9-]*+#)')
"""Matches only a member: within a text, a backslash precedes each quote."""
THINKING = ("thinking", "redacted_thinking")


@dataclass(frozen=True, slots=True)
class Signer:
    """An upstream that signs thinking, and the signatures that it accepts."""

    tag: str
    takes_untagged: bool = False

    def own(self, signature: object) -> str | None:
        """Return the signature without its tag; None when it must not be sent to this upstream."""
        if not isinstance(signature, str) or not signature:
            return None
        tag = _TAG.match(signature)
        if tag is None:
            return signature if self.takes_untagged else None
        return signature[tag.end() :] or None if tag[1] == self.tag else None

    def tagged(self, signature: str) -> str:
        return f"{self.tag}#{signature}"


ANTHROPIC = Signer("claude", takes_untagged=True)


def signature_field(block: dict[str, Any]) -> str:
    return "data" if block.get("type") == "redacted_thinking" else "signature"


def without_tags(body: bytes | bytearray, messages: Sequence[dict[str, Any]], signer: Signer) -> bytes | None:
    """Return the body without the signer's tags, found without reading the rest. `messages` are the parsed
    ones in it. None when more than that has to change, or when tags and thinking do not match one by one."""
    pieces: list[bytes | bytearray] = []
    at = 0
    signatures = _tagged_signatures(messages, signer)
    for tagged in _TAGGED.finditer(body):
        signature = next(signatures, None)
        own = None if signature is None else signer.own(signature)
        if own is None or not body.startswith(own.encode() + b'"', tagged.end()):
            return None
        pieces.append(body[at : tagged.start(1)])
        at = tagged.end()
    if next(signatures, None) is not None:
        return None
    return b"".join([*pieces, body[at:]])


def _tagged_signatures(messages: Sequence[dict[str, Any]], signer: Signer) -> Iterator[object]:
    """Yield the signatures that have to change, in order; "" for one that is no member `signature`."""
    for message in messages:
        for block in _blocks_in(message):
            if block.get("type") in THINKING:
                signature = block.get(signature_field(block))
                if signature != signer.own(signature):
                    yield signature if block["type"] == "thinking" else ""


def _blocks_in(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the content blocks of a message or of a tool's result."""
    content = holder.get("content")
    for block in content if isinstance(content, list) else ():
        yield block
        if block.get("type") == "tool_result":
            yield from _blocks_in(block)
