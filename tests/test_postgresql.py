"""The same gateway on PostgreSQL: a server of its own, made for these tests and thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx
import psycopg
import pytest

from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.upstreams.emulator.server import EmulatorServer

pytestmark = pytest.mark.needs("postgresql")

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="antigravity-proxy-postgresql-"))
    port = free_port()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")  # PostgreSQL refuses to run as root
    run("initdb", "-D", f"{folder}/data", "-U", "proxy", "--auth=trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")
    try:
        yield f"postgres://proxy@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def run(program: str, *arguments: str) -> None:
    command = [str(PROGRAMS[-1] / program), *arguments]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def empty_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return database_url


def test_requests_are_answered_and_rests_survive_a_kill(
    empty_database: str, emulator: EmulatorServer, tmp_path: Path
) -> None:
    emulator.state.fault("quota_exhausted", account="ada@example.com", times=None)
    with LiveGateway(emulator, tmp_path, DATABASE_URL=empty_database, ACCOUNT_STRATEGY="sticky") as gateway:
        first = ask(gateway)
        time.sleep(0.5)
        gateway.process.kill()
        gateway.process.wait()
        emulator.state.log.clear()
        gateway.start()
        second = ask(gateway)

    assert (first.status_code, second.status_code) == (200, 200)
    assert "ada@example.com" not in {entry.account for entry in emulator.state.log.generations()}
    assert not (tmp_path / "proxy.sqlite3").exists()


def test_two_servers_share_the_accounts_and_one_refresh_of_each_token(
    empty_database: str, emulator: EmulatorServer, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    keys = {"CREDENTIALS_KEYS": "t_ZbUSJfgqHpVvZTl9WjvMOH0zQAk8rZ6Y7oyhEXdZE=", "SECRET_KEY": "shared"}
    with (
        LiveGateway(emulator, folders[0], DATABASE_URL=empty_database, **keys) as one,
        LiveGateway(emulator, folders[1], DATABASE_URL=empty_database, **keys) as two,
    ):
        for gateway in (one, two):
            ask(gateway)
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
    assert sorted(refreshed) == sorted(set(refreshed))


def ask(gateway: LiveGateway) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/messages", json=a_body(), timeout=30)
