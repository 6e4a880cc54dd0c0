"""What happens to the ledger when the server is killed, and when the database does not take its rows."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.delivery.behaviour import pace
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.faults.load import Load, name_in, rows_of
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PER_SECOND = 200
SECONDS_BEFORE_THE_KILL = 5.0
A_SECOND = 1.0
LOCKED_SECONDS = 10.0


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(EmulatorState(log_size=100_000)) as server:
        server.state.lift_quotas()
        server.state.pace = pace(chunk_delay=0.05, chunk_count=4)
        yield server


@pytest.fixture
def gateway(emulator: EmulatorServer, tmp_path: Path) -> Iterator[LiveGateway]:
    with LiveGateway(emulator, tmp_path, MAX_CONCURRENT_REQUESTS="0", LOG_LEVEL="warn") as gateway:
        yield gateway


@contextmanager
def running(load: Load, seconds: float) -> Iterator[None]:
    thread = threading.Thread(target=lambda: asyncio.run(load.run(seconds)))
    thread.start()
    try:
        yield
    finally:
        load.is_over = True
        thread.join()


def test_a_killed_server_leaves_one_row_for_each_request_it_had_accepted(
    gateway: LiveGateway, emulator: EmulatorServer, tmp_path: Path
) -> None:
    emulator.state.fault("stall_mid_stream", seconds=60, after_chunks=2, times=40)
    load = Load(gateway.url, PER_SECOND)

    with running(load, 2 * SECONDS_BEFORE_THE_KILL):
        time.sleep(SECONDS_BEFORE_THE_KILL)
        gateway.stop(signal.SIGKILL)
        killed_at = time.time()
    gateway.start()

    rows = {row["request_id"]: row for row in rows_of(tmp_path)}
    assert len(rows) == len(rows_of(tmp_path))
    assert not [row for row in rows.values() if row["duration_seconds"] is None and row["problem"] is None]
    received = {name_in(entry): entry.received_at for entry in emulator.state.log.generations()}
    accepted = [name for name, at in received.items() if name and at < killed_at - A_SECOND]
    assert len(accepted) > PER_SECOND * (SECONDS_BEFORE_THE_KILL - 2)
    assert [name for name in accepted if name not in rows] == []
    for name in accepted:
        asked = load.asked[name]
        assert asked.ended_at is not None
        if asked.status == 200 and asked.ended_at < killed_at - A_SECOND:
            assert rows[name]["problem"] is None, name
        elif asked.status == 0 or asked.ended_at > killed_at:
            assert rows[name]["problem"] == "interrupted", name
    assert sum(row["problem"] == "interrupted" for row in rows.values()) >= 40


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Another process holds the write lock."""
    other = sqlite3.connect(data_dir / "proxy.sqlite3", isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def test_clients_do_not_notice_a_database_locked_for_ten_seconds(
    gateway: LiveGateway, emulator: EmulatorServer, tmp_path: Path
) -> None:
    load = Load(gateway.url, PER_SECOND)

    with running(load, 60):
        time.sleep(1)
        with locked(tmp_path):
            time.sleep(LOCKED_SECONDS)
        time.sleep(1)
    gateway.stop()

    assert len(load.asked) > PER_SECOND * LOCKED_SECONDS
    assert Counter(asked.status for asked in load.asked.values()) == {200: len(load.asked)}
    rows = rows_of(tmp_path)
    assert sorted(row["request_id"] for row in rows) == sorted(load.asked)
    assert all(row["problem"] is None and row["duration_seconds"] is not None for row in rows)
    assert "The ledger cannot be written" in gateway.output
    assert "database is locked" in gateway.output
    assert "The ledger is written again" in gateway.output
