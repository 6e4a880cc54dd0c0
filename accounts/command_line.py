"""Command lines of `manage.py` as the operator runs them, so that each printed command can be copied.

Python keeps its original arguments in `sys.orig_argv`. `uv run` starts the interpreter of the project and,
from uv 0.6 on, sets UV to the path of uv itself (docs.astral.sh/uv, Reference, Environment variables).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).resolve().parent.parent
SCRIPT = "manage.py"
CONTAINER_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
"""Files that Docker and Podman create in each container."""
CONTAINER_ID = re.compile(r"[0-9a-f]{12}")
"""The default host name of a container."""


def manage(arguments: str = "") -> str:
    """Return the whole command line for `arguments`, such as `.uv/bin/uv run manage.py addaccount`; with
    `--demo` in a demo and in commands that were given it."""
    return _words(_program(), arguments)


def manage_in_pipe(arguments: str) -> str:
    """Return a command line like `manage`, for a command that reads standard input from a pipe, which `docker
    exec -t` refuses. In a container the line runs it from outside, where the container engine's log is."""
    engine = container_engine()
    if not engine:
        return manage(arguments)
    prefix = [engine, "exec", "-i", container_name(socket.gethostname())]
    return _words(program(sys.orig_argv, os.environ, prefix), arguments)


def container_engine() -> str:
    """`docker` or `podman` inside one of their containers, else empty."""
    return next((engine for mark, engine in CONTAINER_MARKS.items() if Path(mark).exists()), "")


def container_name(host_name: str) -> str:
    """Return the container's id, which is its host name by default; for another host name the placeholder
    CONTAINER."""
    return host_name if CONTAINER_ID.fullmatch(host_name) else "CONTAINER"


def _words(program: str, arguments: str) -> str:
    is_demos = os.environ.get("DEMO") == "true" and arguments and "--demo" not in arguments.split()
    return f"{program} {arguments}{' --demo' if is_demos else ''}".rstrip()


@cache
def _program() -> str:
    # A process started by `docker run` or `docker exec` has no parent in the container, or its init process.
    is_from_outside = os.getppid() in {0, 1}
    engine = container_engine() if is_from_outside else ""
    return program(sys.orig_argv, os.environ, container_prefix(engine, socket.gethostname()))


def program(
    started_with: Sequence[str],
    environment: Mapping[str, str],
    prefix: Sequence[str] = (),
    project: Path = PROJECT,
) -> str:
    """Return the words before a command's name. `started_with` is the interpreter and its arguments. The
    interpreter itself is used for a process that is not `manage.py`, such as another ASGI server, and outside
    of the project's folder, where uv would not find the project. The name alone is enough where PATH finds
    the script, as in the image."""
    interpreter, *arguments = started_with
    script = _up_to_script(arguments) or [SCRIPT]
    if script == [shutil.which(SCRIPT, path=environment.get("PATH", ""))]:
        return shlex.join([*prefix, SCRIPT])
    uv = environment.get("UV")
    if not uv or not Path.cwd().is_relative_to(project):
        return shlex.join([*prefix, interpreter, *script])
    python = ["python"] if len(script) > 1 else []
    return shlex.join([*prefix, _as_typed(uv, environment.get("PATH")), "run", *python, *script])


def container_prefix(engine: str, host_name: str) -> list[str]:
    """Return the words that run a command in the container from outside; empty when its name is not known."""
    if not engine or not CONTAINER_ID.fullmatch(host_name):
        return []
    return [engine, "exec", "-it", host_name]


def _up_to_script(arguments: Sequence[str]) -> list[str]:
    """Return the interpreter's arguments up to `manage.py` or `-m manage`; empty when there is neither."""
    for end, argument in enumerate(arguments, 1):
        is_module = argument == "manage" and arguments[max(0, end - 2)] == "-m"
        if is_module or Path(argument).name == SCRIPT:
            return list(arguments[:end])
        if not argument.startswith("-") and arguments[max(0, end - 2)] not in {"-m", "-W", "-X"}:
            return []
    return []


def _as_typed(uv: str, search_path: str | None) -> str:
    """`uv` when PATH finds it; else its path, relative when it lies below the current folder."""
    found = shutil.which("uv", path=search_path)
    if found and Path(found).resolve() == Path(uv).resolve():
        return "uv"
    here = Path.cwd()
    return str(Path(uv).relative_to(here)) if Path(uv).is_relative_to(here) else uv
