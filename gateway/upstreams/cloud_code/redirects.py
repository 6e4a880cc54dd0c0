"""Resolves the addresses of the sources of Google's search.

Google gives redirects (``.../grounding-api-redirect/...``), which stop working after a while. Each is
resolved with a HEAD that is not followed. No other address is ever requested, since an answer could otherwise
make the gateway call any server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gateway.upstreams.transport import Transport, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Collection

GOOGLES_HOST = "vertexaisearch.cloud.google.com"
MAX_QUESTIONS = 20
SECONDS = 4.0
"""The time limit for all redirects, which are resolved concurrently. Another tool's source reports 0.3 to 3 s
for most of them, and some that hang."""


class Redirects:
    """Resolves redirects below `base_url`; when that is "", nothing is requested."""

    def __init__(self, transport: Transport, base_url: str, seconds: float = SECONDS) -> None:
        self._transport = transport
        self._base_url = base_url
        self._seconds = seconds

    async def locations(self, addresses: Collection[str]) -> dict[str, str | None]:
        """Resolve those addresses that are redirects: the target of each, None where it is unknown."""
        asked = [address for address in dict.fromkeys(addresses) if lies_under(address, self._base_url)]
        learnt = await self._ask(asked[:MAX_QUESTIONS])
        redirects = filter(self._is_redirect, addresses)
        return {address: self._end_of(learnt.get(address)) for address in redirects}

    def _is_redirect(self, address: str) -> bool:
        """Return True for a redirect. Google's own are recognised in any spelling, and also when the setting
        names another base URL, since an address that is no redirect counts as the page itself."""
        return lies_under(address, self._base_url) or _host_of(address) == GOOGLES_HOST

    def _end_of(self, location: str | None) -> str | None:
        return None if location is None or self._is_redirect(location) else location

    async def _ask(self, addresses: list[str]) -> dict[str, str | None]:
        tasks = {address: asyncio.create_task(self._location_of(address)) for address in addresses}
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=self._seconds)
            return {address: task.result() for address, task in tasks.items() if task.done()}
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _location_of(self, address: str) -> str | None:
        try:
            return await self._transport.location_of(address)
        except TransportFailed:
            return None


def _host_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def lies_under(address: str, base_url: str) -> bool:
    """Return True when the address is below `base_url` on the same server. A common prefix is not enough:
    ``https://good.example.evil.example`` begins with ``https://good.example``."""
    if not base_url:
        return False
    try:
        one, base = urlsplit(address), urlsplit(base_url)
        same_server = (one.scheme, one.hostname, one.port) == (base.scheme, base.hostname, base.port)
    except ValueError:
        return False
    path = unquote(one.path)
    stays_under = path.startswith(f"{base.path.rstrip('/')}/") and "/.." not in path and "\\" not in address
    return same_server and "@" not in one.netloc and stays_under
