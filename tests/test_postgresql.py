"""The same gateway on PostgreSQL: a server of its own, made for these tests and thrown away."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import parse_qs

import httpx
import orjson
import psycopg
import pytest

from gateway.ledger.writer import SWEEP_SECONDS
from proxy_site.emulator.pretend_model.replies import function_call
from proxy_site.waiting_for_servers import NOT_YET
from tests.builders import a_tool, a_tool_result
from tests.clients.raw_http import Wire, request_bytes
from tests.faults.load import Load
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway, clean_environment, manage
from tests.postgresql import empty, run, running_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.needs("postgresql")

REQUESTS = "gateway_requestlog"
PLANS = """
import json
from datetime import timedelta
from django.db import connection
from django.utils import timezone
from dashboard.views.overview import shown_rows
from gateway.ledger.search import Search
from gateway.models import RequestLog
now = timezone.now()
RequestLog.objects.bulk_create(
    RequestLog(id=n, instance_id=1, request_id=f"r{n}", started_at=now - timedelta(seconds=n),
               client=f"c{n % 40}", session_id=f"s{n % 90}",
               account=f"a{n % 40}", upstream_model=f"m{n % 40}",
               problem="api_error" if n % 50 == 0 else None, status=502 if n % 50 == 0 else 200,
               attempts=1, duration_seconds=1.0)
    for n in range(1, 5001)
)
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
wanted = [{}, {"account": "a1"}, {"model": "m1"}, {"client": "c1"}, {"session": "s1"}, {"request_id": "r1"},
          {"errors": True}, {"status": 502}]
plans = [Search(**one).at_first(now).rows()[:50].explain() for one in wanted]
plans.append(shown_rows(3000, now - timedelta(days=1)).explain())
print(json.dumps(plans))
"""
INDEXES = [
    *("request_newest", "request_by_account", "request_by_model", "request_by_client"),
    *("request_by_session", "request_by_id", "request_with_problem", "request_with_problem"),
]


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


@pytest.fixture
def empty_database(database_url: str) -> str:
    empty(database_url)
    return database_url


def test_requests_are_answered_and_cooldowns_survive_a_kill(
    empty_database: str, emulator: EmulatorServer, tmp_path: Path
) -> None:
    emulator.state.fault("quota_exhausted", account="ada@example.com", times=None)
    with LiveGateway(emulator, tmp_path, DATABASE_URL=empty_database, ACCOUNT_STRATEGY="sticky") as gateway:
        first = ask(gateway)
        wait_until(lambda: cooldowns(empty_database) > 0)
        gateway.stop(signal.SIGKILL)
        emulator.state.log.clear()
        gateway.start()
        second = ask(gateway)

    assert (first.status_code, second.status_code) == (200, 200)
    assert "ada@example.com" not in {entry.account for entry in emulator.state.log.generations()}
    assert not (tmp_path / "proxy.sqlite3").exists()


def test_a_page_is_read_from_the_index_of_its_filter(empty_database: str, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, DATABASE_URL=empty_database)
    assert manage("migrate", "-v0", env=env).returncode == 0

    plans = orjson.loads(manage("shell", "-v0", "-c", PLANS, env=env).stdout)

    *of_filters, of_overview = plans
    expected = zip(INDEXES, of_filters, strict=True)
    assert [index in plan for index, plan in expected] == [True] * len(INDEXES), plans
    assert "Seq Scan" not in of_overview, of_overview


@pytest.fixture
def two_gateways(
    empty_database: str, emulator: EmulatorServer, tmp_path: Path
) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    settings = {
        "DATABASE_URL": empty_database,
        "CREDENTIALS_KEYS": "t_ZbUSJfgqHpVvZTl9WjvMOH0zQAk8rZ6Y7oyhEXdZE=",
        "SECRET_KEY": "shared",
        "MAX_CONCURRENT_REQUESTS": "0",
    }
    with (
        LiveGateway(emulator, folders[0], **settings) as one,
        LiveGateway(emulator, folders[1], **settings) as two,
    ):
        yield one, two


def test_two_servers_share_the_accounts_and_one_refresh_of_each_token(
    two_gateways: tuple[LiveGateway, LiveGateway], emulator: EmulatorServer
) -> None:
    one, two = two_gateways
    for gateway in (one, two):
        ask(gateway)
    # A first token that comes later than the log is cleared would count as a refresh.
    inspections = 2 * len(emulator.state.accounts)
    wait_until(lambda: len(emulator.state.log.entries("fetchAvailableModels")) >= inspections)
    emulator.state.log.clear()
    emulator.state.expire_tokens()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, [one, two] * 10))
    listed = manage("listaccounts", "--json", env=two.env)

    refreshed = [
        parse_qs(entry.body.decode())["refresh_token"][0] for entry in emulator.state.log.entries("token")
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert listed.returncode == 0
    assert refreshed
    assert sorted(refreshed) == sorted(set(refreshed)), one.output + two.output


def test_a_command_returns_when_both_servers_have_taken_its_change(
    two_gateways: tuple[LiveGateway, LiveGateway],
) -> None:
    one, two = two_gateways
    emails = ["ada@example.com", "grace@example.com", "linus@example.com"]
    statuses = []
    for command in ("disableaccount", "enableaccount"):
        done = manage(command, *emails, env=two.env)
        statuses += [ask(gateway).status_code for gateway in two_gateways]
        assert done.stderr == b""
    one.process.send_signal(signal.SIGSTOP)
    try:
        hanging = manage("disableaccount", "ada@example.com", env=two.env)
    finally:
        one.process.send_signal(signal.SIGCONT)
    one.stop()
    two.stop()
    ended = manage("enableaccount", "ada@example.com", env=two.env)

    assert statuses == [503, 503, 200, 200]
    assert hanging.stderr.decode() == f"{NOT_YET}\n"
    assert ended.stderr == b""


def test_two_servers_keep_one_ledger(
    two_gateways: tuple[LiveGateway, LiveGateway], emulator: EmulatorServer, empty_database: str
) -> None:
    emulator.state.lift_quotas()
    loads = [Load(gateway.url, 60, first=number * 1000) for number, gateway in enumerate(two_gateways)]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda load: asyncio.run(load.run(3)), loads))
    for gateway in two_gateways:
        gateway.stop()

    asked = sorted([*loads[0].asked, *loads[1].asked])
    assert {one.status for load in loads for one in load.asked.values()} == {200}
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute(f"SELECT request_id FROM {REQUESTS} WHERE problem IS NULL").fetchall()
        sums = connection.execute("SELECT sum(requests), sum(attempts) FROM gateway_hourlyusage").fetchone()
    assert sorted(row[0] for row in rows) == asked
    assert sums == (len(asked), len(asked))


def test_only_rows_of_expired_servers_are_closed(
    two_gateways: tuple[LiveGateway, LiveGateway], emulator: EmulatorServer, empty_database: str
) -> None:
    one, two = two_gateways
    emulator.state.fault("stall_mid_stream", seconds=120, after_chunks=2)
    stream = Wire.to(one.url)
    stream.send(request_bytes(body=orjson.dumps(a_body(stream=True)), content_type="application/json"))
    stream.expect(b"200 OK")

    two.stop()
    two.start()
    wait_until(lambda: problems(empty_database) == [None])
    time.sleep(SWEEP_SECONDS)
    assert problems(empty_database) == [None]

    one.stop(signal.SIGKILL)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("UPDATE gateway_serverinstance SET seen_at = seen_at - interval '61 seconds'")
    wait_until(lambda: problems(empty_database) == ["interrupted"])
    stream.close()

    assert "1 of its requests were interrupted" in two.output


def test_a_server_finds_the_signatures_of_the_other(
    two_gateways: tuple[LiveGateway, LiveGateway], emulator: EmulatorServer, empty_database: str
) -> None:
    """The client keeps no thinking, and its result comes to another server than its question."""
    one, two = two_gateways
    emulator.state.reply(function_call("Read", {"path": "a"}))
    question = {"role": "user", "content": "Read a."}
    gemini = {"model": "gemini-3.1-pro-high", "tools": [a_tool("Read")]}
    asked = ask(one, messages=[question], **gemini).json()
    call = [block for block in asked["content"] if block["type"] == "tool_use"]
    wait_until(lambda: signed_calls(empty_database) == 1)

    result = {"role": "user", "content": [a_tool_result(call[0]["id"])]}
    answer = ask(two, messages=[question, {"role": "assistant", "content": call}, result], **gemini)

    sent = emulator.state.log.generations()[-1].envelope["request"]["contents"][1]["parts"][0]
    assert answer.status_code == 200
    assert emulator.state.signatures.is_genuine("gemini", sent["thoughtSignature"])


# It goes away under a running server


class Server:
    """The PostgreSQL of these tests, with all its processes."""

    def __init__(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        self.folder = Path(row[0])

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """With the options it had: restarting reads them from a file, and needs no server that runs."""
        run("pg_ctl", "-D", str(self.folder), "-l", f"{self.folder.parent}/log", "-w", "restart")

    def _signal(self, number: signal.Signals) -> None:
        parent = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            os.kill(pid, number)


@pytest.mark.parametrize(("leave", "come_back"), [(Server.freeze, Server.thaw), (Server.kill, Server.start)])
def test_without_the_database_the_api_goes_on_and_pages_are_503(
    leave: Callable[[Server], None],
    come_back: Callable[[Server], None],
    empty_database: str,
    emulator: EmulatorServer,
    tmp_path: Path,
) -> None:
    """The first account's token is refused meanwhile, and later the tokens of all run out."""
    server = Server(empty_database)
    settings = {"DATABASE_URL": empty_database, "ACCOUNT_STRATEGY": "sticky", "WEBUI_PASSWORD": "operator"}
    basic = ("admin", "operator")
    with LiveGateway(emulator, tmp_path, **settings) as gateway:
        first = ask(gateway)
        wait_until(
            lambda: len({one.account for one in emulator.state.log.entries("fetchAvailableModels")}) > 2
        )
        emulator.state.fault("unauthenticated", account="ada@example.com", times=None)
        emulator.state.log.clear()
        leave(server)
        try:
            took, health = timed(f"{gateway.url}/health", auth=basic)
            numbers_took, numbers = timed(f"{gateway.url}/account-limits", auth=basic)
            answer = ask(gateway)
            # The status is "degraded" before, when the first account is refused.
            wait_until(lambda: httpx.get(f"{gateway.url}/health").json()["database"] != "ok", 5)
            quick = [
                timed(f"{gateway.url}{path}", auth=basic) for path in ("/health", "/api/requests", "/admin/")
            ]
            emulator.state.expire_tokens()
            again = [ask(gateway) for _ in range(3)]
        finally:
            come_back(server)
        wait_until(lambda: httpx.get(f"{gateway.url}/health").json()["status"] == "ok", 10)
        wait_until(lambda: problems(empty_database) == [None] * 5)
        page = httpx.get(f"{gateway.url}/account-limits", auth=basic, timeout=30)

    assert {one.status_code for one in (first, health, answer, *again)} == {200}
    assert {"ada@example.com"} < {one.account for one in emulator.state.log.generations()}
    assert took < 1.0
    assert (numbers.status_code, numbers.json()["error"]["type"]) == (503, "api_error")
    assert numbers_took < 5
    assert [one.status_code for _, one in quick] == [200, 503, 503]
    assert max(seconds for seconds, _ in quick) < 1
    assert "PostgreSQL database postgres" in quick[0][1].json()["database"]
    assert page.status_code == 200


def test_a_frozen_database_does_not_block_the_stop(
    empty_database: str, emulator: EmulatorServer, tmp_path: Path
) -> None:
    server = Server(empty_database)
    with LiveGateway(emulator, tmp_path, DATABASE_URL=empty_database, ACCOUNT_STRATEGY="sticky") as gateway:
        ask(gateway)
        server.freeze()
        try:
            answer = ask(gateway)
            # The status is "degraded" before, when the first account is refused.
            wait_until(lambda: httpx.get(f"{gateway.url}/health").json()["database"] != "ok", 5)
            status = gateway.stop(timeout_seconds=15)
        finally:
            server.thaw()

    assert (answer.status_code, status) == (200, 1)
    assert "rows of the ledger could not be written before the end" in gateway.output


def timed(url: str, **options: Any) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = httpx.get(url, timeout=15, **options)
    return time.monotonic() - began, answer


def signed_calls(database_url: str) -> int:
    return count(database_url, "SELECT count(*) FROM gateway_callsignature")


def cooldowns(database_url: str) -> int:
    return count(database_url, "SELECT count(*) FROM accounts_cooldown")


def count(database_url: str, query: LiteralString) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def problems(database_url: str) -> list[str | None]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute(f"SELECT problem FROM {REQUESTS}").fetchall()]


def wait_until(is_so: Callable[[], bool], seconds: float = 2 * SWEEP_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask(gateway: LiveGateway, **changes: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/messages", json=a_body(**changes), timeout=30)
