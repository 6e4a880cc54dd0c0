"""The running server as other processes see it: by its address, by the lock of DATA_DIR, by its process."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

ANSWER_SECONDS = 3.0
LARGEST_ANSWER = 1024 * 1024
TELETYPES = ("/dev/pts/", "/dev/tty", "/dev/console")


@dataclass(frozen=True, slots=True)
class Answer:
    """What `/readyz` answered. `facts` is empty for a program that is not this gateway."""

    is_ready: bool
    facts: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        return bool(self.facts)


def ask(url: str) -> Answer | None:
    """Ask the server at `url`, which is plain HTTP, how it is; None when nothing answers HTTP there."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return _parsed(response.status, response.read(LARGEST_ANSWER))
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _parsed(status: int, content: bytes) -> Answer:
    try:
        body = orjson.loads(content)
    except ValueError:
        body = None
    is_ours = isinstance(body, dict) and bool({"startedAt", "reason"} & body.keys())
    return Answer(status == 200, body if is_ours else {})


def log_file(process_id: int, proc: Path = Path("/proc")) -> Path | None:
    """The file that the process writes its standard output to; None when that is no file."""
    try:
        target = (proc / str(process_id) / "fd" / "1").readlink()
    except OSError:
        return None
    return target if target.is_file() else None


def where_the_log_is(process_id: int, *, engine: str = "", proc: Path = Path("/proc")) -> str:
    """Where the process writes its log, in words or as a command; "" where that cannot be found out, as on
    macOS. `engine`: of the container around the process, such as docker."""
    try:
        target = str((proc / str(process_id) / "fd" / "1").readlink())
        groups = (proc / str(process_id) / "cgroup").read_text()
    except OSError:
        return ""
    if target.startswith("/"):
        return _in_file(target)
    if unit := _unit_of(groups):
        return f"journalctl {'--user ' if '/user@' in groups else ''}-u {unit} -f"
    return f"{engine} logs -f {socket.gethostname()}" if engine else "a pipe to another program"


def _in_file(path: str) -> str:
    if path == "/dev/null":
        return "nowhere: its standard output is /dev/null"
    return f"the terminal {path}" if path.startswith(TELETYPES) else path


def _unit_of(groups: str) -> str:
    """The systemd service of a process, from /proc/PID/cgroup: `0::/system.slice/gateway.service`."""
    last = groups.strip().rpartition("/")[2]
    return last if last.endswith(".service") else ""
