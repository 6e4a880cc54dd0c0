"""Who takes part: the canned upstream and the paced one for all, a fresh relay and gateway each time.

client ── relay ────┐
                    ├── canned or paced upstream
client ── gateway ──┘
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from benchmarks import haproxy, paced_upstream
from benchmarks.gateway_server import PROJECT, gateway, import_accounts
from benchmarks.http_client import Answer, post_request
from benchmarks.plan import say
from benchmarks.processes import LOOPBACK, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN_BYTES = 300

# Occurs only at the end of a complete answer.
PROOFS = {"relay": b'"finishReason":"STOP"', "gateway": b'"stop_reason":"'}


@dataclass(frozen=True, slots=True)
class Target:
    """A measured server, and the request sent to it."""

    name: Literal["relay", "gateway"]
    server: Server
    request: bytes
    request_file: Path

    def has_answered(self, answer: Answer) -> bool:
        """True for a complete answer without an error; others are printed."""
        is_good = (
            answer.status == 200 and PROOFS[self.name] in answer.body and b"event: error" not in answer.body
        )
        if not is_good:
            say(f"{self.name} answered {answer.status}: {bytes(answer.body[-SHOWN_BYTES:])!r}")
        return is_good


class Stage:
    """A context manager that starts all servers; after it nothing runs and no file is left."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(tempfile.mkdtemp(prefix="gateway-benchmark-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._canned = stack.enter_context(haproxy.canned_upstream(self._folder))
            self._paced = stack.enter_context(paced_server(self._folder))
            import_accounts(self._folder)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def canned_targets(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> Iterator[tuple[Target, Target]]:
        """Relay and gateway in front of the canned answers for the workload of this name."""
        with self._targets(self._canned.port, f"/{name}", headers, body) as targets:
            yield targets

    @contextmanager
    def paced_targets(
        self, events: int, pause_ms: int, headers: Mapping[str, str], body: bytes
    ) -> Iterator[tuple[Target, Target]]:
        """Relay and gateway in front of the paced upstream."""
        base_path = paced_upstream.base_path(events, pause_ms)
        with self._targets(self._paced.port, base_path, headers, body) as targets:
            yield targets

    @contextmanager
    def _targets(
        self, upstream_port: int, base_path: str, headers: Mapping[str, str], body: bytes
    ) -> Iterator[tuple[Target, Target]]:
        folder = self._folder
        with ExitStack() as stack:
            relay = stack.enter_context(haproxy.relay(folder, self._canned.port, self._paced.port))
            base_url = f"http://{LOOPBACK}:{upstream_port}{base_path}"
            token_url = f"http://{LOOPBACK}:{self._canned.port}/token"
            gateway_server = stack.enter_context(gateway(folder, base_url, token_url))
            relay_request = post_request(relay.port, haproxy.model_call(base_path), headers, body)
            gateway_request = post_request(gateway_server.port, "/v1/messages?beta=true", headers, body)
            yield (
                Target("relay", relay, relay_request, _file(folder / "relay.request", relay_request)),
                Target(
                    "gateway",
                    gateway_server,
                    gateway_request,
                    _file(folder / "gateway.request", gateway_request),
                ),
            )


def paced_server(folder: Path) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.paced_upstream", str(port)]
    return Server(command, port, folder / "paced.log", folder=PROJECT)


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
