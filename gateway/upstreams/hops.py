"""Loops: a request that comes back to the gateway that sent it, directly or through others.

Each request to a server of unknown make carries ``Via`` (RFC 9110, 7.6.3) with this process, and the number
of gateways it has passed. Other programs may drop either, so each is checked by itself.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTANCE = f"gateway-{secrets.token_hex(8)}"
HOPS = "x-gateway-hops"
MOST_HOPS = 5


def hop_headers(client: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that goes on; `client` has those it came with, names in lower case."""
    before = client.get("via", "").strip()
    own = f"1.1 {INSTANCE}"
    return {"via": f"{before}, {own}" if before else own, HOPS: str(_hops(client) + 1)}


def why_it_loops(client: Mapping[str, str]) -> str:
    """Why the request must not go on, as a sentence; empty when it may."""
    if INSTANCE in client.get("via", ""):
        return (
            "This request has come back to the gateway that sent it: the address of one of its accounts "
            "leads here. The operator must change or remove that account."
        )
    if _hops(client) > MOST_HOPS:
        return f"This request has passed more than {MOST_HOPS} gateways, which probably send it in a circle."
    return ""


def _hops(client: Mapping[str, str]) -> int:
    text = client.get(HOPS, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
