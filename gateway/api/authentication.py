"""Authentication of clients: requests with AUTH_TOKEN or, while none is set, from programs on this
machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from secrets import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http.request import split_domain_port

from accounts.network import is_loopback
from gateway.errors import AuthenticationFailed, GatewayError, InvalidRequest, PermissionDenied
from gateway.known_settings import known_settings
from gateway.telemetry.noise import log_unauthenticated

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """The authenticated sender of a request. The ledger, the log and statistics show `name`."""

    name: str


WITH_AUTH_TOKEN = Client("AUTH_TOKEN")
ON_THIS_MACHINE = Client("loopback")


def check_host(request: HttpRequest) -> None:
    """Refuse requests by DNS rebinding, in which a page's own host name points at 127.0.0.1.

    Raises InvalidRequest for a Host that is not in ALLOWED_HOSTS.
    """
    try:
        request.get_host()
    except DisallowedHost as error:
        raise InvalidRequest("Host: this name is not in the setting ALLOWED_HOSTS.") from error


def authenticate(request: HttpRequest) -> Client:
    """Identify the client by its key or address; a refused one is logged. Raises AuthenticationFailed or
    PermissionDenied."""
    try:
        return _authenticated(request)
    except GatewayError as error:
        address = peer_of(request)
        refused = "A client at %s was refused: %d %s"
        log_unauthenticated(logger, logging.WARNING, address, refused, address, error.status, error.message)
        raise


def _authenticated(request: HttpRequest) -> Client:
    if auth_token := known_settings.AUTH_TOKEN:
        keys = client_keys(request)
        if not keys:
            raise AuthenticationFailed(
                "No API key was sent. Set ANTHROPIC_AUTH_TOKEN to the gateway's AUTH_TOKEN."
            )
        expected = auth_token.encode()
        for key in keys:
            if compare_digest(key.encode(), expected):
                return WITH_AUTH_TOKEN
        raise AuthenticationFailed("The API key is not the gateway's AUTH_TOKEN.")
    if is_from_a_web_page(request):
        raise PermissionDenied(
            "This gateway has no AUTH_TOKEN, so it does not serve pages of other sites in a browser. "
            "The operator can set AUTH_TOKEN."
        )
    if not is_local(request):
        raise PermissionDenied(
            "This gateway has no AUTH_TOKEN, so it serves only programs on its own machine. "
            "The operator can set AUTH_TOKEN."
        )
    return ON_THIS_MACHINE


def client_keys(request: HttpRequest) -> list[str]:
    """Return the keys of a request: the bearer token and `x-api-key`, of which one must be correct."""
    headers, keys = request.headers, []
    if "authorization" in headers:
        scheme, _, token = headers["authorization"].partition(" ")
        if scheme.lower() == "bearer" and (key := token.strip()):
            keys.append(key)
    if "x-api-key" in headers and (key := headers["x-api-key"].strip()):
        keys.append(key)
    return keys


def is_local(request: HttpRequest) -> bool:
    """Return True when both the address of the peer and the Host header are loopback."""
    host, _ = split_domain_port(request.get_host())
    return is_loopback(peer_of(request)) and is_loopback(host)


def peer_of(request: HttpRequest) -> str:
    """Return the client's address; "" when it is unknown. META has it, too, but for an API request Django
    would have to make that first."""
    client = request.scope.get("client") if isinstance(request, ASGIRequest) else None
    return str(client[0] if client else request.META.get("REMOTE_ADDR", ""))


def is_from_a_web_page(request: HttpRequest) -> bool:
    """Return True when a browser sent the request for a page of another site (Sec-Fetch-Site, Origin)."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        return True
    origin = request.headers.get("origin")
    return origin is not None and not is_loopback(_host_of(origin))


def _host_of(origin: str) -> str:
    """Return the host of an origin; "" for a malformed one."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
