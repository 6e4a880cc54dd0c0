"""Check of the Host and forwarding headers of each request, before anything else uses it.

Behind a reverse proxy on this machine every client would seem to be a program on this machine. Behind a proxy
that TRUSTED_PROXIES names, the client's own address and scheme are used. Forwarding headers of other senders
are not trusted.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from gateway.api.application import send_error
from gateway.errors import GatewayError, InvalidRequest, PermissionDenied
from gateway.telemetry.noise import log_unauthenticated
from gateway.upstreams.hops import is_of_gateways_alone

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

FORWARDING = {
    *(b"forwarded", b"via", b"forwarded-for", b"x-forwarded", b"x-original-forwarded-for"),
    *(b"x-forwarded-" + what for what in (b"for", b"host", b"proto", b"port", b"server", b"scheme", b"by")),
    *(b"x-forwarded-" + what for what in (b"prefix", b"ssl", b"protocol", b"client-cert", b"uri", b"method")),
    *(
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"client-ip",
        b"proxy-client-ip",
        b"x-original-host",
    ),
    # Akamai, Cloudflare, DigitalOcean, Envoy, Fastly, Fly.io, App Engine, Azure, WebLogic; any CDN (RFC 8586)
    *(b"true-client-ip", b"cf-connecting-ip", b"cf-connecting-ipv6", b"cf-ray", b"do-connecting-ip"),
    *(b"x-envoy-external-address", b"fastly-client-ip", b"fly-client-ip", b"x-appengine-user-ip"),
    *(b"x-azure-clientip", b"x-azure-socketip", b"wl-proxy-client-ip", b"cdn-loop"),
}
"""Headers that reverse proxies add. A request with any of them came through a proxy."""


class ProxyHeaders:
    """ASGI middleware for HTTP and WebSockets. `has_key` returns whether there is an AUTH_TOKEN."""

    def __init__(self, application: Any, trusted_proxies: Iterable[str], has_key: Callable[[], bool]) -> None:
        self._application = application
        self._trusted = [ipaddress.ip_network(one, strict=False) for one in trusted_proxies]
        self._has_key = has_key

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the coroutine of the application. A coroutine of this class would be resumed at every
        wait."""
        try:
            scope = self._admitted(scope)
        except GatewayError as error:
            address = str((scope["client"] or [""])[0])
            log_unauthenticated(
                logger, logging.WARNING, address, "%s was refused: %s", address, error.message
            )
            return _refuse(error, scope, receive, send)
        running: Awaitable[None] = self._application(scope, receive, send)
        return running

    def _admitted(self, scope: Scope) -> Scope:
        """Return the scope with the client's own address and scheme. Raises GatewayError."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        names = [name for name, _ in headers]
        hosts = names.count(b"host")
        if hosts > 1 or (not hosts and scope.get("http_version") != "1.0"):
            # RFC 9112, 3.2
            raise InvalidRequest("Host: HTTP/1.1 requires this header, once.")
        if FORWARDING.isdisjoint(names) or not any(_is_of_a_proxy(*header) for header in headers):
            return scope
        client = self._client_behind(scope["client"], headers)
        if client is None:
            if not self._has_key():
                raise PermissionDenied(
                    "This request came through a proxy, and this gateway has no AUTH_TOKEN. The operator "
                    "must set AUTH_TOKEN, or name the proxy in TRUSTED_PROXIES."
                )
            # A client behind that proxy is not on this machine, whatever the proxy's address is.
            return {**scope, "client": [f"proxy-at-{(scope['client'] or ['?'])[0]}", 0]}
        scheme = _last(headers, b"x-forwarded-proto")
        own = scope.get("scheme", "ws")  # servers may leave it out
        return {**scope, "client": [client, 0], "scheme": scheme if scheme == "https" else own}

    def _client_behind(self, peer: Any, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the last address of X-Forwarded-For that is not a trusted proxy; None when the sender is not
        trusted. Earlier addresses may have been made up by the client."""
        if peer is None or not self._is_trusted(peer[0]):
            return None
        chain = ",".join(value.decode("latin1") for name, value in headers if name == b"x-forwarded-for")
        addresses = [_without_port(one.strip()) for one in chain.split(",") if one.strip()]
        if not addresses:
            return None
        return next((one for one in reversed(addresses) if not self._is_trusted(one)), addresses[0])

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._trusted)


def _is_of_a_proxy(name: bytes, value: bytes) -> bool:
    """Return whether the header is a proxy's. Another gateway, whose Via is meant to detect loops, is a
    client that has checked its own clients."""
    return name in FORWARDING and not (name == b"via" and is_of_gateways_alone(value.decode("latin1")))


async def _refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
    else:
        await send_error(error, scope, send)


def _without_port(text: str) -> str:
    """Return the address without the port, which some proxies add: 192.0.2.1:4711 or [2001:db8::1]:4711."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _last(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    values = [value for name, value in headers if name == wanted]
    return values[-1].decode("latin1").rpartition(",")[2].strip().lower() if values else ""
