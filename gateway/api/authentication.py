"""Who may call: a client with AUTH_TOKEN, or, while there is none, a program on this machine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http.request import split_domain_port
from django.utils.crypto import constant_time_compare

from accounts.network import is_loopback
from gateway.errors import AuthenticationFailed, InvalidRequest, PermissionDenied
from gateway.telemetry.noise import say_of_stranger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

    from gateway.errors import GatewayError

logger = logging.getLogger(__name__)


def check_host(request: HttpRequest) -> None:
    """A page in a browser can point a name of its own at 127.0.0.1; its Host header gives it away."""
    try:
        request.get_host()
    except DisallowedHost as error:
        raise InvalidRequest("Host: this name is not in the setting ALLOWED_HOSTS.") from error


def check_client(request: HttpRequest) -> None:
    """Raises AuthenticationFailed or PermissionDenied."""
    if settings.AUTH_TOKEN:
        keys = list(client_keys(request))
        if not keys:
            raise AuthenticationFailed(
                "No API key was sent. Set ANTHROPIC_AUTH_TOKEN to the gateway's AUTH_TOKEN."
            )
        if not any(constant_time_compare(key, settings.AUTH_TOKEN) for key in keys):
            raise AuthenticationFailed("The API key is not the gateway's AUTH_TOKEN.")
    elif is_from_a_web_page(request):
        raise PermissionDenied(
            "This gateway has no AUTH_TOKEN, so it does not serve pages of other sites in a browser. "
            "The operator can set AUTH_TOKEN."
        )
    elif not is_local(request):
        raise PermissionDenied(
            "This gateway has no AUTH_TOKEN, so it serves only programs on its own machine. "
            "The operator can set AUTH_TOKEN."
        )


def log_refusal(request: HttpRequest, error: GatewayError) -> None:
    address = str(request.META.get("REMOTE_ADDR", ""))
    refused = "A client at %s was refused: %d %s"
    say_of_stranger(logger, logging.WARNING, address, refused, address, error.status, error.message)


def client_keys(request: HttpRequest) -> Iterator[str]:
    """Bearer first: that is the order in which Claude Code's own settings count."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip()
    if key := request.headers.get("x-api-key", "").strip():
        yield key


def is_local(request: HttpRequest) -> bool:
    """The connection comes from this machine, and the client meant this machine."""
    host, _ = split_domain_port(request.get_host())
    return is_loopback(str(request.META.get("REMOTE_ADDR", ""))) and is_loopback(host)


def is_from_a_web_page(request: HttpRequest) -> bool:
    """Any site can make a browser on this machine send requests here; the browser says that it did."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        return True
    origin = request.headers.get("origin")
    return origin is not None and not is_loopback(_host_of(origin))


def _host_of(origin: str) -> str:
    """Empty for a text that is no address."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
