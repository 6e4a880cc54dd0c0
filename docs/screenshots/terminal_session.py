"""Makes terminal-session.svg: the demo is started for real, and Claude Code asks it for real.

uv run --group dev --with rich python -m docs.screenshots.terminal_session
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode
from tests.clients.node_packages import install

PROJECT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_name("terminal-session.svg")
PORT = 8672
COLUMNS = 110
TASK = 'Write "hello from the gateway" into hello.txt, then read it'


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    claude_program = install(PROJECT / ".pytest_cache/d/node-packages").claude
    with tempfile.TemporaryDirectory() as folder:
        server, screen = start_demo(folder)
        try:
            type_in(console, f".uv/bin/uv run manage.py runserver {PORT} --demo")
            console.print(Text(shown(banner_on(screen), folder)))
            claude = ClaudeCode(claude_program, Path(folder), f"http://127.0.0.1:{PORT}")
            type_in(
                console, f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{PORT} ANTHROPIC_AUTH_TOKEN=anything"
            )
            type_in(console, 'claude -p "What are you?"')
            console.print(Text(claude.ask("What are you?").output))
            type_in(console, f"claude -p '{TASK}' \\\n    {' '.join(WRITE_AND_READ)}")
            console.print(Text(claude.ask(TASK, *WRITE_AND_READ).output))
            type_in(console, "cat hello.txt")
            console.print(Text((claude.work / "hello.txt").read_text()))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    PICTURE.write_text(without_web_fonts(console.export_svg(title="Antigravity Claude Proxy")))


def start_demo(folder: str) -> tuple[subprocess.Popen[bytes], TextIO]:
    """In a terminal of its own, and what is written there."""
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder}
    screen, terminal = pty.openpty()
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, "manage.py", "runserver", str(PORT), "--demo"],
        cwd=PROJECT, env=environment, stdout=terminal,
    )  # fmt: skip
    os.close(terminal)
    return server, os.fdopen(screen)


def banner_on(screen: TextIO) -> str:
    lines: list[str] = []
    for line in screen:
        lines.append(line)
        if "Stop with Ctrl-C" in line:
            break
    return "".join(lines)


def type_in(console: Console, command: str) -> None:
    console.print(Text("$ ", style="green") + Text(command, style="bold"))


def shown(text: str, folder: str) -> str:
    """The throw-away folder and the one-time link have another name each time, and the interpreter that we
    start has another than the one that README starts."""
    text = text.replace(f"{folder}/", f"{tempfile.gettempdir()}/")
    text = text.replace(f"{sys.executable} manage.py", ".uv/bin/uv run manage.py")
    text = re.sub(r"(antigravity-proxy-demo-)\w+", r"\1…", text)
    return re.sub(r"(/set-up/)\S+", r"\1…", text)


def without_web_fonts(svg: str) -> str:
    """A picture in a README must not load anything from elsewhere; the viewer's own fonts do."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
