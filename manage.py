#!/usr/bin/env python
"""The operator's command line: `uv run manage.py help` lists the commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from proxy_site.container.user import give_up_root

_temporary_folders: list[str] = []
"""Removed with this process."""


def main() -> None:
    if sys.platform == "win32":
        _refuse_windows()
    if sys.version_info < (3, 11):  # noqa: UP036  # this file alone must be readable by older ones
        _refuse(f"The gateway needs Python 3.11 or newer, and this is {sys.version.split()[0]}.")
    is_server = sys.argv[1:2] in (["runserver"], ["serve"])
    if os.environ.get("IN_CONTAINER") == "true":
        data_dir = Path(os.environ.get("DATA_DIR") or "~/.config/antigravity-proxy").expanduser()
        give_up_root(data_dir, sys.orig_argv, is_server=is_server)
    if is_server and "--reload" not in sys.argv:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop_at_once)
    _open_closed_streams()
    try:
        try:
            # Only now: the imports take long enough to be interrupted.
            if sys.argv[1:2] == ["doctor"]:
                from proxy_site.doctor.run import run_before_django  # needs no package: it reports them

                run_before_django(sys.argv[2:])
            from proxy_site.management_utility import run

            run(is_server, _temporary_folders)
        finally:
            sys.stdout.flush()
    except ModuleNotFoundError as error:
        _name_missing_package(error)
    except BrokenPipeError:
        # The reader of the pipe has closed it; nothing must be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        # A second signal must not interrupt the cleaning up at exit.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("\nStopped.\n")
        sys.exit(130)


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed, which Python has as None: its descriptor would
    be reused for the next file opened, which may be the database."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the end


def _stop_at_once(number: int, frame: object) -> None:
    """Exit at once on a signal while the server starts; a running server has replaced this handler. An
    exception instead could get lost: one raised in a callback of the garbage collector is printed and
    dropped."""
    os.write(2, b"\nStopped.\n")
    for folder in _temporary_folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + number)


def _name_missing_package(error: ModuleNotFoundError) -> None:
    """After an update of Python, or without `uv run`, packages are missing. Raises the error for a module of
    ours."""
    package = str(error.name).partition(".")[0]
    if Path(__file__).with_name(package).is_dir():
        raise error
    _refuse(
        f"The package {package} is not installed for {sys.executable}. {sys.argv[0]} doctor says more.", 1
    )


def _refuse_windows() -> None:
    """Before most imports of ours, which need what only POSIX has."""
    _refuse("The gateway does not run on Windows, but in WSL: `wsl --install` sets it up.")


def _refuse(sentence: str, status: int = 2) -> None:
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps({"ok": False, "error": sentence, "rows": []}, indent=2) + "\n")
    sys.stderr.write(f"{sentence}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
