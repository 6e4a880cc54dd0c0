"""Two HAProxies: one answers from memory, one only passes requests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.canned_answers import account_answers, passed_models
from benchmarks.processes import LOOPBACK, Server, free_port
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

# An answer from memory has to fit into one buffer, and so does a request that is read before it is answered.
BUFFER_BYTES = 256 * 1024

COMMON = """\
defaults
    mode http
    timeout connect 10s
    timeout client 180s
    timeout server 180s
"""


def model_call(base_path: str) -> str:
    return f"{base_path}/v1internal:streamGenerateContent?alt=sse"


def passed_path(name: str) -> str:
    return f"/passed/{name}"


def canned_upstream(folder: Path) -> Server:
    """Serve workload W1 in Google's format under the base path /W1, in Anthropic's under /passed/W1, and so
    on."""
    port = free_port()
    config = folder / "canned.cfg"
    config.write_text(_canned_config(port, folder))
    return Server(_command(config), port, folder / "canned.log")


def relay(folder: Path, canned_port: int, paced_port: int) -> Server:
    """A plain reverse proxy on one core, with kept-alive connections like the gateway's and defaults for the
    rest."""
    port = free_port()
    config = folder / "relay.cfg"
    config.write_text(_relay_config(port, canned_port, paced_port))
    return Server(_command(config), port, folder / "relay.log")


def _command(config: Path) -> list[str]:
    return ["haproxy", "-db", "-f", str(config)]  # -db: in the foreground


def _canned_config(port: int, folder: Path) -> str:
    rules = [
        *(_rule(folder, f"path_beg /{name}/v1internal:stream", "text/event-stream", name, workload.answer)
          for name, workload in WORKLOADS.items()),
        *(_rule(folder, f"path_beg {passed_path(name)}/v1/messages", _type_of(workload.passed),
                f"passed-{name}", workload.passed)
          for name, workload in WORKLOADS.items()),
        _rule(folder, "path_end /v1/models", "application/json", "models", passed_models()),
        *(_rule(folder, f"path_end {call}", "application/json", call, answer)
          for call, answer in account_answers().items()),
    ]  # fmt: skip
    return "\n".join(
        [
            f"global\n    nbthread 2\n    maxconn 2000\n    tune.bufsize {BUFFER_BYTES}",
            COMMON,
            f"frontend canned\n    bind {LOOPBACK}:{port}",
            "    http-request wait-for-body time 10s",
            *rules,
            '    http-request return status 404 content-type text/plain string "nothing is canned here"\n',
        ]
    )


def _type_of(answer: bytes) -> str:
    return "application/json" if answer.startswith(b"{") else "text/event-stream"


def _rule(folder: Path, condition: str, content_type: str, name: str, answer: bytes) -> str:
    file = folder / f"{name}.answer"
    file.write_bytes(answer)
    return f"    http-request return status 200 content-type {content_type} file {file} if {{ {condition} }}"


def _relay_config(port: int, canned_port: int, paced_port: int) -> str:
    return f"""\
global
    nbthread 1
    maxconn 4000
{COMMON}
    option http-no-delay
frontend relay
    bind {LOOPBACK}:{port}
    use_backend paced if {{ path_beg /paced/ }}
    default_backend canned
backend canned
    http-reuse always
    server canned {LOOPBACK}:{canned_port}
backend paced
    http-reuse always
    server paced {LOOPBACK}:{paced_port}
"""
