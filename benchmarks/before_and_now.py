"""The gateway of an earlier commit and that of now, in front of the same upstreams.

The earlier commit is checked out into a folder of its own, with the libraries it asks for. All gateways have
everything on: key, three accounts, ledger, activity, log at info.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks import haproxy, paced_upstream
from benchmarks.gateway_server import MANAGE, PROJECT, gateway, import_accounts
from benchmarks.http_client import connect, post_request, run
from benchmarks.processes import LOOPBACK
from benchmarks.stage import Target, paced_server
from benchmarks.workloads import SDK_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.processes import Server

FIRST_COMMIT = "04f6e42"
"""The last commit before the request path was made faster, and before the code was divided into rooms."""
AS_IT_IS = "."
"""In place of a commit: the code of this folder, which needs no other libraries."""
BEFORE = "before"
NOW = "now"
EVERYTHING_ON = {"AUTH_TOKEN": SDK_HEADERS["x-api-key"], "LOG_LEVEL": "info"}


class BeforeAndNow:
    """A context manager: the upstreams run inside it, and after it no file is left. Raises
    processes.DidNotStart, and CalledProcessError without the commit."""

    names = (BEFORE, NOW)

    def __init__(self, commit: str = FIRST_COMMIT) -> None:
        self._commit = commit

    def __enter__(self) -> Self:
        # SIGTERM must remove the folders, too: SystemExit leaves through the `with` blocks.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-benchmark-")))
            self._manage_before = stack.enter_context(_worktree(self._commit))
            for name in self.names:
                (self._folder / name).mkdir()
                import_accounts(self._folder / name, manage=self._manage(name))
            self._canned = stack.enter_context(haproxy.canned_upstream(self._folder))
            self._paced = stack.enter_context(paced_server(self._folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def project_of(self, name: str) -> Path:
        """The folder with the code of this gateway."""
        return Path(self._manage(name)[-1]).parent

    def canned(self, workload: str) -> str:
        """The address of an upstream that answers as in this workload."""
        return f"http://{LOOPBACK}:{self._canned.port}/{workload}"

    def paced(self, events: int, pause_ms: int) -> str:
        return f"http://{LOOPBACK}:{self._paced.port}{paced_upstream.base_path(events, pause_ms)}"

    def keep_paced_to(self, cores: set[int]) -> None:
        """Set the CPU affinity of the upstream that sends paced answers."""
        self._paced.keep_to(cores)

    def server(self, name: str, base_url: str) -> Server:
        """One of the gateways, which starts when the context of the server is entered."""
        token_url = f"http://{LOOPBACK}:{self._canned.port}/token"
        folder = self._folder / name
        return gateway(folder, base_url, token_url, self._manage(name), **EVERYTHING_ON)

    @contextmanager
    def target(self, name: str, base_url: str, headers: Mapping[str, str], body: bytes) -> Iterator[Target]:
        """One of the gateways, which has answered the request once. Raises AssertionError when it has not,
        with the answer printed."""
        with self.server(name, base_url) as server:
            target = self.request_to(name, server, headers, body)
            run(_check(target))
            yield target

    def request_to(self, name: str, server: Server, headers: Mapping[str, str], body: bytes) -> Target:
        request = post_request(server.port, "/v1/messages?beta=true", headers, body)
        file = self._folder / f"{name}.request"
        file.write_bytes(request)
        return Target("gateway", server, request, file)

    def direct(self, base_url: str, headers: Mapping[str, str], body: bytes) -> Target:
        """The upstream itself, with the same body, which it does not read."""
        server = (
            self._paced if base_url.startswith(self.paced(0, 0).partition("/paced/")[0]) else self._canned
        )
        path = base_url.removeprefix(f"http://{LOOPBACK}:{server.port}")
        request = post_request(server.port, haproxy.model_call(path), headers, body)
        file = self._folder / "direct.request"
        file.write_bytes(request)
        return Target("relay", server, request, file)

    def _manage(self, name: str) -> Sequence[str]:
        return self._manage_before if name == BEFORE else MANAGE


async def _check(target: Target) -> None:
    connection = await connect(target.server.port)
    answer = await connection.exchange(target.request)
    connection.close()
    assert target.has_answered(answer)


@contextmanager
def _worktree(commit: str) -> Iterator[tuple[str, ...]]:
    """The command that runs manage.py of this commit."""
    if commit == AS_IT_IS:
        yield MANAGE
        return
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        sys.exit("uv cannot be found, which installs the earlier commit's libraries.")
    folder = Path(tempfile.mkdtemp(prefix="gateway-before-"))
    git = ["git", "-C", str(PROJECT), "worktree"]
    try:
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        interpreter = str(Path(sys.executable).resolve())  # the same for both
        install = [uv, "sync", "--quiet", "--no-dev", "--python", interpreter]
        subprocess.run(install, cwd=folder, env=environment, check=True)
        yield str(folder / ".venv/bin/python"), str(folder / "manage.py")
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
