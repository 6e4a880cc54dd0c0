"""The listening socket of a server, and the number of files that the process may open."""

from __future__ import annotations

import contextlib
import errno
import resource
import shutil
import socket

BACKLOG = 4096
"""The number of connections that the kernel accepts before the server does."""
ENOUGH_OPEN_FILES = 4096


class PortTaken(Exception):
    """Raised when the address cannot be listened on; the text is a sentence for the operator."""


def bind(host: str, port: int, command: str) -> socket.socket:
    """Return a socket that owns the address but does not listen yet, so that no client connects before the
    gateway is ready. `command` is the one that serves; the sentence names it. Raises PortTaken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise PortTaken(f"{host} is not an address of this machine: {error.strerror}.") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        hint = _how_to_find_holder(port, command) if error.errno == errno.EADDRINUSE else ""
        raise PortTaken(f"{host} port {port} cannot be used: {error.strerror}.{hint}") from error
    listener.setblocking(False)
    return listener


def _how_to_find_holder(port: int, command: str) -> str:
    """Return a sentence with a command that shows which program holds the port, if such a command is
    installed."""
    finders = {"ss": f"ss -ltnp 'sport = :{port}'", "lsof": f"lsof -nP -iTCP:{port} -sTCP:LISTEN"}
    found = next((finder for program, finder in finders.items() if shutil.which(program)), "")
    return f" `{found}` shows which program has it; another port: {command} PORT." if found else ""


def raise_open_files_limit() -> str | None:
    """Raise the limit to the hard limit: each stream holds two sockets. Returns a warning when that is still
    low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_OPEN_FILES:
        return None
    return f"Only {soft} files may be open at once, enough for about {soft // 2} streams: raise `ulimit -n`."
