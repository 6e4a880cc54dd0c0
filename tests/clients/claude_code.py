"""Claude Code as a new user has it: an empty environment, a home of its own, nothing but our address."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tests.clients.terminal import COLUMNS, ROWS, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_RUN_SECONDS = 120
STREAMING = ("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
WRITE_AND_READ = ("--permission-mode", "acceptEdits", "--allowedTools", "Write", "Read")


@dataclass(frozen=True)
class Run:
    """What one call of `claude -p` printed."""

    status: int
    output: str
    complaints: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of --output-format stream-json."""
        return [orjson.loads(line) for line in self.output.splitlines()]


class Session(Terminal):
    """A conversation with Claude Code as a person has it."""

    def ask(self, prompt: str, *, seconds_a_letter: float = 0) -> None:
        self.wait_for("shift+tab to cycle")
        self.type(prompt, seconds_a_letter=seconds_a_letter)
        # Return would be part of what is pasted if it came in one piece with it.
        self.wait_for(f"❯ {prompt}")  # noqa: RUF001
        self.press("enter")


class ClaudeCode:
    def __init__(self, program: Path, folder: Path, base_url: str = "") -> None:
        """Without `base_url` it knows no address and no token, apart from its settings in `folder`/claude."""
        self.work = folder / "work"
        self.work.mkdir()
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CLAUDE_CONFIG_DIR": str(folder / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
        }
        if base_url:
            self._environment |= {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_AUTH_TOKEN": "anything"}

    def ask(self, prompt: str, *arguments: str, **environment: str) -> Run:
        """`claude -p PROMPT`; the settings of `environment` come on top."""
        return self.run("-p", prompt, *arguments, **environment)

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Run:
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.work, env={**self._environment, **environment}, input=stdin,
            capture_output=True, text=True, timeout=LONGEST_RUN_SECONDS, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout, done.stderr)

    def in_terminal(
        self,
        *arguments: str,
        theme: str = "dark",
        columns: int = COLUMNS,
        rows: int = ROWS,
        **environment: str,
    ) -> Session:
        """Not started yet; the questions of its first start are answered."""
        self._answer_first_questions(theme)
        return Session(
            [self._program, *arguments], self.work, {**self._environment, **environment},
            columns=columns, rows=rows,
        )  # fmt: skip

    def _answer_first_questions(self, theme: str) -> None:
        folder = Path(self._environment["CLAUDE_CONFIG_DIR"])
        folder.mkdir(exist_ok=True)
        trusted = {str(self.work): {"hasTrustDialogAccepted": True}}
        answers = {"hasCompletedOnboarding": True, "theme": theme, "projects": trusted}
        (folder / ".claude.json").write_bytes(orjson.dumps(answers))

    def converse(self, prompts: Iterable[str], *arguments: str) -> list[dict[str, Any]]:
        """Send the prompts one after the other to one process; return the result event of each.

        A generator of prompts may do something between two of them: the next one is taken when the result of
        the one before is there.
        """
        with subprocess.Popen(
            [self._program, *STREAMING, *arguments],
            cwd=self.work, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            results = []
            for prompt in prompts:
                message = {"type": "user", "message": {"role": "user", "content": prompt}}
                process.stdin.write(orjson.dumps(message) + b"\n")
                process.stdin.flush()
                events = (orjson.loads(line) for line in process.stdout)
                results.append(next(event for event in events if event["type"] == "result"))
            return results
