"""Who can reach the bound address, and which host names are accepted there."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING

import ifaddr
from django.conf import settings
from django.http.request import validate_host

from accounts.command_line import container_engine
from accounts.network import is_loopback
from gateway.known_settings import forget_known_settings
from proxy_site.serving.address import WILDCARDS, url_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

INDENT = " " * 26


def allow_bound_address(host: str, listener: socket.socket) -> str:
    """Add the bound address to ALLOWED_HOSTS. Returns the host to show: as it was given, or the wildcard
    address it stands for.

    A wildcard adds nothing: only the operator knows which of the machine's addresses are meant.
    """
    bound = str(listener.getsockname()[0])
    if ipaddress.ip_address(bound).is_unspecified:
        return bound
    names = dict.fromkeys((in_host_header(host), in_host_header(bound)))
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, *names]
    forget_known_settings()
    return host


def in_host_header(host: str) -> str:
    """Return the address as clients write it in the Host header, without the port: IPv6 in brackets and
    compressed."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower()
    return f"[{address}]" if address.version == 6 else str(address)


def machine_addresses(wildcard: str) -> list[str]:
    """Return the addresses at which other machines reach a server on `wildcard`; `::` listens to IPv4,
    too."""
    versions = {4} if ipaddress.ip_address(wildcard).version == 4 else {4, 6}
    found = [ipaddress.ip_address(text) for text in _interface_addresses()]
    return list(dict.fromkeys(str(one) for one in found if one.version in versions and _is_reachable(one)))


def _interface_addresses() -> Iterable[str]:
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            yield one.ip if isinstance(one.ip, str) else one.ip[0]  # IPv6 comes with flow and scope


def _is_reachable(address: Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def network_lines(host: str, port: int) -> list[str]:
    """Return the lines of the banner about who else can reach the gateway; none on loopback."""
    if is_loopback(host):
        return []
    return [*(_wildcard_lines(host, port) if is_wildcard(host) else []), *_warning_lines()]


def is_wildcard(host: str) -> bool:
    return host in WILDCARDS


def _wildcard_lines(wildcard: str, port: int) -> list[str]:
    if settings.IN_CONTAINER:
        return [
            "  From other machines     by names and addresses of the container's host, if its",
            f"{INDENT}port is published for them and they are named in a line",
            f"{INDENT}ALLOWED_HOSTS=… in {settings.DATA_DIR / '.env'}",
        ]
    addresses = machine_addresses(wildcard)
    if not addresses:
        return ["  From other machines     this machine has no address but its own loopback"]
    urls = [url_of(address, port) for address in addresses]
    lines = [f"  From other machines     {urls[0]}", *(f"{INDENT}{url}" for url in urls[1:])]
    if container_engine():
        lines += [f"{INDENT}(the container's own; from outside use its host's,", f"{INDENT}and allow those)"]
    names = [in_host_header(address) for address in addresses]
    missing = [name for name in names if not validate_host(name, settings.ALLOWED_HOSTS)]
    if missing:
        where = "the environment" if "ALLOWED_HOSTS" in os.environ else str(settings.BASE_DIR / ".env")
        these = "it" if len(names) == 1 else "them"
        lines += [
            f"{INDENT}Requests for {these} are refused until this line stands in",
            f"{INDENT}{where}",
            f"{INDENT}(add this machine's names, if clients use one)",
            f"{INDENT}and you start again:",
            f"    ALLOWED_HOSTS={','.join([*settings.ALLOWED_HOSTS, *missing])}",
        ]
    return lines


def _warning_lines() -> list[str]:
    if settings.IS_BEHIND_TLS:
        return []
    return [
        "  Warning                 plain HTTP: whoever is on the way between reads keys",
        f"{INDENT}and prompts. docs/server.md says how to put TLS before",
        f"{INDENT}it.",
    ]
