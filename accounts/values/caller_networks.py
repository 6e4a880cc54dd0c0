"""The network of a caller, by which failed attempts of unauthenticated callers are counted. Pure."""

from __future__ import annotations

import ipaddress

IPV6_PREFIX = 64
"""The prefix length of an IPv6 network whose addresses all belong to one caller."""


def network_of(address: str) -> str:
    """Return the address itself for IPv4, its /64 network for IPv6, and any other text unchanged."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
