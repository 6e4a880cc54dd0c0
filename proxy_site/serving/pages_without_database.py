"""Immediate errors for pages and the operator API while the database is unreachable.

A page that waits for the database would occupy a thread meanwhile, and one that opens a removed SQLite file
would create an empty one.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import TYPE_CHECKING, Any

from gateway.api.application import send_error
from gateway.errors import Unavailable

if TYPE_CHECKING:
    from accounts.database.watch import DatabaseWatch
    from proxy_site.serving.proxy_headers import Receive, Scope, Send

RETRY_AFTER_SECONDS = 5
WITHOUT_DATABASE = ("/static/",)
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>No database</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.55 system-ui, sans-serif; margin: 12vh auto; max-width: 34rem }}
</style></head>
<body><h1>The database is not there</h1><p role="alert">{problem}</p>
<p>The Messages API goes on with what is in memory.</p></body>
</html>
"""


class WhileDatabaseAnswers:
    """ASGI middleware around the pages, which all read the database."""

    def __init__(self, pages: Any, database: DatabaseWatch) -> None:
        self._pages = pages
        self._database = database
        self._abandoned: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(WITHOUT_DATABASE):
            await self._pages(scope, receive, send)
        elif self._database.problem or not await self._has_begun_to_answer(scope, receive, send):
            await _send_unavailable(scope, send, self._database.problem)

    async def _has_begun_to_answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Run the page. Returns False when the database became unreachable before anything was sent; nothing
        will be sent then."""
        has_begun = has_abandoned = False

        async def send_unless_abandoned(message: dict[str, Any]) -> None:
            nonlocal has_begun
            if not has_abandoned:
                has_begun = True
                await send(message)

        page = asyncio.ensure_future(self._pages(scope, receive, send_unless_abandoned))
        down = asyncio.ensure_future(self._database.wait_until_down())
        try:
            await asyncio.wait({page, down}, return_when=asyncio.FIRST_COMPLETED)
            if page.done() or has_begun:
                await page
                return True
            has_abandoned = True
            return False
        finally:
            down.cancel()
            if not page.done():
                page.cancel()
                # Its thread waits for the database, and ends when that answers.
                self._abandoned.add(page)
                page.add_done_callback(self._forget)

    def _forget(self, page: asyncio.Task[None]) -> None:
        self._abandoned.discard(page)
        if not page.cancelled():
            page.exception()


async def _send_unavailable(scope: Scope, send: Send, problem: str) -> None:
    if not (scope["path"] == "/" or scope["path"].startswith("/admin")):
        await send_error(Unavailable(problem, retry_after_seconds=RETRY_AFTER_SECONDS), scope, send)
        return
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"retry-after", b"%d" % RETRY_AFTER_SECONDS),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE.format(problem=escape(problem)).encode()})
