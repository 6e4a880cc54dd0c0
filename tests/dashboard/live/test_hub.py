"""What pages are told of requests, changes and log lines, with the gateway in this process."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from channels.layers import get_channel_layer
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import live_settings
from accounts.models import Account
from dashboard.live import hub as hub_module
from dashboard.live.protocol import Row
from dashboard.live.stored_rows import NEWEST_ROWS, read_rows
from dashboard.requests.operator_text import names_by_label
from gateway.ledger import instances
from gateway.ledger.record import RequestRecord
from gateway.ledger.search import Search
from gateway.models import ModelRoute
from gateway.telemetry.activity import LISTENERS, Activity
from tests.dashboard.live.conftest import Page
from tests.gateway.conftest import a_body, in_database
from tests.gateway.ledger.builders import an_open_record, keep

if TYPE_CHECKING:
    import httpx

    from dashboard.live.hub import Hub
    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"
HOSTILE = "<script>alert(1)</script>\u202e"
logger = logging.getLogger("gateway.tests")


def a_record(request_id: str, **changes: Any) -> RequestRecord:
    return RequestRecord(request_id=request_id, client="tests", session_id="", request_bytes=10, **changes)


async def record_one(gateway: Gateway, request_id: str, **changes: Any) -> None:
    """A request that is answered at once."""
    record = a_record(request_id)
    await gateway.recorder.open(record)
    for name, value in changes.items():
        setattr(record, name, value)
    record.succeed()
    gateway.recorder.close(record)


async def until_written(gateway: Gateway) -> None:
    async with asyncio.timeout(10):
        while gateway.ledger.waiting:
            await asyncio.sleep(0.02)


async def test_a_row_appears_changes_and_settles(
    page: Page, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account=ADA)
    google.state.fault("stall_before_headers", seconds=0.5)
    async with page:
        await page.watch("requests")
        asking = asyncio.create_task(
            client.post("/v1/messages", json=a_body(), headers={"x-request-id": "req-7"})
        )
        await page.until(lambda page: page.row("req-7").get("rev") == 3)
        await asking

    seen = [
        dict(zip(page.columns, row, strict=True))
        for update in page.messages
        for row in update.get("rows", [])
    ]
    revs = [row["rev"] for row in seen if row["request_id"] == "req-7"]
    failed = next(row for row in seen if row["rev"] == 1)
    row = page.row("req-7")
    assert revs == sorted(set(revs))
    assert (failed["outcome"], failed["detail"]) == ("open", "quota → next account")
    assert (row["outcome"], row["status"], row["attempts"]) == ("answered", 200, 2)
    assert row["output_tokens"] > 0
    assert page.totals["in_flight"] == 0


async def test_totals_count_what_each_account_has_in_flight(
    page: Page, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("stall_before_headers", seconds=1)
    ada = await in_database(Account.objects.get)(email=ADA)
    async with page:
        await page.watch()
        asking = asyncio.create_task(client.post("/v1/messages", json=a_body()))
        await page.until(lambda page: page.totals["accounts"] == {str(ada.pk): 1})
        await asking
        await page.until(lambda page: page.totals["accounts"] == {})


async def test_rows_are_the_same_from_memory_and_ledger(
    page: Page, client: httpx.AsyncClient, gateway: Gateway
) -> None:
    async with page:
        await page.watch("requests")
        await client.post("/v1/messages", json=a_body(), headers={"x-request-id": "req-7"})
        await page.until(lambda page: page.row("req-7").get("rev") == 3)
        await until_written(gateway)

    [stored] = await in_database(read_rows)(Search())
    assert Row(**page.row("req-7")) == stored


async def test_a_page_opened_later_has_it_all(hub: Hub, session: str, gateway: Gateway) -> None:
    record = a_record("req-open", client_model=HOSTILE)
    await gateway.recorder.open(record)
    for number in range(NEWEST_ROWS + 20):
        await record_one(gateway, f"req-{number}")
    await until_written(gateway)
    async with Page(hub, session) as page:
        snapshot = await page.watch("requests")
    gateway.recorder.close(record)

    assert len(snapshot["rows"]) == NEWEST_ROWS + 1
    assert page.row("req-open")["client_model"] == HOSTILE
    assert (page.row("req-open")["outcome"], page.row("req-69")["outcome"]) == ("open", "answered")


async def test_what_the_database_gets_late_is_sent_later(
    page: Page, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LATE_SECONDS", 0.7)
    await record_one(gateway, "req-just-ended")
    async with page:
        snapshot = await page.watch("requests")
        await page.until(lambda page: page.row("req-just-ended"))

    assert snapshot["rows"] == []


async def test_a_filter_holds_in_snapshot_and_deltas(page: Page, gateway: Gateway) -> None:
    for name in ("before-1", "before-2"):
        await record_one(gateway, name, problem="api_error" if name == "before-2" else None)
    await until_written(gateway)
    async with page:
        await page.watch("requests", filter={"errors": True})
        await record_one(gateway, "live-1")
        await record_one(gateway, "live-2", problem="overloaded_error")
        await page.until(lambda page: page.row("live-2"))

    assert {row["request_id"] for row in page.rows.values()} == {"before-2", "live-2"}


async def test_changes_are_told_by_their_name(
    hub: Hub, session: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.live.outbox.CHANGED_SECONDS", 0.0)
    changes = {
        "accounts": lambda: Account.objects.get(email=ADA).save(),
        "routes": lambda: ModelRoute.objects.create(client_name="mine", upstream_model="gemini-3-flash"),
        "settings": lambda: live_settings.change("MAX_RETRIES", "3", by="tests"),
    }
    async with Page(hub, session) as page:
        await page.watch()
        for what, change in changes.items():
            await in_database(change)()
            await page.next("changed")
            assert what in page.changed
        gateway.accounts._next_inspection.clear()
        await page.until(lambda page: "quota" in page.changed)

    assert page.changed == {"accounts", "routes", "settings", "quota"}


async def test_log_lines_of_before_and_after_come_once(
    page: Page, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway.tests")
    logger.warning("before %s", HOSTILE)
    async with page:
        await page.watch("log", level="info")
        logger.debug("too small")
        for number in range(20):
            logger.info("live %d", number)
        await page.until(lambda page: page.lines and page.lines[-1][3] == "live 19")

    ours = [text for _, _, _, text in page.lines if text.startswith(("before", "live", "too"))]
    assert ours == ["before <script>alert(1)</script>\\u202e", *(f"live {number}" for number in range(20))]


async def test_updates_keep_their_pace(page: Page, gateway: Gateway) -> None:
    async with page:
        await page.watch("requests", "log")
        ends = time.monotonic() + 1.5
        times = []
        while time.monotonic() < ends:
            for _ in range(20):
                await record_one(gateway, f"req-{random.random()}")
            await page.receive()
            times.append(time.monotonic())

    assert len(times) >= 4
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[5:], strict=False))


async def test_a_missing_batch_leads_to_one_snapshot(page: Page, gateway: Gateway) -> None:
    async with page:
        await page.watch("requests")
        await record_one(gateway, "req-1")
        await page.until(lambda page: page.row("req-1"))
        for number in (1, 3, 5, 8):
            batch = {"type": "activity.batch", "source": "9", "number": number, "missed": 0, "events": "[]"}
            layer = get_channel_layer()
            assert layer is not None
            await layer.group_send(LISTENERS, batch)
        await page.next("snapshot")
        await record_one(gateway, "req-2")
        await page.until(lambda page: page.row("req-2"))

    assert [message["t"] for message in page.messages].count("snapshot") == 2


async def test_a_server_that_begins_anew_leads_to_a_snapshot(page: Page, gateway: Gateway) -> None:
    other = Activity()
    await other.start("another")
    async with page:
        await page.watch("requests")
        await record_one(gateway, "req-1")
        await page.until(lambda page: page.row("req-1"))
        other.publish("log", {"number": 1, "level": "info", "request_id": "", "message": "hello"})
        await page.next("snapshot")
    await other.stop()


async def test_events_of_another_server_are_shown(page: Page) -> None:
    other = Activity()
    await other.start("another")
    async with page:
        await page.watch("log")
        while not other.has_listeners:
            await asyncio.sleep(0.01)
        other.publish("log", {"number": 1, "level": "info", "request_id": "", "message": "from afar"})
        await page.until(lambda page: any(line[3] == "from afar" for line in page.lines))
    await other.stop()


async def test_a_slow_page_harms_no_other_and_takes_no_memory(
    hub: Hub, session: str, gateway: Gateway
) -> None:
    async with Page(hub, session) as slow, Page(hub, session) as other:
        slow.acknowledges = False
        await slow.watch("requests", "log")
        await other.watch("requests")
        for number in range(2_000):
            await record_one(gateway, f"req-{number}")
            if number % 100 == 0:
                await asyncio.sleep(0)
                logger.warning("line %d", number)
        await other.until(lambda page: page.row("req-1999"))
        [waiting] = [socket.outbox for socket in hub.sockets if "log" in socket.outbox.watch.topics]

        assert len(waiting._rows) <= 200
        assert len(waiting._lines) <= 1_000


async def test_ten_pages_read_the_database_as_one(hub: Hub, session: str, gateway: Gateway) -> None:
    reads = Mock(wraps=read_rows)
    pages = [Page(hub, session) for _ in range(10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "read_rows", reads)
        for page in pages:
            await page.__aenter__()
            await page.watch("requests")
        before = reads.call_count
        hub._close_gap()
        for page in pages:
            await page.next("snapshot")
        after = reads.call_count
    for page in pages:
        await page.__aexit__()

    assert after - before <= 1 + len(pages)  # one for all, and looks again that were due
    assert after - before >= 1


async def test_a_snapshot_takes_two_queries(gateway: Gateway) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            read_rows(Search())
        return len(queries)

    await in_database(names_by_label)()  # kept for a minute
    assert await in_database(count)() == 2


async def test_two_thousand_random_requests_end_as_in_the_ledger(
    hub: Hub, session: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "GAP_SECONDS", 0.5)
    dice = random.Random(7)

    async def one(number: int) -> None:
        record = a_record(f"req-{number % 500}")  # clients use ids again
        await gateway.recorder.open(record)
        await asyncio.sleep(dice.random() * 0.5)
        if dice.random() < 0.5:
            record.first_event_seconds = 0.1
            gateway.recorder._tell("first_event", record)
            await asyncio.sleep(dice.random() * 0.5)
        if dice.random() < 0.7:
            record.succeed()
        gateway.recorder.close(record)

    async def traffic() -> None:
        running = []
        for number in range(2_000):
            running.append(asyncio.create_task(one(number)))
            if number % 20 == 0:
                await asyncio.sleep(0.02)
        await asyncio.gather(*running)
        await until_written(gateway)

    async with Page(hub, session) as page:
        await page.watch("requests")
        working = asyncio.create_task(traffic())
        while not working.done():
            await page.receive()
        await working
        wanted = {row.id: row for row in await in_database(read_rows)(Search())}
        await page.until(lambda page: newest(page) == wanted)


def newest(page: Page) -> dict[str, Row]:
    rows = sorted((Row(**row) for row in page.rows.values()), key=lambda row: -row.started_at)
    return {row.id: row for row in rows[:NEWEST_ROWS]}


async def test_rows_of_another_server_come_too(
    hub: Hub, page: Page, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "OTHERS_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "connection", Mock(vendor="postgresql"))
    another = await in_database(instances.register)("")
    async with page:
        await page.watch("requests", filter={"client": "loopback"})
        theirs = an_open_record(started_at=time.time())
        await in_database(keep)(
            theirs, an_open_record(client="not asked for", started_at=time.time()), instance_id=another.pk
        )
        await page.until(lambda page: page.row(theirs.request_id) and page.totals["in_flight"] == 2)

    assert len(page.rows) == 1
