"""Addresses of servers that get a key: their form, and addresses that must never get one. Pure.

accounts/network.py resolves names, and checks the result there.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

    IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 500
ENDINGS = (
    *("/v1/messages/count_tokens", "/v1/messages", "/v1/chat/completions", "/v1/completions", "/v1/models"),
    "/v1",
)
"""What people paste after the address: Claude Code adds /v1 and so on itself."""
QUOTES = "\"'`\u201c\u201d\u2018\u2019<>"
BEFORE_ADDRESS = re.compile(r"(?:export|set)?[A-Z][A-Z0-9_]*(?:URL|BASE|HOST|ENDPOINT)=")
KIND_OF_HOST = {"api.anthropic.com": "anthropic", "generativelanguage.googleapis.com": "gemini"}
"""Providers with a kind of their own, whose addresses are settings."""
METADATA_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"}
METADATA_ADDRESSES = {
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
}
"""The addresses of metadata services that are not link-local: AWS over IPv6, Alibaba, Azure."""


class AddressRefused(ValueError):
    """Raised for an address that must not be used. The text is a sentence for the operator."""


def base_address(text: str) -> str:
    """The address without what Claude Code adds, in one spelling. Raises AddressRefused."""
    given = BEFORE_ADDRESS.sub("", "".join(text.split()).strip(QUOTES), count=1).strip(QUOTES)
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise AddressRefused(f"{error}.") from None
    if parts.scheme not in {"http", "https"} or not host or not given.isascii() or len(given) > LONGEST:
        raise AddressRefused("The address must begin with https:// or http:// and a host.")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in given or "#" in given:
        raise AddressRefused("The address must have no user, no password, no ? and no #.")
    if kind := KIND_OF_HOST.get(host):
        raise AddressRefused(f"{host} has a kind of its own: add the key as {kind}.")
    refuse_name(host)
    shown = f"[{host}]" if ":" in host else host
    is_usual = port in {None, 443 if parts.scheme == "https" else 80}
    return f"{parts.scheme}://{shown}{'' if is_usual else f':{port}'}{_path(parts.path)}"


def _path(path: str) -> str:
    path = path.rstrip("/")
    for ending in ENDINGS:
        path = path.removesuffix(ending).rstrip("/")
    return path


def refuse_name(host: str) -> None:
    """Raise AddressRefused for a host name of a cloud's metadata service."""
    if host.lower() in METADATA_NAMES:
        raise AddressRefused(f"{host} is the metadata service of a cloud, which must never get a key.")


def refuse_addresses(host: str, addresses: Collection[str]) -> None:
    """Raise AddressRefused when one of the addresses to which the host resolves must never get a key."""
    for text in addresses:
        address = plain(text)
        if address.is_link_local or address in METADATA_ADDRESSES:
            what = "a link-local address or the metadata service of a cloud"
            raise AddressRefused(f"{host} leads to {address}, {what}, which must never get a key.")
        if address.is_unspecified or address.is_multicast:
            raise AddressRefused(f"{host} leads to {address}, which is no address of a server.")


def are_near(addresses: Collection[str]) -> bool:
    """Return whether all addresses are of this machine or of a private network."""
    return all(plain(text).is_private for text in addresses)


def are_here(addresses: Collection[str]) -> bool:
    """Return whether all addresses are of this machine."""
    return all(plain(text).is_loopback for text in addresses)


def plain(text: str) -> IPAddress:
    """Return the address without its zone. An IPv4 address inside IPv6 (mapped, 6to4, NAT64) is returned as
    IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
