"""Decides which thinking may be sent back to an upstream of Anthropic's format, by its signature.

The gateway tags the signatures of other families (``gemini#...``, gateway/translation/signature_families.py);
those in Anthropic's own answers are not tagged. Signatures of a compatible server get the account's tag,
because no other server knows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"([a-z][a-z0-9-]*)#")
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
