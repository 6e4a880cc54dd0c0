#!/usr/bin/env python
"""The operator's command line: `uv run manage.py help` lists the commands."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

_thrown_away: list[str] = []
"""Folders that nobody needs after this process."""


def main() -> None:
    if sys.platform == "win32":
        sys.exit(_refuse("The gateway does not run on Windows, but in WSL: `wsl --install` sets it up."))
    if sys.argv[1:2] == ["runserver"] and "--reload" not in sys.argv:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop_at_once)
    _open_what_is_closed()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        # A second one must not break off what is cleaned up at the exit.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("\nStopped.\n")
        sys.exit(130)


def _open_what_is_closed() -> None:
    """Python has None for a standard stream that was closed, and its number would go to the next file opened,
    which may be the database."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the end


def _stop_at_once(number: int, frame: object) -> None:
    """While the server starts there is nothing to finish, and an exception would not always come through: one
    that is raised in a callback of the garbage collector is printed and dropped. A server that runs has taken
    these signals over."""
    os.write(2, b"\nStopped.\n")
    for folder in _thrown_away:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + number)


def _run() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
    from proxy_site.environment import SettingError

    try:
        if "--demo" in sys.argv[1:]:
            _use_demo()
        if "--debug" in sys.argv[1:]:
            os.environ["DEBUG"] = "true"
        # A bad setting shows here, before any command hides it.
        from proxy_site.settings import SETTING_WARNINGS
    except SettingError as error:
        sys.exit(_refuse(str(error)))
    for warning in SETTING_WARNINGS:
        sys.stderr.write(f"{warning}\n")
    from proxy_site.management_utility import GatewayUtility

    try:
        GatewayUtility(sys.argv).execute()
    finally:
        _wait_for_servers()


def _use_demo() -> None:
    """`runserver` makes one, the other commands look at the one that runs."""
    if sys.argv[1] == "runserver":
        from proxy_site import demo

        _thrown_away.append(str(demo.prepare_environment()))
        return
    from accounts.command_line import manage
    from proxy_site import running_demo

    try:
        running_demo.use()
    except running_demo.NoDemoRuns:
        sys.exit(_refuse(f"No demo is running. Start one: {manage('runserver --demo')}", 1))


def _wait_for_servers() -> None:
    """What a command has changed is in use when it ends."""
    from django.apps import apps

    if not apps.ready or sys.argv[1:2] == ["runserver"]:
        return
    from accounts.models import Revision
    from proxy_site.following import NOT_YET, wait_for_servers

    if Revision.made_here and not wait_for_servers():
        sys.stderr.write(f"{NOT_YET}\n")


def _refuse(sentence: str, status: int = 2) -> int:
    if "--json" in sys.argv[1:]:
        from accounts.management.gateway_command import as_json

        sys.stdout.write(as_json(error=sentence) + "\n")
    sys.stderr.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    main()
