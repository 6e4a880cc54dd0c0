"""Refusal of addresses that lead back to this gateway, before an account is added there.

A running server is recognised by its answer to a new random number, which it signs with SECRET_KEY; all
processes of one gateway share that key. This also finds it behind a proxy or under another name. A loop
through another gateway is only noticed when requests are sent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import ifaddr
from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.network import CallFailed
from accounts.values.server_addresses import AddressRefused, are_here, plain

if TYPE_CHECKING:
    from collections.abc import Collection

    from accounts.network import AccountsClient

PROBE_PATH = "/api/hello"
PROBE_HEADER = "x-gateway-probe"
LONGEST_PROBE = 100
DEFAULT_PORTS = {"http": 80, "https": 443}


def answer_to_probe(number: str) -> str:
    """Return what this gateway answers to a number in PROBE_HEADER; "" for one that is too long."""
    return salted_hmac("loop", number, algorithm="sha256").hexdigest() if len(number) <= LONGEST_PROBE else ""


async def refuse_loop(client: AccountsClient, base_url: str, addresses: Collection[str]) -> None:
    """Raise AddressRefused when the address is this gateway's. No key is sent."""
    if _is_our_port(base_url) and addresses and (are_here(addresses) or _are_of_this_machine(addresses)):
        raise AddressRefused(f"{base_url} is the address of this gateway itself.")
    number = secrets.token_urlsafe(16)
    try:
        answer = await client.head(base_url + PROBE_PATH, headers={PROBE_HEADER: number})
    except CallFailed:
        return  # whoever is not there is not this gateway
    if constant_time_compare(answer.headers.get(PROBE_HEADER, ""), answer_to_probe(number)):
        raise AddressRefused(f"{base_url} leads to this gateway itself.")


def _is_our_port(base_url: str) -> bool:
    parts = urlsplit(base_url)
    return (parts.port or DEFAULT_PORTS[parts.scheme]) == settings.PORT


def _are_of_this_machine(addresses: Collection[str]) -> bool:
    ips = (ip.ip if isinstance(ip.ip, str) else ip.ip[0] for one in ifaddr.get_adapters() for ip in one.ips)
    ours = {plain(ip) for ip in ips}
    return {plain(address) for address in addresses} <= ours
