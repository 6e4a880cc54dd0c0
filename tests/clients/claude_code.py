"""Claude Code as a new user has it: an empty environment, a home of its own, nothing but our address."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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


class ClaudeCode:
    def __init__(self, program: Path, folder: Path, base_url: str) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CLAUDE_CONFIG_DIR": str(folder / "claude"),
            "ANTHROPIC_BASE_URL": base_url,
            "ANTHROPIC_AUTH_TOKEN": "anything",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
        }

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
