"""The blocks of the runbook, run in order in a fresh folder with a HOME of its own and Google's emulator."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import certifi
import httpx
import orjson

from tests.live_gateway import free_port
from tests.runbook.clone import install_uv, make_clone
from tests.runbook.page import Block, missing_lines
from tests.runbook.plan import (
    BEFORE,
    CLIENT_KEY,
    ENDS_WITH,
    NOT_RUN,
    PORT_OF_THE_PAGE,
    SIGN_IN,
    UNTIL_CTRL_C,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
STOPPED_BY_CTRL_C = {0, 130}
TERMINAL = """trap 'echo $? > "$0"; wait' EXIT\n"""
"""The shell stays, as the one in a terminal does, until the programs have ended that the block has started in
the background: where the machine's first process does not collect them, `kill -0` would find them for ever.
Its exit status goes to the file that $0 names."""


@dataclass(frozen=True, slots=True)
class Outcome:
    block: Block
    result: str
    """The exit status, or what else was done with the block."""
    seconds: float = 0.0
    output: str = ""
    problem: str = ""


class Walk:
    """A context manager. `folder` is a clone of this project, with an origin that is one commit ahead."""

    def __init__(self, folder: Path, google: EmulatorServer) -> None:
        self.folder = folder / "project"
        self._home = folder / "home"
        self._origin = folder / "origin.git"
        self._output, self._status = folder / "output", folder / "status"
        self._google = google
        self._port = free_port()
        self._shells: list[subprocess.Popen[bytes]] = []
        self._env = self._environment()

    def __enter__(self) -> Walk:
        make_clone(self.folder, self._origin)
        install_uv(self.folder)
        self._write_files_of_the_other_tool()
        (self.folder / "your-network.pem").write_text(certifi.contents().split("\n\n")[1])
        return self

    def __exit__(self, *exception: object) -> None:
        for shell in self._shells:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()

    def run(self, blocks: Iterable[Block]) -> Iterator[Outcome]:
        shown = ""
        for block in blocks:
            outcome = self._outcome(block, shown)
            if block.language == "sh":
                shown = outcome.output
            yield outcome

    def _outcome(self, block: Block, shown: str) -> Outcome:
        if block.text in NOT_RUN:
            return Outcome(block, "not run", output=NOT_RUN[block.text])
        if block.text in BEFORE:
            BEFORE[block.text](self._google.state)
        if block.language == "dotenv":
            self._write_settings(block.text)
            return Outcome(block, "written")
        if block.language == "text":
            missing = missing_lines(self._here(block.text), shown)
            return Outcome(block, "as shown", problem=f"not printed: {missing}" if missing else "")
        return self._run(block)

    def _run(self, block: Block) -> Outcome:
        began = time.monotonic()
        self._status.unlink(missing_ok=True)
        with self._output.open("wb") as output:
            shell = subprocess.Popen(
                ["bash", "-e", "-c", TERMINAL + self._here(block.text), str(self._status)],
                cwd=self.folder, env=self._env, stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._shells.append(shell)
        self._act_as_the_operator(block, shell)
        status = int(self._wait_for(self._status, r"\d+(?=\n)"))
        allowed = STOPPED_BY_CTRL_C if block.text in UNTIL_CTRL_C else {ENDS_WITH.get(block.text, 0)}
        problem = "" if status in allowed else f"exit status {status}"
        return Outcome(block, str(status), time.monotonic() - began, _text_of(self._output), problem)

    def _act_as_the_operator(self, block: Block, shell: subprocess.Popen[bytes]) -> None:
        assert shell.stdin is not None
        if block.text in UNTIL_CTRL_C:
            self._wait_for(self._output, UNTIL_CTRL_C[block.text])
            os.killpg(shell.pid, signal.SIGINT)
        if block.text in SIGN_IN:
            address = self._wait_for(self._output, r"http://\S+/o/oauth2/\S+(?=\n)")
            shell.stdin.write(sign_in(address).encode() + b"\n")
        shell.stdin.close()

    def _wait_for(self, file: Path, pattern: str) -> str:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while (found := re.search(pattern, _text_of(file))) is None:
            assert time.monotonic() < give_up_at, _text_of(self._output)
            time.sleep(POLL_SECONDS)
        return found.group()

    def _here(self, text: str) -> str:
        return text.replace(PORT_OF_THE_PAGE, str(self._port))

    def _write_settings(self, lines: str) -> None:
        """As a person does in an editor: a name that is there gets its new value."""
        path = self.folder / ".env"
        old = path.read_text().splitlines() if path.exists() else []
        names = {line.partition("=")[0] for line in lines.splitlines()}
        kept = [line for line in old if line.partition("=")[0] not in names]
        path.write_text("\n".join([*kept, *lines.splitlines(), ""]))

    def _environment(self) -> dict[str, str]:
        """The page's settings of the OAuth client are not in it: `.env` has them."""
        of_google = self._google.gateway_settings()
        del of_google["OAUTH_CLIENT_ID"], of_google["OAUTH_CLIENT_SECRET"]
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "TZ": "Europe/Berlin",
            "PYTHONWARNINGS": "default",
            "UV_NO_SYNC": "1",
            "UV_OFFLINE": "1",
            "UV_PROJECT_ENVIRONMENT": sys.prefix,
            "PORT": str(self._port),
            "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY,
            **of_google,
        }

    def _write_files_of_the_other_tool(self) -> None:
        """Its accounts lie where the gateway's DATA_DIR is by default."""
        linus = self._google.state.account("linus@example.com")
        data_dir = self._home / ".config" / "antigravity-proxy"
        data_dir.mkdir(parents=True)
        found = {"accounts": [{"email": linus.email, "refreshToken": linus.refresh_token}]}
        (data_dir / "accounts.json").write_bytes(orjson.dumps(found))


def _text_of(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def sign_in(address: str) -> str:
    """Agree on Google's page, as the account that it offers, or as ada. Returns the address at which the
    browser ends."""
    asked = dict(parse_qsl(urlsplit(address).query))
    query = urlencode({"login_hint": "ada@example.com", **asked, "auto_approve": "1"})
    answer = httpx.get(urlsplit(address)._replace(query=query).geturl())
    return str(answer.headers["location"])


def as_row(outcome: Outcome) -> str:
    """A line of the table: number, section, exit status, seconds, the block's first line."""
    block = outcome.block
    seconds = f"{outcome.seconds:5.1f} s" if outcome.seconds else " " * 7
    return f"{block.number:3} {block.section[:30]:30} {outcome.result:9} {seconds}  {block.first_line[:80]}"
