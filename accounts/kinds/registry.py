"""The kinds of account by their names in `Account.kind`, plainly permitted ones first. A new kind adds one
row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.kinds.anthropic import Anthropic
from accounts.kinds.compatible import Compatible
from accounts.kinds.gemini import Gemini
from accounts.kinds.google import Google
from accounts.kinds.keyed import KeyedKind

if TYPE_CHECKING:
    from accounts.kinds.base import Kind

KINDS: dict[str, Kind] = {
    "gemini": Gemini(),
    "anthropic": Anthropic(),
    "compatible": Compatible(),
    "google": Google(),
}
"""The kinds by name; gateway/upstreams/registry.py has their upstreams."""

KEYED = {name: kind for name, kind in KINDS.items() if isinstance(kind, KeyedKind)}
