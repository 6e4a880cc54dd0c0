"""What open pages cost. Function calls and updates are counted: times vary on a busy machine."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import dashboard.live
from dashboard.live.hub import MOST_SOCKETS
from dashboard.live.outbox import SLOWEST_UPDATE_SECONDS, UPDATES_A_SECOND, seconds_between_updates
from gateway.telemetry import activity
from tests.dashboard.live.conftest import Page
from tests.dashboard.live.test_hub import record_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from dashboard.live.hub import Hub
    from gateway.service import Gateway

REQUESTS = 60


@pytest.mark.parametrize(("sockets", "seconds"), [(1, 0.2), (4, 0.2), (10, 0.5), (20, 1.0), (50, 1.0)])
def test_the_pace_falls_with_the_number_of_pages(sockets: int, seconds: float) -> None:
    assert seconds_between_updates(sockets) == seconds


def test_pages_together_get_a_bounded_number_of_updates() -> None:
    for sockets in range(1, MOST_SOCKETS + 1):
        a_second = sockets / seconds_between_updates(sockets)
        assert a_second <= max(UPDATES_A_SECOND, MOST_SOCKETS / SLOWEST_UPDATE_SECONDS)


class Calls:
    count = 0


@contextmanager
def counted() -> Iterator[Calls]:
    """Counts the calls to and from the code of live pages, in this thread."""
    calls, ours = Calls(), (dashboard.live.__path__[0], activity.__file__)

    def note(frame: FrameType, event: str, _: Any) -> None:
        calls.count += event in {"call", "c_call"} and frame.f_code.co_filename.startswith(ours)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def calls_of_a_request(hub: Hub, session: str, gateway: Gateway, *, pages: int) -> float:
    """Of one among so many that come at once."""
    async with AsyncExitStack() as stack:
        watching = [await stack.enter_async_context(Page(hub, session)) for _ in range(pages)]
        for page in watching:
            await page.watch("requests")
        with counted() as calls:
            for number in range(REQUESTS):
                await record_one(gateway, f"req-{number}")
            last = f"req-{REQUESTS - 1}"
            await asyncio.gather(*(page.until(lambda page: page.row(last)) for page in watching))
    return calls.count / REQUESTS


async def test_pages_cost_a_request_few_calls(hub: Hub, session: str, gateway: Gateway) -> None:
    one = await calls_of_a_request(hub, session, gateway, pages=1)
    ten = await calls_of_a_request(hub, session, gateway, pages=10)

    assert one < 50
    assert ten < 80  # of some 2,000 for the whole of a small request
