"""The gateway as its users run it: `manage.py runserver`, a process and a DATA_DIR of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy_site.emulator.server import EmulatorServer

PROJECT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30
STORED_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Nothing of the developer's own settings but UPSTREAM_HTTP_CLIENT, so that all tests can run with each
    client; warnings are errors here, too."""
    client = os.environ.get("UPSTREAM_HTTP_CLIENT")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(data_dir),
        "DATA_DIR": str(data_dir),
        "PYTHONWARNINGS": "default",
        **({"UPSTREAM_HTTP_CLIENT": client} if client else {}),
        **settings,
    }


def manage(
    *arguments: str, env: Mapping[str, str], stdin: bytes = b"", project: Path = PROJECT
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project, env=dict(env), input=stdin, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def accounts_file(emulator: EmulatorServer) -> bytes:
    return orjson.dumps(
        [{"email": a.email, "refresh_token": a.refresh_token} for a in emulator.state.accounts]
    )


def import_accounts(accounts: bytes, env: Mapping[str, str], project: Path = PROJECT) -> None:
    imported = manage("importaccounts", "-", "--accept-terms", env=env, stdin=accounts, project=project)
    assert imported.returncode == 0, imported.stderr.decode()


@cache
def data_dir_with(accounts: bytes) -> Path:
    """A DATA_DIR that knows these accounts, to be copied: commands take seconds to make one."""
    folder = Path(tempfile.mkdtemp(prefix="data-with-accounts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    import_accounts(accounts, clean_environment(folder))
    return folder


class LiveGateway:
    """A context manager. `output` is everything it has printed so far, both streams together."""

    project = PROJECT
    """A test may set another version of the code."""
    ready_line = "Stop with Ctrl-C"

    def __init__(
        self,
        emulator: EmulatorServer,
        data_dir: Path,
        *arguments: str,
        **settings: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = clean_environment(data_dir, **emulator.gateway_settings(), **settings)
        self.output = ""
        self._emulator = emulator
        self._arguments = arguments
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        accounts = accounts_file(self._emulator)
        data_dir = Path(self.env["DATA_DIR"])
        is_empty = not data_dir.exists() or not any(data_dir.iterdir())
        if is_empty and self.project == PROJECT and "DATABASE_URL" not in self.env:
            shutil.copytree(data_dir_with(accounts), data_dir, dirs_exist_ok=True)
        else:
            import_accounts(accounts, self.env, self.project)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.stop()
        self._reader.join()

    def command(self) -> list[str]:
        return ["manage.py", "runserver", str(self.port), *self._arguments]

    def start(self) -> None:
        self._ready.clear()
        self.process = subprocess.Popen(
            [sys.executable, *self.command()],
            cwd=self.project, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._collect_output, daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_SECONDS) or self.process.poll() is not None:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            raise AssertionError(f"the gateway did not start:\n{self.output}")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_seconds: float = 10) -> int:
        """Its exit status. `output` is complete then."""
        self.process.send_signal(number)
        status = self.process.wait(timeout_seconds)
        self._reader.join()
        return status

    def wait_until_stored(self, rows: str, *values: str, count: int = 1) -> None:
        """Wait until its SQLite database, which it writes behind, has so many rows of a table. ``rows`` names
        the table, and may go on with a condition on the values."""
        deadline = time.monotonic() + STORED_SECONDS
        path = Path(self.env["DATA_DIR"]) / "proxy.sqlite3"
        with closing(sqlite3.connect(path, timeout=STORED_SECONDS)) as connection:
            while (found := connection.execute(f"SELECT count(*) FROM {rows}", values).fetchone()[0]) < count:
                assert time.monotonic() < deadline, f"{found} of {count} rows: {rows}"
                time.sleep(0.05)

    def wait_until_in_ledger(self, request_id: str) -> None:
        ended = "gateway_requestlog WHERE request_id = ? AND duration_seconds IS NOT NULL"
        self.wait_until_stored(ended, request_id)

    def _collect_output(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line
                if self.ready_line in line:
                    self._ready.set()
        self._ready.set()


class UnderAnotherServer(LiveGateway):
    """The application under an ASGI server that is not the gateway's own: uvicorn by its own command."""

    ready_line = "Uvicorn running on"

    def command(self) -> list[str]:
        return ["-m", "uvicorn", "proxy_site.asgi:application", "--port", str(self.port)]
