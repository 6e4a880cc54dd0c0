"""Who may open a socket, what it may say, and how it ends."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model, logout
from django.http import HttpRequest

from dashboard.live import consumer
from dashboard.live import hub as hub_module
from dashboard.live.consumer import is_allowed_origin
from dashboard.live.hub import Hub
from dashboard.live.protocol import COLUMNS, VERSION
from gateway.api.operator_access import is_session_of_operator
from gateway.service import Gateway
from gateway.telemetry import activity
from tests.dashboard.live.conftest import Page
from tests.gateway.conftest import in_database

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings


FOREIGN = {
    "missing": b"",
    "null": b"null",
    "another site": b"http://evil.example.com",
    "another port": b"http://127.0.0.1:3000",
    "another scheme": b"https://127.0.0.1:8672",
    "another name of this machine": b"http://localhost:8672",
    "the beginning of ours": b"http://127.0.0.1:867",
    "ours and more": b"http://127.0.0.1:8672.evil.example.com",
    "with a user": b"http://127.0.0.1:8672@evil.example.com",
    "no address": b"http://[",
    "not ASCII": "http://127.0.0.1:8672é".encode(),
}


@pytest.mark.parametrize("origin", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_origin_is_refused(origin: bytes) -> None:
    page = Page(Hub(Gateway()), "", origin=origin)

    assert not await page.is_accepted()


async def test_a_host_of_another_name_is_refused() -> None:
    page = Page(Hub(Gateway()), "", host=b"evil.example.com", origin=b"http://evil.example.com")

    assert not await page.is_accepted()


async def test_a_trusted_origin_is_let_in(hub: Hub, session: str, settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://gateway.example.com"]

    async with Page(hub, session, origin=b"https://gateway.example.com") as page:
        assert (await page.receive())["t"] == "hello"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b.example.com", True),
        ("http://a.example.com", False),
        ("https://example.com.evil.org", False),
        ("https://aexample.com", False),
        ("https://other.org", True),
        ("https://sub.other.org", False),
        ("", False),
        ("://", False),
    ],
)
def test_trusted_origins_may_have_patterns(origin: str, is_allowed: bool, settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com", "https://other.org"]

    assert is_allowed_origin(origin, "http://127.0.0.1:8672") is is_allowed


async def test_without_a_session_it_ends(hub: Hub) -> None:
    for session in ("", "no-such-session", "x" * 3000, "../..\0"):
        async with Page(hub, session) as page:
            end = await page.closed()

        assert (end.code, end.why, page.messages) == (4401, "signed out", [{"t": "bye", "why": "signed out"}])


async def test_only_an_active_operator_may_watch(hub: Hub, session: str) -> None:
    for rights in ({"is_active": False}, {"is_active": True, "is_superuser": False}):
        await in_database(get_user_model().objects.update)(**rights)

        async with Page(hub, session) as page:
            assert (await page.closed()).code == 4401


async def test_hello_names_the_columns_and_the_build(page: Page, gateway: Gateway) -> None:
    async with page:
        hello = await page.receive()

    assert hello.pop("now") > 0
    assert hello == {
        "t": "hello",
        "v": VERSION,
        "build": settings.VERSION,
        "server": str(gateway.ledger.instance_id),
        "columns": list(COLUMNS),
        "demo": False,
    }


GARBAGE: dict[str, Any] = {
    "blank": " ",
    "no JSON": "{",
    "another type": {"t": "hello"},
    "a list": [1],
    "null": "null",
    "deep": "[" * 2000,
    "an unknown topic": {"t": "watch", "topics": ["secrets"]},
    "a topic that is none": {"t": "watch", "topics": [["log"]]},
    "topics that are none": {"t": "watch", "topics": "log"},
    "an unknown filter": {"t": "watch", "topics": [], "filter": {"id__gt": 1}},
    "a filter of another kind": {"t": "watch", "topics": [], "filter": {"status": "429"}},
    "a number no column holds": {"t": "watch", "topics": [], "filter": {"status": 10**18}},
    "a NUL": {"t": "watch", "topics": [], "filter": {"account": "a\0"}},
    "a filter that is none": {"t": "watch", "topics": [], "filter": ["account"]},
    "an unknown level": {"t": "watch", "topics": [], "level": "all"},
    "a level that is none": {"t": "watch", "topics": [], "level": {"a": 1}},
    "an ack without a number": {"t": "ack"},
    "an ack of a text": {"t": "ack", "n": "1"},
}


async def test_garbage_ends_the_socket(hub: Hub, session: str) -> None:
    ends = {}
    for name, message in GARBAGE.items():
        async with Page(hub, session) as page:
            await page.say(message)
            ends[name] = await page.closed()

    assert {name for name, end in ends.items() if end.why != "not understood" or end.code != 1007} == set()


async def test_a_message_over_4_kb_ends_it(hub: Hub, session: str) -> None:
    for text in ("x" * 5000, "é" * 4000):
        async with Page(hub, session) as page:
            await page.say(text)

            assert (await page.closed()).code == 1009


async def test_bytes_end_it(page: Page) -> None:
    async with page:
        await page.say_bytes(b"{}")

        assert (await page.closed()).code == 1003


async def test_a_flood_ends_it(page: Page) -> None:
    async with page:
        for _ in range(consumer.MESSAGES_A_SECOND + 1):
            await page.say({"t": "ack", "n": 99})
        end = await page.closed()

    assert (end.code, end.why) == (4429, "too many")


async def test_one_socket_too_many_is_told_so(
    hub: Hub, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MOST_SOCKETS", 2)
    async with Page(hub, session) as one, Page(hub, session) as other, Page(hub, session) as third:
        await one.watch()
        await other.watch()

        assert (await third.closed()).code == 4429
        assert await one.watch()


async def test_a_page_that_never_acknowledges_is_cut_off(
    hub: Hub, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "ACK_SECONDS", 0.3)
    async with Page(hub, session) as deaf, Page(hub, session) as other:
        deaf.acknowledges = False
        await other.watch("requests")
        await deaf.watch("requests")
        end = await deaf.closed()

        assert (end.code, end.why) == (4408, "too slow")
        assert await other.watch("requests")
        assert [update["n"] for update in deaf.messages if "n" in update] == [1]


async def test_a_sign_out_ends_its_sockets_at_once(hub: Hub, session: str) -> None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session)
    async with Page(hub, session) as page:
        await page.watch("requests")
        await in_database(logout)(request)
        end = await page.closed()

    assert (end.code, end.why) == (4401, "signed out")


async def test_a_session_is_looked_at_again(
    page: Page, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "SESSION_SECONDS", 0.05)
    async with page:
        await page.watch("requests")
        await in_database(lambda: get_user_model().objects.update(is_active=False))()

        assert (await page.closed()).code == 4401


async def test_messages_ask_the_database_for_no_session(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(wraps=is_session_of_operator)
    monkeypatch.setattr(consumer, "is_session_of_operator", asked)
    async with page:
        for _ in range(4):
            await page.watch("requests", "log")

    assert asked.call_count == 1


async def test_a_quiet_socket_is_told_the_time(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "QUIET_SECONDS", 0.05)
    async with page:
        assert (await page.next("now"))["now"] > 0


async def test_the_listener_ends_with_the_last_socket(hub: Hub, session: str) -> None:
    assert not activity._listening
    async with Page(hub, session) as one:
        await one.watch("requests")
        async with Page(hub, session) as other:
            await other.watch("log")
            assert len(activity._listening) == 1
        assert len(activity._listening) == 1
    await asyncio.sleep(0.05)

    assert not activity._listening
    assert not hub._tasks


async def test_at_the_stop_each_is_told(hub: Hub, session: str) -> None:
    pages = [Page(hub, session) for _ in range(10)]
    for page in pages:
        await page.__aenter__()
        await page.watch("requests")
    stopping = asyncio.create_task(hub.stop())
    ends = [await page.closed() for page in pages]
    for page in pages:
        await page.__aexit__()
    await stopping

    assert {(end.code, end.why) for end in ends} == {(1001, "stopping")}
    async with Page(hub, session) as late:
        assert (await late.closed()).code == 1001
