"""A terminal of 80 columns for one command: what it prints is read, what a person types is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 30.0


class Terminal:
    """A context manager. `text` is the screen so far."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        self.text = ""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT, env={**env, "TERM": "dumb"}, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,  # passphrases are not asked for where the tests are run
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def read_until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            assert self._read(), f"it ended before {pattern!r}:\n{self.text}"
        return found

    def type(self, line: str) -> None:
        os.write(self._master, line.encode() + b"\n")

    def wait(self) -> int:
        """Its exit status, with everything it printed read."""
        while self._read():
            pass
        return self._process.wait(PATIENCE_SECONDS)

    def _read(self) -> bool:
        """False at the end."""
        readable, _, _ = select.select([self._master], [], [], 1.0)
        if not readable:
            return self._process.poll() is None
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.text += piece.decode(errors="replace").replace("\r\n", "\n")
        return bool(piece)
