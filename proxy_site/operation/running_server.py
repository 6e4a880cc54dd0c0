"""The running server as other processes see it: by its address, by the lock of DATA_DIR, by its process."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from accounts.command_line import container_name

if TYPE_CHECKING:
    from collections.abc import Set

ANSWER_SECONDS = 3.0
LARGEST_ANSWER = 1024 * 1024
PROC = Path("/proc")
OLD_HEALTH = frozenset({"status", "timestamp", "summary", "counts", "requests", "ledger"})
"""Fields of `/health` since 0.1."""
TELETYPES = ("/dev/pts/", "/dev/tty", "/dev/console")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of `/readyz`, or of `/health` in an older version. `facts` is empty for another program."""

    is_ready: bool
    facts: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        return bool(self.facts)


def ask(url: str) -> Answer | None:
    """Ask the server at `url`, which is plain HTTP, for its status; None when nothing answers HTTP there.
    Versions before 0.2 have no `/readyz` but `/health`."""
    try:
        status, content = _get(url, "/readyz")
        if status == HTTPStatus.NOT_FOUND:
            return _parsed(*_get(url, "/health"), signs=OLD_HEALTH)
    except (OSError, HTTPException):
        return None
    return _parsed(status, content)


def _get(url: str, path: str) -> tuple[int, bytes]:
    """Return status and body. Raises OSError and HTTPException."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(LARGEST_ANSWER)
    finally:
        connection.close()


def _parsed(status: int, content: bytes, signs: Set[str] = frozenset()) -> Answer:
    """Return the parsed answer. `signs` are the fields that a gateway's answer has; by default those of
    `/readyz`."""
    try:
        body = orjson.loads(content)
    except ValueError:
        body = None
    names = body.keys() if isinstance(body, dict) else set()
    is_ours = signs <= names if signs else bool({"startedAt", "reason"} & names)
    return Answer(status == HTTPStatus.OK, body if is_ours else {})


def log_files(process_id: int, proc: Path = PROC) -> list[Path]:
    """Return the files that the process writes its log to, each once: INFO goes to standard output, warnings
    and errors to standard error. Empty when neither is a file."""
    targets = (Path(one) for one in _targets(process_id, proc))
    return [path for path in targets if path.is_absolute() and path.is_file()]


def where_the_log_is(process_id: int, *, engine: str = "", proc: Path = PROC) -> str:
    """Return where the process writes its log, as text or as a command; "" when that cannot be found out, as
    on macOS. `engine` is that of the container around the process, such as docker."""
    return "; warnings and errors: ".join(log_places(process_id, engine=engine, proc=proc))


def log_places(process_id: int, *, engine: str = "", proc: Path = PROC) -> list[str]:
    """Return the place of standard output and, if it is another, that of standard error."""
    reader = _reader(process_id, engine, proc, is_live=True) or "a pipe to another program"
    targets = _targets(process_id, proc)
    return list(dict.fromkeys(_in_file(one) if one.startswith("/") else reader for one in targets))


def log_command(process_id: int, *, engine: str = "", proc: Path = PROC) -> str:
    """Return the command that prints the log so far, to be read from a pipe; "" when there is none."""
    is_file = all(one.startswith("/") for one in _targets(process_id, proc))
    return "" if is_file else _reader(process_id, engine, proc, is_live=False)


def _targets(process_id: int, proc: Path) -> list[str]:
    """Return what standard output and standard error are, each once: a path, or a text such as
    `pipe:[81]`."""
    with suppress(OSError):
        links = (proc / str(process_id) / "fd" / number for number in ("1", "2"))
        return list(dict.fromkeys(str(link.readlink()) for link in links))
    return []


def _in_file(path: str) -> str:
    if path == "/dev/null":
        return "nowhere (/dev/null)"
    return f"the terminal {path}" if path.startswith(TELETYPES) else path


def _reader(process_id: int, engine: str, proc: Path, *, is_live: bool) -> str:
    """Return the command that prints what goes to systemd or to the container's engine. `is_live` is for a
    terminal, where it goes on printing."""
    unit, is_users = _unit_of(process_id, proc)
    if unit:
        return f"journalctl {'--user ' if is_users else ''}-u {unit}{' -f' if is_live else ''}"
    if not engine:
        return ""
    name = container_name(socket.gethostname())
    return f"{engine} logs -f {name}" if is_live else f"{engine} logs {name} 2>&1"


def _unit_of(process_id: int, proc: Path) -> tuple[str, bool]:
    """Return the systemd service of a process, and whether it is a user's, from /proc/PID/cgroup:
    `0::/system.slice/gateway.service`."""
    try:
        groups = (proc / str(process_id) / "cgroup").read_text()
    except OSError:
        return "", False
    last = groups.strip().rpartition("/")[2]
    return (last if last.endswith(".service") else ""), "/user@" in groups
