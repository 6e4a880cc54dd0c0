from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest
from django.core.management import CommandError, call_command

from proxy_site.data_dir import LOCK, RunningServer, note_address, running_server, sole_server
from proxy_site.operation.running_server import ask, log_files, where_the_log_is
from proxy_site.version import version
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django.fixtures import Settings

NOT_RUNNING = 3
NOT_KNOWN = 4


@pytest.fixture
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    settings.PORT = free_port()
    return tmp_path


def a_process(proc: Path, targets: tuple[str, str], groups: str = "0::/") -> None:
    """Process 4711 in a folder like /proc, with what its standard output and standard error are."""
    (proc / "4711" / "fd").mkdir(parents=True)
    for number, target in enumerate(targets, 1):
        (proc / "4711" / "fd" / str(number)).symlink_to(target)
    (proc / "4711" / "cgroup").write_text(f"{groups}\n")


@contextmanager
def program(content: bytes, status: int = 200, only_at: str = "/") -> Iterator[str]:
    """An HTTP server that answers with `content`, by default at every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path.startswith(only_at) else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_the_running_server_in_ten_lines(shared_gateway: LiveGateway) -> None:
    httpx.post(f"{shared_gateway.url}/v1/messages", json={"model": "claude-sonnet-4-6"})
    httpx.post(f"{shared_gateway.url}/v1/messages", json=a_body())

    done = manage("status", env=shared_gateway.env)
    as_json = orjson.loads(manage("status", "--json", env=shared_gateway.env).stdout)

    lines = done.stdout.decode().splitlines()
    assert (done.returncode, len(lines)) == (0, 10)
    assert lines[0] == f"Antigravity Claude Proxy {version()} runs at {shared_gateway.url}"
    assert lines[1].startswith(f"  Process     {shared_gateway.process.pid}, since 20")
    assert lines[2] == "  Ready       yes"
    assert any("400 invalid_request_error req_" in line for line in lines)
    [row] = as_json["rows"]
    assert (as_json["ok"], row["ready"], row["counts"]["total"]) == (True, True, 3)
    assert row["process_id"] == shared_gateway.process.pid
    assert row["errors"][0]["status"] == 400


@pytest.mark.slow
def test_a_server_is_asked_by_its_address(shared_gateway: LiveGateway, tmp_path: Path) -> None:
    elsewhere = {**shared_gateway.env, "DATA_DIR": str(tmp_path)}

    done = manage("status", str(shared_gateway.port), env=elsewhere)

    assert done.returncode == 0
    assert shared_gateway.url in done.stdout.decode()
    assert "Database" not in done.stdout.decode()


def test_without_a_server_the_status_is_that_of_systemctl(data_dir: Path) -> None:
    with pytest.raises(CommandError, match="No server runs") as error:
        call_command("status")

    assert error.value.returncode == NOT_RUNNING


@pytest.mark.parametrize(
    "content", [b"<h1>It works!</h1>", b'{"status":"ok"}', b"[]", b"\xff" * 4096, b"", b"[" * 100_000]
)
def test_another_program_is_not_taken_for_the_gateway(content: bytes, data_dir: Path) -> None:
    with program(content) as address, pytest.raises(CommandError, match="is not this gateway") as error:
        call_command("status", address)

    assert error.value.returncode == NOT_RUNNING


def test_a_server_that_does_not_answer_is_named_by_its_process(data_dir: Path) -> None:
    with sole_server(data_dir), pytest.raises(CommandError, match=r"Process \d+ uses") as error:
        call_command("status")

    assert error.value.returncode == NOT_KNOWN


def test_a_server_that_drains_is_not_ready(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = orjson.dumps({"status": "unavailable", "reason": "The gateway is shutting down."})

    with program(content, 503) as address:
        call_command("status", address)

    said = capsys.readouterr().out
    assert "Ready       no: The gateway is shutting down." in said
    assert said.startswith("Antigravity Claude Proxy runs at http")


HEALTH_OF_0_1 = {
    "status": "ok", "timestamp": "2026-11-24T12:00:00Z", "summary": "3 total, 3 available",
    "counts": {"total": 3}, "requests": {"inFlight": 2, "waiting": 1}, "ledger": {"unwritten": 0},
    "accounts": [],
}  # fmt: skip


def test_a_server_of_0_1_is_asked_for_its_health(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with program(orjson.dumps(HEALTH_OF_0_1), only_at="/health") as address:
        call_command("status", address)

    said = capsys.readouterr().out
    assert f"Proxy before 0.2 (this code is {version()}: restart it to use that) runs at http" in said
    assert "  Ready       yes\n" in said
    assert "  Accounts    3 total, 3 available\n" in said
    assert "2 in flight, 1 waiting" in said


@pytest.mark.parametrize("content", [b'{"status":"ok"}', b"[]", b'"status"', b""])
def test_the_health_of_another_program_is_not_ours(content: bytes, data_dir: Path) -> None:
    with (
        program(content, only_at="/health") as address,
        pytest.raises(CommandError, match="is not this gateway"),
    ):
        call_command("status", address)


def test_the_lock_has_the_address_of_its_server(tmp_path: Path) -> None:
    with sole_server(tmp_path):
        starting = running_server(tmp_path)
        note_address(tmp_path, "http://127.0.0.1:8672")
        serving = running_server(tmp_path)
    with sole_server(tmp_path):
        (tmp_path / LOCK).write_bytes(b"\xff?\n")
        damaged = running_server(tmp_path)

    assert starting is not None
    assert starting.url == ""
    assert serving == RunningServer(starting.process_id, "http://127.0.0.1:8672")
    assert damaged == RunningServer(0, "")
    assert running_server(tmp_path) is None


def test_nothing_answers_at_a_closed_port() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}") is None


@pytest.mark.parametrize(
    ("target", "groups", "where"),
    [
        ("/var/log/gateway.log", "0::/", "/var/log/gateway.log"),
        ("/dev/null", "0::/", "nowhere (/dev/null)"),
        ("/dev/pts/3", "0::/user.slice/session-2.scope", "the terminal /dev/pts/3"),
        ("socket:[81]", "0::/system.slice/gateway.service", "journalctl -u gateway.service -f"),
        (
            "socket:[81]",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a-proxy.service",
            "journalctl --user -u a-proxy.service -f",
        ),
        ("pipe:[12]", "0::/user.slice/session-2.scope", "a pipe to another program"),
    ],
)
def test_the_log_is_found_by_the_process(target: str, groups: str, where: str, tmp_path: Path) -> None:
    a_process(tmp_path, (target, target), groups)

    assert where_the_log_is(4711, proc=tmp_path) == where
    assert where_the_log_is(4712, proc=tmp_path) == ""


@pytest.mark.parametrize(
    ("output", "errors", "where"),
    [
        ("/log/out", "/log/err", "/log/out; warnings and errors: /log/err"),
        ("/log/out", "/dev/pts/3", "/log/out; warnings and errors: the terminal /dev/pts/3"),
        ("pipe:[1]", "/dev/null", "docker logs -f 4f1b0c9d2e7a; warnings and errors: nowhere (/dev/null)"),
        ("pipe:[1]", "pipe:[2]", "docker logs -f 4f1b0c9d2e7a"),
    ],
)
def test_standard_error_may_go_to_another_place(
    output: str, errors: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "4f1b0c9d2e7a")
    a_process(tmp_path, (output, errors))

    assert where_the_log_is(4711, engine="docker", proc=tmp_path) == where
    assert log_files(4711, tmp_path) == []
