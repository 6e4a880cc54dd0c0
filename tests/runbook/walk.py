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
    ADD_ACCOUNT,
    BEFORE,
    CLIENT_KEY,
    ENDS_WITH,
    NOT_RUN,
    PORT_OF_THE_PAGE,
    UNTIL_CTRL_C,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

PATIENCE_SECONDS = 60.0
STOPPED_BY_CTRL_C = {0, 130, -signal.SIGINT}


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
        self._output = folder / "output"
        self._google = google
        self._port = free_port()
        self._groups: list[int] = []
        self._env = self._environment()

    def __enter__(self) -> Walk:
        make_clone(self.folder, self._origin)
        install_uv(self.folder)
        self._write_files_of_the_other_tool()
        (self.folder / "your-network.pem").write_text(certifi.contents().split("\n\n")[1])
        return self

    def __exit__(self, *exception: object) -> None:
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue

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
        with self._output.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-e", "-c", self._here(block.text)],
                cwd=self.folder, env=self._env, stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._groups.append(process.pid)
        self._act_as_the_operator(block, process)
        status = process.wait(PATIENCE_SECONDS)
        text = self._printed()
        allowed = STOPPED_BY_CTRL_C if block.text in UNTIL_CTRL_C else {ENDS_WITH.get(block.text, 0)}
        problem = "" if status in allowed else f"exit status {status}"
        return Outcome(block, str(status), time.monotonic() - began, text, problem)

    def _act_as_the_operator(self, block: Block, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        if block.text in UNTIL_CTRL_C:
            self._wait_for(UNTIL_CTRL_C[block.text], process)
            os.killpg(process.pid, signal.SIGINT)
        if block.text == ADD_ACCOUNT:
            address = self._wait_for(r"http://\S+/o/oauth2/\S+", process)
            process.stdin.write(sign_in(address).encode() + b"\n")
        process.stdin.close()

    def _wait_for(self, pattern: str, process: subprocess.Popen[bytes]) -> str:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while (found := re.search(pattern, self._printed())) is None:
            assert process.poll() is None, self._printed()
            assert time.monotonic() < give_up_at, self._printed()
            time.sleep(0.05)
        return found.group()

    def _printed(self) -> str:
        return self._output.read_text(errors="replace")

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


def sign_in(address: str) -> str:
    """Agree on Google's page as ada. Returns the address at which the browser ends."""
    asked = dict(parse_qsl(urlsplit(address).query))
    query = urlencode({**asked, "login_hint": "ada@example.com", "auto_approve": "1"})
    answer = httpx.get(urlsplit(address)._replace(query=query).geturl())
    return str(answer.headers["location"])


def as_row(outcome: Outcome) -> str:
    """A line of the table: number, section, exit status, seconds, the block's first line."""
    block = outcome.block
    seconds = f"{outcome.seconds:5.1f} s" if outcome.seconds else " " * 7
    return f"{block.number:3} {block.section[:30]:30} {outcome.result:9} {seconds}  {block.first_line[:80]}"
