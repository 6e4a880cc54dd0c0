"""The ASGI application: paths of pages go to Django, `/ws/live` to the live pages, all others to the API."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
django.setup()

from asgiref.sync import markcoroutinefunction  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http.request import split_domain_port, validate_host  # noqa: E402

from dashboard.live.consumer import Live  # noqa: E402
from dashboard.live.hub import Hub  # noqa: E402
from gateway.api.application import Api, has_path, send_error  # noqa: E402
from gateway.bodies.arrival import BodyLimits, ClientGone, IncomingBody  # noqa: E402
from gateway.errors import GatewayError  # noqa: E402
from gateway.service import Gateway  # noqa: E402
from proxy_site.serving.lifecycle import Lifespan, RequestsInFlight  # noqa: E402
from proxy_site.serving.page_connections import ClosingConnections  # noqa: E402
from proxy_site.serving.pages_without_database import WhileDatabaseAnswers  # noqa: E402
from proxy_site.serving.proxy_headers import ProxyHeaders  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGES_UNDER = {
    *("admin", "static", "account-limits"),
    *("requests", "accounts", "models", "usage", "logs", "connect", "settings", "system"),
}
"""The first segments of the paths of pages; the second line has the dashboard's."""
PAGES_OF_API_UNDER = ("/api/stats/", "/api/requests/")
PAGES_OF_API = {"/api/requests", "/api/activity"}
LIVE_PATH = "/ws/live"


class ApiOrPages:
    """Routes a request to the pages or to the API. An unknown path gets the API's JSON error, or in a browser
    the page that says so."""

    def __init__(self, api: Api, pages: Any) -> None:
        self._api = api
        self._pages = pages

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_for_pages = _is_page(scope["path"], scope["method"]) or _is_lost_browser(scope)
        is_page = is_for_pages and _is_our_host(scope)
        running: Awaitable[None] = (self._pages if is_page else self._api)(scope, receive, send)
        return running


def _is_page(path: str, method: str) -> bool:
    if path.startswith("/v1/"):
        return False
    if path == "/":
        return method == "GET"
    is_of_api = path in PAGES_OF_API or path.startswith(PAGES_OF_API_UNDER)
    return is_of_api or path.partition("/")[2].partition("/")[0] in PAGES_UNDER


def _is_lost_browser(scope: Scope) -> bool:
    """Return whether a browser asks for a path that neither the pages nor the API have."""
    if scope["method"] != "GET" or scope["path"].startswith("/v1/"):
        return False
    return b"text/html" in dict(scope["headers"]).get(b"accept", b"") and not has_path(scope["path"])


def _is_our_host(scope: Scope) -> bool:
    """Return whether the Host header is allowed. The API checks it, too; this check keeps Django's traceback
    out of the log."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin1")
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


class BoundedPages:
    """ASGI middleware that reads bodies of page requests under the gateway's limits; Django would write any
    size to disk."""

    def __init__(self, pages: Any, limits: BodyLimits) -> None:
        self._pages = pages
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = IncomingBody(scope, receive, self._limits)
        try:
            messages = [{"type": "http.request", "body": await body.read(), "more_body": False}]

            async def replay() -> dict[str, Any]:
                return messages.pop() if messages else await receive()

            await self._pages({**scope, "headers": _as_read(scope, messages[0])}, replay, send)
        except ClientGone:
            return
        except GatewayError as error:
            await send_error(error, scope, send)
        finally:
            body.release()


def _as_read(scope: Scope, message: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return the request's headers, adjusted to the decoded body."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if not any(name == b"content-encoding" for name, _ in headers):
        return headers
    replaced = {b"content-encoding", b"content-length", b"transfer-encoding"}
    length = str(len(message["body"])).encode()
    return [*(pair for pair in headers if pair[0] not in replaced), (b"content-length", length)]


class LiveSockets:
    """The WebSocket of the pages; at any other path it is refused."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == LIVE_PATH:
            await self._live(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})


class ByProtocol:
    """An ASGI application that passes each connection to the application of its protocol."""

    def __init__(self, applications: dict[str, Any]) -> None:
        self._applications = applications

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the coroutine of the application. The mark as a coroutine function is how servers recognise
        an ASGI 3 application."""
        running: Awaitable[None] = self._applications[scope["type"]](scope, receive, send)
        return running


gateway = Gateway()
hub = Hub(gateway)
gateway.also_close.append(hub.stop)
body_limits = BodyLimits(
    body_bytes=settings.REQUEST_BODY_LIMIT_BYTES,
    total_bytes=settings.BODIES_IN_FLIGHT_BYTES,
    seconds=settings.BODY_TIMEOUT_SECONDS,
)
pages = WhileDatabaseAnswers(ClosingConnections(get_asgi_application()), gateway.accounts.database)
api_or_pages = ApiOrPages(Api(gateway, body_limits), BoundedPages(pages, body_limits))
requests_in_flight = RequestsInFlight(
    ProxyHeaders(api_or_pages, settings.TRUSTED_PROXIES, lambda: bool(settings.AUTH_TOKEN))
)
application = ByProtocol(
    {
        "http": requests_in_flight,
        "websocket": ProxyHeaders(
            LiveSockets(Live(hub)), settings.TRUSTED_PROXIES, lambda: bool(settings.AUTH_TOKEN)
        ),
        "lifespan": Lifespan(gateway),
    }
)
