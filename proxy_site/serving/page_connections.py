"""Closing of the database connections of pages.

Django's ASGI handler gives each request a thread of its own. `CONN_MAX_AGE` keeps a connection for the next
request of the same thread, which never comes: it would stay open until the garbage collector finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

if TYPE_CHECKING:
    from proxy_site.serving.proxy_headers import Receive, Scope, Send


class ClosingConnections:
    """ASGI middleware around the pages that closes the connections of their thread when they end."""

    def __init__(self, pages: Any) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with ThreadSensitiveContext():
            try:
                await self._pages(scope, receive, send)
            finally:
                await sync_to_async(connections.close_all)()
