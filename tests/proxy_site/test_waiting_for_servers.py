"""When a command returns, running servers use its change, and requests sent right after it are answered."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from django.utils import timezone

from accounts.models import Revision
from gateway.ledger import instances
from gateway.models import ServerInstance
from proxy_site.data_dir import sole_server
from proxy_site.waiting_for_servers import NOT_YET, PATIENCE_SECONDS, wait_for_servers
from tests.gateway.conftest import a_body
from tests.live_gateway import PROJECT, accounts_file, clean_environment, free_port, manage
from tests.test_first_run import Server

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

EIGHT = 8


@pytest.fixture
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def a_server(**facts: object) -> ServerInstance:
    now = timezone.now()
    return ServerInstance.objects.create(**{"process_id": 1, "started_at": now, "seen_at": now, **facts})


def test_eight_requests_at_once_right_after_an_import_are_all_answered(
    emulator: EmulatorServer, tmp_path: Path
) -> None:
    env = clean_environment(tmp_path / "data", **emulator.gateway_settings())
    file = tmp_path / "accounts.json"
    file.write_bytes(accounts_file(emulator))
    port = free_port()

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{port}/v1/messages", json=a_body(), timeout=30)

    with Server(str(port), env=env) as server, ThreadPoolExecutor(EIGHT) as clients:
        server.banner()
        before = ask(0)
        with subprocess.Popen(
            [sys.executable, "manage.py", "importaccounts", str(file), "--accept-terms"],
            cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as command:  # fmt: skip
            assert command.stdout is not None
            assert command.stderr is not None
            first_line = command.stdout.readline()  # the accounts are in; the command waits for the server
            at_once = list(clients.map(ask, range(EIGHT)))
            more, said = command.stdout.read(), command.stderr.read()
        server.stop(signal.SIGKILL)
        began = time.monotonic()
        after_a_kill = manage("disableaccount", "ada@example.com", env=env)
        seconds = time.monotonic() - began

    assert (before.status_code, before.headers["x-should-retry"]) == (503, "false")
    assert first_line.startswith("added")
    assert [answer.status_code for answer in at_once] == [200] * EIGHT
    assert more.splitlines()[-1] == "3 added, 0 updated, 0 failed"
    assert NOT_YET not in said
    assert (after_a_kill.returncode, after_a_kill.stderr) == (0, b"")
    assert seconds < 20  # it is never waited for; starting takes its time on a busy machine


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "taken", "is_waited_for"),
    [
        ({}, 0, True),
        ({}, 1, False),
        ({}, None, True),  # older code, which writes nothing
        ({"ended_at": timezone.now()}, None, False),
        ({"seen_at": timezone.now() - instances.LEASE}, None, False),
    ],
)
def test_only_running_servers_that_are_behind_are_waited_for(
    facts: dict[str, object], taken: int | None, is_waited_for: bool, data_dir: Path
) -> None:
    server = a_server(**facts)
    Revision.objects.all().delete()
    Revision.bump()
    if taken is not None:
        Revision.acknowledge(server.pk, taken)

    began = time.monotonic()
    with sole_server(data_dir):
        has_taken = wait_for_servers()
    seconds = time.monotonic() - began

    assert has_taken is not is_waited_for
    assert (seconds >= PATIENCE_SECONDS) is is_waited_for


@pytest.mark.django_db
def test_without_a_server_nothing_is_waited_for(data_dir: Path) -> None:
    a_server()
    Revision.bump()

    began = time.monotonic()
    assert wait_for_servers()
    assert time.monotonic() - began < PATIENCE_SECONDS / 2


@pytest.mark.django_db
def test_a_server_that_ends_leaves_no_number_behind() -> None:
    server = instances.register("")
    Revision.acknowledge(server.pk, 1)

    instances.end(server.pk)

    assert not Revision.servers_up_to_date(0)
