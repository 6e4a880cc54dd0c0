"""The address that the gateway listens on, as operators write it: `8672`, `127.0.0.1:8672`, `[::1]:8672`."""

from __future__ import annotations

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # looked for, not listened on
"""Wildcard addresses, and the address that reaches them from the machine itself."""


class NotAnAddress(ValueError):
    """Raised for text that is not an address. The text is a sentence for the operator."""


def parse_address(text: str, default_host: str, default_port: int) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`, in which each part may be missing. Raises NotAnAddress."""
    host, _, port = text.rpartition(":")
    host, port = host.strip("[]") or default_host, port or str(default_port)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise NotAnAddress(
            f"{text} is not an address: give a port, or host:port, such as 8672 or 127.0.0.1:8672."
        )
    return host, int(port)


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def url_on_this_machine(host: str, port: int) -> str:
    """Return the address for a browser on the gateway's own machine, also when it listens on a wildcard
    address."""
    return url_of(WILDCARDS.get(host, host), port)
