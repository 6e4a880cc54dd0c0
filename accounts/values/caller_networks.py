"""Who strangers are: told apart by their networks. Pure."""

from __future__ import annotations

import ipaddress

IPV6_PREFIX = 64
"""So much of an address names the network; whoever has one can use all addresses in it."""


def network_of(address: str) -> str:
    """An IPv4 address itself, the network of an IPv6 address, and any other text as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
