"""Who answers what: `/v1` and its kin go to the lean API, pages for people to Django, events to Channels."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
django.setup()

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http.request import split_domain_port, validate_host  # noqa: E402

from gateway.api import Api  # noqa: E402
from gateway.service import Gateway  # noqa: E402
from proxy_site.front_door import FrontDoor  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGES_UNDER = ("/admin/", "/static/", "/api/stats/", "/api/requests/")
PAGES = {"/admin", "/account-limits", "/api/requests", "/api/activity"}


class ApiOrPages:
    """A path that is neither gets the API's answer: its errors are JSON, which every client can read."""

    def __init__(self, api: Api, pages: Any) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = _is_page(scope["path"], scope["method"]) and _is_our_host(scope)
        await (self._pages if is_page else self._api)(scope, receive, send)


def _is_page(path: str, method: str) -> bool:
    return path.startswith(PAGES_UNDER) or path in PAGES or (path == "/" and method == "GET")


def _is_our_host(scope: Scope) -> bool:
    """A page asked for under a strange name gets the API's refusal; Django's is a traceback in the log."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin1")
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


class Lifespan:
    """For servers that speak ASGI's lifespan protocol; runserver starts and stops the gateway itself."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await self._gateway.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._gateway.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """No page listens to events yet."""
    await receive()
    await send({"type": "websocket.close"})


gateway = Gateway()
api_or_pages = ApiOrPages(Api(gateway, settings.REQUEST_BODY_LIMIT_BYTES), get_asgi_application())
application = ProtocolTypeRouter(
    {
        "http": FrontDoor(api_or_pages, settings.TRUSTED_PROXIES, lambda: bool(settings.AUTH_TOKEN)),
        "websocket": refuse_websocket,
        "lifespan": Lifespan(gateway),
    }
)
