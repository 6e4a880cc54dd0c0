"""The ledger as a server has it, with its thread, over the real database file."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.utils import timezone

from gateway.errors import Unavailable
from gateway.ledger import instances
from gateway.ledger.writer import Ledger
from gateway.models import RequestLog, ServerInstance
from tests.gateway.conftest import in_database
from tests.gateway.ledger.builders import (
    a_record,
    an_attempt,
    an_open_record,
    answer,
    counts,
    keep,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gateway.ledger.record import RequestRecord

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@asynccontextmanager
async def a_ledger(**options: Any) -> AsyncIterator[Ledger]:
    ledger = Ledger(**options)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.stop()


@contextmanager
def locked_database() -> Iterator[None]:
    """Somebody else writes, and takes their time."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


async def opened(ledger: Ledger, **changes: Any) -> RequestRecord:
    record = an_open_record(id=0, started_at=time.time(), **changes)
    await ledger.open(record)
    return record


def outcomes() -> list[str]:
    return sorted(row.outcome for row in RequestLog.objects.all())


async def until(expected: list[str], seconds: float = 2.0) -> None:
    """Until the rows are these."""
    latest = time.monotonic() + seconds
    while (found := await in_database(outcomes)()) != expected:
        assert time.monotonic() < latest, found
        await asyncio.sleep(0.02)


async def until_the_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(10):
        while said("cannot be written", caplog) == 0:
            await asyncio.sleep(0.05)


def said(words: str, caplog: pytest.LogCaptureFixture) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


async def test_a_request_is_a_row_within_a_second_and_then_its_end() -> None:
    async with a_ledger() as ledger:
        record = await opened(ledger)
        await until(["open"])

        ledger.close(answer(record))
        await until(["answered"])

    row = await RequestLog.objects.aget()
    assert (row.pk, row.instance_id) == (record.id, ledger.instance_id)
    assert await in_database(counts)() == {"requests": 1, "attempts": 1}


async def test_its_first_content_is_news() -> None:
    async with a_ledger() as ledger:
        record = await opened(ledger)
        await until(["open"])
        record.attempts, record.first_event_seconds = [an_attempt()], 0.5

        ledger.note(record)
        await asyncio.sleep(0.6)

        row = await RequestLog.objects.aget()
        assert (row.account, row.first_event_seconds, row.outcome) == ("ada@example.com", 0.5, "open")


async def test_a_request_ended_before_its_write_is_one_row() -> None:
    async with a_ledger() as ledger:
        record = await opened(ledger)
        ledger.close(answer(record))

        assert ledger.waiting == 1
        await until(["answered"])

    assert await in_database(counts)() == {"requests": 1, "attempts": 1}


async def test_requests_have_different_ids() -> None:
    async with a_ledger() as ledger:
        ids = {(await opened(ledger)).id for _ in range(20)}

    assert len(ids) == 20
    assert min(ids) > ledger.instance_id * ServerInstance.REQUESTS_EACH


async def test_many_at_once_are_all_written() -> None:
    async with a_ledger() as ledger:
        for record in [await opened(ledger) for _ in range(1300)]:
            ledger.close(answer(record))

        await until(["answered"] * 1300, seconds=5)

    assert await in_database(counts)() == {"requests": 1300, "attempts": 1300}


async def test_the_end_writes_what_is_left() -> None:
    async with a_ledger() as ledger:
        for _ in range(700):
            ledger.close(answer(await opened(ledger)))

    assert ledger.waiting == 0
    assert await RequestLog.objects.acount() == 700
    assert (await ServerInstance.objects.aget()).ended_at is not None


async def test_a_request_still_under_way_at_the_end_is_interrupted() -> None:
    """The next server says so, at the latest."""
    async with a_ledger() as ledger:
        await opened(ledger)

    async with a_ledger():
        await until(["interrupted"])


async def test_a_server_that_begins_closes_what_the_one_before_left_open() -> None:
    former = Ledger()
    await former.start()
    await opened(former)
    await until(["open"])

    async with a_ledger():
        await until(["interrupted"])

    await former.stop()


async def test_without_days_to_keep_nothing_is_written(keep_for_days: Callable[[int], None]) -> None:
    keep_for_days(0)

    async with a_ledger() as ledger:
        record = await opened(ledger)
        ledger.note(record)
        ledger.close(answer(record))
        assert (record.id, ledger.waiting) == (0, 0)

    assert not await RequestLog.objects.aexists()
    assert await in_database(counts)() == {}


async def test_what_is_old_goes_when_a_server_begins(keep_for_days: Callable[[int], None]) -> None:
    keep_for_days(1)
    old = a_record(started_at=time.time() - 100_000)
    await in_database(keep)(old, a_record(started_at=time.time()))

    async with a_ledger():
        await until(["answered"])

    assert not await RequestLog.objects.filter(pk=old.id).aexists()


# A database that takes no rows


async def test_while_the_database_is_locked_nothing_is_lost_and_nobody_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_ledger(queue_rows=50, longest_wait_seconds=0.3) as ledger:
        with locked_database():
            records = [await opened(ledger) for _ in range(50)]
            await until_the_failure_is_logged(caplog)
            for record in records[:20]:
                ledger.close(answer(record))

        await until(["answered"] * 20 + ["open"] * 30, seconds=4)
        for record in records[20:]:
            ledger.close(answer(record))

    assert await RequestLog.objects.acount() == 50
    assert await in_database(counts)() == {"requests": 50, "attempts": 50}


async def test_when_too_many_wait_a_request_is_refused_for_a_moment() -> None:
    async with a_ledger(queue_rows=50, longest_wait_seconds=0.3) as ledger:
        with locked_database():
            for _ in range(50):
                ledger.close(answer(await opened(ledger)))
            started = time.monotonic()
            with pytest.raises(Unavailable) as raised:
                await opened(ledger)
            waited = time.monotonic() - started

    assert raised.value.retry_after_seconds == 5
    assert 0.25 < waited < 1.5
    assert await in_database(counts)() == {"requests": 50, "attempts": 50}


async def test_a_refused_request_is_not_in_the_ledger() -> None:
    async with a_ledger(queue_rows=1, longest_wait_seconds=0.05) as ledger:
        with locked_database():
            await opened(ledger)
            refused = an_open_record(id=0)
            with pytest.raises(Unavailable):
                await ledger.open(refused)
            ledger.close(answer(refused))

            assert refused.id == 0
            assert ledger.waiting == 1


async def test_a_request_that_waits_for_room_goes_on_when_there_is_some() -> None:
    async with a_ledger(queue_rows=50, longest_wait_seconds=5) as ledger:
        with locked_database():
            for _ in range(50):
                await opened(ledger)
            waits = asyncio.create_task(opened(ledger))
            await asyncio.sleep(0.4)
            assert not waits.done()

        assert (await waits).id


async def test_a_request_that_ends_while_it_is_being_written_takes_one_place() -> None:
    async with a_ledger(queue_rows=50, longest_wait_seconds=0.3) as ledger:
        with locked_database():
            records = [await opened(ledger) for _ in range(30)]
            await asyncio.sleep(0.5)  # the writer has them in hand
            for record in records:
                ledger.close(answer(record))

            assert ledger.waiting == 30


async def test_the_end_waits_for_the_database() -> None:
    ledger = Ledger()
    await ledger.start()
    with locked_database():
        ledger.close(answer(await opened(ledger)))
        stopping = asyncio.create_task(ledger.stop())
        await asyncio.sleep(0.5)
        assert not stopping.done()

    await stopping

    assert await in_database(outcomes)() == ["answered"]


async def test_an_outage_and_its_end_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with a_ledger() as ledger:
        with locked_database():
            await opened(ledger)
            await until_the_failure_is_logged(caplog)
        await until(["open"], seconds=4)

    assert said("cannot be written", caplog) == 1
    assert said("is written again", caplog) == 1


# What no table takes


@pytest.mark.parametrize(
    "mistake",
    [
        {"duration_seconds": float("nan")},
        {"client": None},
        {"session_id": "\ud800"},
        {"request_bytes": 2**70},
        {"session_id": object()},
        {"started_at": 1e300},
    ],
    ids=["not a number", "null", "lone surrogate", "too large", "no text", "no time"],
)
async def test_a_record_that_no_table_takes_keeps_no_other_out(
    mistake: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with a_ledger() as ledger:
        records = [await opened(ledger) for _ in range(5)]
        for name, value in mistake.items():
            setattr(records[2], name, value)
        for record in records:
            ended = answer(record)
            for name, value in mistake.items() if record is records[2] else ():
                setattr(ended, name, value)
            ledger.close(ended)

        await until(["answered"] * 4)

    assert await in_database(counts)() == {"requests": 4, "attempts": 4}
    assert said("Not in the ledger", caplog) == 1


async def test_after_a_record_that_no_table_takes_others_are_written() -> None:
    async with a_ledger() as ledger:
        bad = await opened(ledger, client=None)
        ledger.close(answer(bad))
        await asyncio.sleep(0.5)

        ledger.close(answer(await opened(ledger)))
        await until(["answered"])


# Taken for dead


async def test_a_request_ended_before_the_lease_check_counts_once() -> None:
    """After a computer's sleep, say, the writer may be faster than the touch that notices it."""
    async with a_ledger() as ledger:
        record = await opened(ledger)
        await until(["open"])
        await in_database(expire_lease)(ledger.instance_id)
        await until(["interrupted"])

        ledger.close(answer(record))
        await until(["answered"])

    assert await in_database(counts)() == {"requests": 1, "attempts": 1}


def expire_lease(instance_id: int) -> None:
    long_ago = timezone.now() - timedelta(seconds=61)
    ServerInstance.objects.filter(pk=instance_id).update(seen_at=long_ago)
    assert instances.close_rows_of_expired(0) == 1
