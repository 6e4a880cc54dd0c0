"""Where sources really are: only redirects are asked, with a HEAD and nothing else, and not for long."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from accounts.network import proxy_for
from gateway.upstreams.cloud_code.redirects import GOOGLES_HOST, MAX_QUESTIONS, Redirects, lies_under
from gateway.upstreams.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pytest_django.fixtures import Settings

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH = "/grounding-api-redirect/"
OF_GOOGLES = [f"https://{GOOGLES_HOST}", f"http://{GOOGLES_HOST.upper()}", f"https://{GOOGLES_HOST}."]
REAL = "https://a.example/page?q=1"


class Site:
    """A server that leads on, and notes who asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[web.Request] = []
        self.answer: Answer = self.lead_on

    async def lead_on(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": REAL, "Set-Cookie": "a=b"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@asynccontextmanager
async def a_transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout_seconds=2)
    await transport.start()
    yield transport
    await transport.close()


async def locations(site: Site, *addresses: str, base_url: str | None = None, seconds: float = 2) -> object:
    async with a_transport() as transport:
        base_url = site.url + PATH if base_url is None else base_url
        return await Redirects(transport, base_url, seconds).locations(addresses)


async def test_it_is_asked_with_a_head_that_is_not_followed(site: Site) -> None:
    address = f"{site.url}{PATH}AbC-_%2B="

    assert await locations(site, address) == {address: REAL}
    assert [(asked.method, asked.raw_path) for asked in site.asked] == [("HEAD", f"{PATH}AbC-_%2B=")]


async def test_nothing_of_ours_goes_with_it(site: Site) -> None:
    for _ in range(2):
        await locations(site, f"{site.url}{PATH}1", f"{site.url}{PATH}2")

    assert {name.lower() for asked in site.asked for name in asked.headers} <= {"host", "accept-encoding"}


async def test_it_is_asked_through_the_operators_proxy(site: Site, settings: Settings) -> None:
    settings.HTTP_PROXY = site.url
    address = "http://redirects.example/to/1"
    proxy_for.cache_clear()

    try:
        assert await locations(site, address, base_url="http://redirects.example/to") == {address: REAL}
    finally:
        proxy_for.cache_clear()
    assert [(asked.method, asked.host) for asked in site.asked] == [("HEAD", "redirects.example")]


async def test_each_redirect_is_asked_once(site: Site) -> None:
    address = f"{site.url}{PATH}1"

    await locations(site, address, address)

    assert len(site.asked) == 1


@pytest.mark.parametrize("origin", OF_GOOGLES)
async def test_a_redirect_to_a_redirect_leads_nowhere_yet(origin: str, site: Site) -> None:
    address = f"{site.url}{PATH}1"

    async def again(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{origin}{PATH}2"})

    site.answer = again

    assert await locations(site, address) == {address: None}


@pytest.mark.parametrize("status", [200, 204, 304, 400, 404, 429, 500])
async def test_any_other_answer_leads_nowhere(status: int, site: Site) -> None:
    address = f"{site.url}{PATH}1"

    async def other(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": REAL})

    site.answer = other

    assert await locations(site, address) == {address: None}


async def test_a_redirect_without_location_leads_nowhere(site: Site) -> None:
    address = f"{site.url}{PATH}1"

    async def nowhere(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302)

    site.answer = nowhere

    assert await locations(site, address) == {address: None}


async def test_a_slow_one_holds_up_neither_the_others_nor_the_answer_for_long(site: Site) -> None:
    slow, quick = f"{site.url}{PATH}slow", f"{site.url}{PATH}quick"

    async def at_times(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5 if "slow" in request.path else 0)
        return await site.lead_on(request)

    site.answer = at_times
    started = time.monotonic()

    assert await locations(site, slow, quick, seconds=0.3) == {slow: None, quick: REAL}
    assert time.monotonic() - started < 2


async def test_a_server_that_is_not_there_leads_nowhere(site: Site) -> None:
    address = "http://127.0.0.1:9/to/1"

    assert await locations(site, address, base_url="http://127.0.0.1:9/to") == {address: None}


async def test_only_so_many_are_asked(site: Site) -> None:
    addresses = [f"{site.url}{PATH}{number}" for number in range(MAX_QUESTIONS + 5)]

    found = await locations(site, *addresses)

    assert len(site.asked) == MAX_QUESTIONS
    assert list(found.values()).count(None) == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("origin", OF_GOOGLES)
async def test_nobody_is_asked_where_the_setting_is_empty(origin: str, site: Site) -> None:
    """Google's redirects are known all the same: of which domain they are nobody can say."""
    address = f"{origin}{PATH}1"
    others = ["https://b.example/", f"{site.url}{PATH}1", f"{origin.rstrip('.')}.evil.example/1", "https://["]

    assert await locations(site, address, *others, base_url="") == {address: None}
    assert site.asked == []


async def test_no_other_address_is_asked(site: Site) -> None:
    others = [f"{site.url}/", f"{site.url}/other/1", f"{site.url}{PATH}../other", f"{site.url}{PATH}%2e%2e/x"]

    assert await locations(site, *others) == {}
    assert site.asked == []


@pytest.mark.parametrize(
    ("address", "base_url", "lies"),
    [
        ("https://r.example/to/1", "https://r.example/to", True),
        ("https://r.example/to/1", "https://r.example/to/", True),
        ("https://R.example/to/1", "https://r.example/to", True),
        ("https://r.example/to", "https://r.example/to", False),
        ("https://r.example/tomorrow/1", "https://r.example/to", False),
        ("http://r.example/to/1", "https://r.example/to", False),
        ("https://r.example:444/to/1", "https://r.example/to", False),
        ("https://r.example.evil.example/to/1", "https://r.example", False),
        ("https://r.example@evil.example/to/1", "https://r.example", False),
        ("https://evil.example@r.example/to/1", "https://r.example/to", False),
        ("https://evil.example/https://r.example/to/1", "https://r.example/to", False),
        ("https://r.example/to/../admin", "https://r.example/to", False),
        ("https://r.example/to/%2E%2e/admin", "https://r.example/to", False),
        ("https://r.example/to/\\..\\admin", "https://r.example/to", False),
        ("https://[/to/1", "https://r.example/to", False),
        ("https://r.example:x/to/1", "https://r.example/to", False),
        ("https://r.example/to/1", "", False),
        ("", "", False),
    ],
)
def test_an_address_lies_under_another_on_the_same_server_only(
    address: str, base_url: str, lies: bool
) -> None:
    assert lies_under(address, base_url) is lies
