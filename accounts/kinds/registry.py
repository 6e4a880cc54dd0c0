"""The kinds of account by their names in `Account.kind`. A new kind adds one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.kinds.google import Google

if TYPE_CHECKING:
    from accounts.kinds.base import Kind

KINDS: dict[str, Kind] = {
    "google": Google(),
}
"""gateway/upstreams/registry.py has the upstream of each."""
