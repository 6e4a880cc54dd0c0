"""Detection of loops: requests that come back to the gateway that sent them, directly or through others.

Each request to a server that may be a gateway carries ``Via`` (RFC 9110, 7.6.3) with the id of this process,
and the number of gateways that it has passed. Other programs may drop either header, so each is checked by
itself.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTANCE = f"gateway-{secrets.token_hex(8)}"
HOPS = "x-gateway-hops"
MOST_HOPS = 5
_GATEWAY = re.compile(r"\s*1\.1 gateway-[0-9a-f]{16}\s*")


def hop_headers(client: Mapping[str, str]) -> dict[str, str]:
    """Return the headers to add to a request that is passed on. `client` has the headers that it came with,
    with names in lower case."""
    before = client.get("via", "").strip()
    own = f"1.1 {INSTANCE}"
    return {"via": f"{before}, {own}" if before else own, HOPS: str(_hops(client) + 1)}


def why_it_loops(client: Mapping[str, str]) -> str:
    """Return a sentence that explains why the request must not be passed on; "" when it may."""
    if INSTANCE in client.get("via", ""):
        return (
            "This request has come back to the gateway that sent it: the address of one of its accounts "
            "leads here. The operator must change or remove that account."
        )
    if _hops(client) > MOST_HOPS:
        return f"This request has passed more than {MOST_HOPS} gateways, which probably send it in a circle."
    return ""


def is_of_gateways_alone(via: str) -> bool:
    """Return True when each entry of a Via header is one that `hop_headers` makes, so that none is a
    proxy's."""
    return all(_GATEWAY.fullmatch(entry) for entry in via.split(","))


def _hops(client: Mapping[str, str]) -> int:
    if HOPS not in client:
        return 0
    text = client[HOPS].strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
