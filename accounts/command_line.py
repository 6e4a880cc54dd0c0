"""How the reader runs the commands of `manage.py`, so that each one we print can be copied and works.

Python keeps the words it was started with in `sys.orig_argv`. `uv run` starts the interpreter of the project
and, from uv 0.6 on, leaves the path of uv itself in UV (docs.astral.sh/uv, Reference, Environment variables).
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
"""Files that Docker and Podman put into each container."""
CONTAINER_ID = re.compile(r"[0-9a-f]{12}")
"""A container's host name, unless somebody has chosen another."""


def manage(arguments: str = "") -> str:
    """A whole command line for `arguments`, such as `.uv/bin/uv run manage.py addaccount`; in a demo, and in
    commands that look at one, it looks at the demo, too."""
    is_demos = os.environ.get("DEMO") == "true" and arguments and "--demo" not in arguments.split()
    return f"{_program()} {arguments}{' --demo' if is_demos else ''}".rstrip()


def container_engine() -> str:
    """`docker` or `podman` inside one of their containers, else empty."""
    return next((engine for mark, engine in CONTAINER_MARKS.items() if Path(mark).exists()), "")


@cache
def _program() -> str:
    # What `docker run` and `docker exec` start has no parent inside the container, or its init process.
    is_from_outside = os.getppid() in {0, 1}
    engine = container_engine() if is_from_outside else ""
    return program(sys.orig_argv, os.environ, container_prefix(engine, socket.gethostname()))


def program(
    started_with: Sequence[str],
    environment: Mapping[str, str],
    prefix: Sequence[str] = (),
    project: Path = PROJECT,
) -> str:
    """The words before a command's name. `started_with` is the interpreter and its arguments; for a process
    that is not `manage.py`, such as another ASGI server, its interpreter is named. So it is outside of the
    project's folder, where uv would not find the project."""
    interpreter, *arguments = started_with
    script = _up_to_script(arguments) or [SCRIPT]
    uv = environment.get("UV")
    if not uv or not Path.cwd().is_relative_to(project):
        return shlex.join([*prefix, interpreter, *script])
    python = ["python"] if len(script) > 1 else []
    return shlex.join([*prefix, _as_typed(uv, environment.get("PATH")), "run", *python, *script])


def container_prefix(engine: str, host_name: str) -> list[str]:
    """What reaches into the container from outside; empty where its name is not known."""
    if not engine or not CONTAINER_ID.fullmatch(host_name):
        return []
    return [engine, "exec", "-it", host_name]


def _up_to_script(arguments: Sequence[str]) -> list[str]:
    """Of the interpreter's arguments: `manage.py` or `-m manage`, and options before it."""
    for end, argument in enumerate(arguments, 1):
        is_module = argument == "manage" and arguments[max(0, end - 2)] == "-m"
        if is_module or Path(argument).name == SCRIPT:
            return list(arguments[:end])
        if not argument.startswith("-") and arguments[max(0, end - 2)] not in {"-m", "-W", "-X"}:
            return []
    return []


def _as_typed(uv: str, search_path: str | None) -> str:
    """`uv` where that is found by its name; else its path, seen from here if it lies below."""
    found = shutil.which("uv", path=search_path)
    if found and Path(found).resolve() == Path(uv).resolve():
        return "uv"
    here = Path.cwd()
    return str(Path(uv).relative_to(here)) if Path(uv).is_relative_to(here) else uv
