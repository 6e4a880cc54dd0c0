"""Thought signatures: which model family issued them, and the interface of their store.

response/stream.py keeps them; request/turns.py (Gemini) and request/thinking.py (Claude) put them back.

A model requires its own signatures back and refuses those of another family. So each signature is sent to the
client with its family as a prefix (``claude#...``), and the prefix identifies it when it comes back: no cache
is needed, and none is lost in a restart. The store is the fallback for clients that did not ask for thinking,
or that drop the thinking block that carries a tool call's signature.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.routing.upstream_model import Family

SIGNING_FAMILIES: tuple[Family, ...] = ("claude", "gemini")

TEXT_KEY = "text:"
KEPT_SIGNATURES = 2_000
"""How many signatures are kept with their results, each of a few hundred bytes."""
# Claude's own signatures are longer. A shorter text in the field is a placeholder of another tool.
MIN_CLAUDE_SIGNATURE_LENGTH = 50
# Google's JSON carries a signature as bytes in base64; anything else fails the request before it reaches a
# model.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


class SignatureStore(Protocol):
    """A store for the signature that Gemini puts on a tool call, by the id of the tool_use."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, signature: str, *, is_carried: bool = False) -> None:
        """Keep a signature. ``is_carried`` means that the client has it, too, in a thinking block, so memory
        is enough."""


class SignatureCache:
    """Keep the last ``capacity`` signatures in memory, dropping the least recently used."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._signatures: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._signatures)

    def get(self, key: str) -> str | None:
        signature = self._signatures.get(key)
        if signature is not None:
            self._signatures.move_to_end(key)
        return signature

    def put(self, key: str, signature: str, *, is_carried: bool = False) -> None:
        self._signatures[key] = signature
        self._signatures.move_to_end(key)
        if len(self._signatures) > self._capacity:
            self._signatures.popitem(last=False)


def key_of_text(text: str) -> str:
    """Return the key for the signature of a text. Gemini signs texts as well; they have no id, so the key is
    a digest."""
    return TEXT_KEY + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def tag(family: str, signature: str) -> str:
    return f"{family}#{signature}"


def signature_for(family: Family, signature: object) -> str | None:
    """Return the signature without its tag when ``family`` accepts it, else None.

    An untagged signature may come from Anthropic's own API, so it counts as Claude's.
    """
    return bare_signature(family, signature) if type(signature) is str else None


@lru_cache(maxsize=KEPT_SIGNATURES)
def bare_signature(family: Family, signature: str) -> str | None:
    """Do the same as ``signature_for`` for a text. Results are kept, since each turn of a conversation sends
    the signatures of all turns before it."""
    signer, separator, bare = signature.partition("#")
    if not separator:
        signer, bare = "claude", signature
    if signer != family or family not in SIGNING_FAMILIES or not _is_base64(bare):
        return None
    return bare if family != "claude" or len(bare) >= MIN_CLAUDE_SIGNATURE_LENGTH else None


def _is_base64(text: str) -> bool:
    return _BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def own_signature_for(family: Family, signature: object) -> str | None:
    """Return what ``signature_for`` returns, but None for a signature without this gateway's tag."""
    if isinstance(signature, str) and signature.startswith(f"{family}#"):
        return signature_for(family, signature)
    return None


def unsigned_calls(messages: Sequence[Mapping[str, Any]], signatures: SignatureStore) -> list[str]:
    """Return the ids of calls in the running tool loop that lack the signature Gemini requires.

    Of parallel calls Gemini signs only the first. The loop starts after the last user message without
    results.
    """
    unsigned: list[str] = []
    for message in reversed(messages):
        content = message.get("content")
        blocks = content if isinstance(content, list) else []
        if message["role"] == "assistant":
            call = _first_call_without_signature(blocks)
            if call is not None and signatures.get(call) is None:
                unsigned.append(call)
        elif message["role"] == "user" and not any(block["type"] == "tool_result" for block in blocks):
            break
    return unsigned


def _first_call_without_signature(blocks: Sequence[Mapping[str, Any]]) -> str | None:
    for block in blocks:
        if block["type"] == "thinking" and signature_for("gemini", block.get("signature")) is not None:
            return None
        if block["type"] == "tool_use":
            return None if block.get("thoughtSignature") else str(block["id"])
    return None
