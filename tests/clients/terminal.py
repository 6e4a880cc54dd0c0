"""A terminal for programs that talk to a person: it types, and it reads the screen as the person would."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KEYS = {"enter": "\r", "escape": "\x1b", "down": "\x1b[B", "shift+tab": "\x1b[Z"}
COLUMNS, ROWS = 120, 50
LONGEST_WAIT_SECONDS = 30
SECONDS_BETWEEN_KEYS = 2
END_SECONDS = 5


class Terminal:
    """A context manager around one program; at its end the program is gone.

    ``output`` is all it has printed, each piece with the seconds since its start.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        columns: int = COLUMNS,
        rows: int = ROWS,
    ) -> None:
        self.output: list[tuple[float, bytes]] = []
        self._command, self._cwd, self._environment = command, cwd, environment
        self._size = columns, rows
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        columns, rows = self._size
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._started_at = time.monotonic()
        self._program = subprocess.Popen(
            self._command,
            cwd=self._cwd, env={**self._environment, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, name="terminal")
        self._reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._program.terminate()
        try:
            self._program.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        self._reader.join()
        os.close(self._ours)

    @property
    def screen(self) -> str:
        """Its lines, without what is blank at their ends."""
        with self._changed:
            lines = [line.rstrip() for line in self._screen.display]
        return "\n".join(lines).rstrip()

    def type(self, words: str, *, seconds_a_letter: float = 0) -> None:
        if not seconds_a_letter:
            os.write(self._ours, words.encode())
            return
        for letter in words:
            os.write(self._ours, letter.encode())
            time.sleep(seconds_a_letter)

    def press(self, key: str) -> None:
        """One of KEYS."""
        os.write(self._ours, KEYS[key].encode())

    def wait_for(self, words: str, seconds: float = LONGEST_WAIT_SECONDS) -> str:
        """The screen as soon as the words stand on it, on one line or over several."""
        with self._changed:
            seen = self._changed.wait_for(lambda: self._is_shown(words), seconds)
        assert seen, f"{words!r} did not come up in {seconds} s:\n{self.screen}"
        return self.screen

    def answer(self, question: str, key: str, then: str) -> str:
        """Press the key until the words of ``then`` are there; return the screen.

        A question that has just come up takes no keys for a moment, so the key is pressed again as long as
        the question stands.
        """
        self.wait_for(question)
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while not self._is_shown(then):
            assert time.monotonic() < until, f"{key} does not answer {question!r}:\n{self.screen}"
            if self._is_shown(question):
                self.press(key)
            with self._changed:
                self._changed.wait_for(lambda: self._is_shown(then), SECONDS_BETWEEN_KEYS)
        return self.screen

    def _is_shown(self, words: str) -> bool:
        return _flat(words) in _flat(self.screen)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # EIO: the last program on the other side is gone
                return
            with self._changed:
                self.output.append((time.monotonic() - self._started_at, piece))
                self._stream.feed(piece)
                self._changed.notify_all()


def _flat(text: str) -> str:
    return " ".join(text.split())
