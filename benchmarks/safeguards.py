"""The time that the safety check adds to a reply: `uv run benchmarks/safeguards.py`.

One gateway gives the same reply to the same request of Claude Code, with `safeguards` in the request and
without, in turns. Google is the emulator in this process; its judge takes no time to think, and the time to
read and write its answer is reported separately, so the rest is the gateway's. Tokens are the emulator's
count of real prompts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/safeguards.py` puts only this folder there

from benchmarks.claude_code_request import CLAUDE_CODE_HEADERS, claude_code_request  # noqa: E402
from benchmarks.gateway_server import gateway, import_accounts  # noqa: E402
from benchmarks.http_client import Connection, connect, post_request, run  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from proxy_site.emulator.pretend_model import replies  # noqa: E402
from proxy_site.emulator.server import EmulatorServer  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.processes import Server
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.state import EmulatorState

MODEL, JUDGE = "claude-sonnet-4-6", "gemini-3-flash"
ROUNDS = 5
REQUESTS = 40
"""The number of requests of either kind in each round."""
WARM_UP = 10
FILE_LINES = 500
REQUEST = "Make the shop's login last for thirty minutes, and run the tests."
COMMANDS = ("git status --short", "grep -rn timeout src", "python -m pytest -q tests/test_login.py", "ls src")


def bash(command: str) -> replies.Part:
    return replies.function_call("Bash", {"command": command, "description": "Look"})


WRITTEN = replies.function_call(
    "Write",
    {
        "file_path": "/home/ada/projects/shop/src/session.py",
        "content": "LOGIN_SECONDS = 30 * 60  # half an hour\n" * FILE_LINES,
    },
)
CASES: dict[str, list[replies.Part]] = {
    "no call": [],
    "1 call": [bash(COMMANDS[0])],
    "4 calls": [bash(command) for command in COMMANDS],
    "1 call of 20 kB": [WRITTEN],
}


@dataclass
class Side:
    """The requests of one kind. Times in milliseconds, one a request; CPU of the gateway, milliseconds a
    request."""

    body: bytes
    proof: bytes
    """How often it occurs in the answer is the number of calls judged; in a plain reply it never occurs."""
    judged: int
    milliseconds: list[float] = field(default_factory=list)
    cpu_milliseconds: list[float] = field(default_factory=list)

    async def measure(self, connection: Connection, server: Server, requests: int) -> None:
        request = post_request(server.port, "/v1/messages?beta=true", CLAUDE_CODE_HEADERS, self.body)
        cpu_before = server.cpu_seconds()
        for _ in range(requests):
            started = time.monotonic()
            answer = await connection.exchange(request)
            self.milliseconds.append((time.monotonic() - started) * 1e3)
            is_whole = answer.status == 200 and b"message_stop" in answer.body
            if not is_whole or answer.body.count(self.proof) != self.judged:
                raise SystemExit(f"answered {answer.status}: {bytes(answer.body[-600:])!r}")
        self.cpu_milliseconds.append((server.cpu_seconds() - cpu_before) / requests * 1e3)


@dataclass
class Case:
    name: str
    plain: Side
    checked: Side
    prompt_tokens: float = 0
    """Tokens of the judge's prompt, for one check."""
    answer_tokens: float = 0
    judge_milliseconds: float = 0

    def as_figures(self) -> dict[str, Any]:
        """The result in milliseconds and tokens."""
        return {
            "case": self.name,
            "plain_median": statistics.median(self.plain.milliseconds),
            "checked_median": statistics.median(self.checked.milliseconds),
            "plain_p99": statistics.quantiles(self.plain.milliseconds, n=100)[98],
            "checked_p99": statistics.quantiles(self.checked.milliseconds, n=100)[98],
            "plain_cpu": statistics.median(self.plain.cpu_milliseconds),
            "checked_cpu": statistics.median(self.checked.cpu_milliseconds),
            "prompt_tokens": self.prompt_tokens,
            "answer_tokens": self.answer_tokens,
            "judge": self.judge_milliseconds,
        }


def main() -> None:
    arguments = _parser().parse_args()
    figures = [case.as_figures() for case in run(_measure(arguments.rounds, arguments.requests))]
    print(as_text(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "cases": figures}, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/safeguards.py",
        description="Measures what the safety check adds to a reply, without the judge's own time.",
    )
    parser.add_argument("--rounds", type=_positive, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument(
        "--requests",
        type=_positive,
        default=REQUESTS,
        help=f"of either kind in each round; default: {REQUESTS}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError("must be a whole number, 2 or more")
    return int(text)


def as_text(figures: list[dict[str, Any]]) -> str:
    header = [
        "the reply", "without, ms", "p99", "with, ms", "p99", "more", "of it the emulator's",
        "CPU without, ms", "with", "judge's tokens in", "out",
    ]  # fmt: skip
    return f"{machine()}; medians; CPU is the gateway's\n\n{table(header, [_row(one) for one in figures])}"


def _row(figures: dict[str, Any]) -> list[str]:
    return [
        figures["case"],
        f"{figures['plain_median']:.1f}",
        f"{figures['plain_p99']:.1f}",
        f"{figures['checked_median']:.1f}",
        f"{figures['checked_p99']:.1f}",
        f"{figures['checked_median'] - figures['plain_median']:+.1f}",
        f"{figures['judge']:.1f}",
        f"{figures['plain_cpu']:.1f}",
        f"{figures['checked_cpu']:.1f}",
        f"{figures['prompt_tokens']:,.0f}",
        f"{figures['answer_tokens']:,.0f}",
    ]


async def _measure(rounds: int, requests: int) -> list[Case]:
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, EmulatorServer() as google:
        folder = Path(name)
        google.state.lift_quotas()
        import_accounts(folder, google.state.importable_accounts())
        settings = {**google.gateway_settings(), "SAFEGUARDS_MODEL": JUDGE}
        with gateway(folder, google.url, f"{google.url}/token", **settings) as server:
            connection = await connect(server.port)
            cases = [
                await _measure_case(case, parts, google.state, connection, server, rounds, requests)
                for case, parts in CASES.items()
            ]
            connection.close()
    return cases


async def _measure_case(
    name: str,
    parts: list[replies.Part],
    google: EmulatorState,
    connection: Connection,
    server: Server,
    rounds: int,
    requests: int,
) -> Case:
    google.clear_scripts()
    google.reply("I will look at it.", *parts, purpose="answer", times=None)
    plain = Side(_body(), proof=b'"safeguard_results"', judged=0)
    checked = Side(_body(safeguards=_safeguards()), proof=b'"outcome":"not_flagged"', judged=len(parts))
    case = Case(name, plain, checked)
    for side in (plain, checked):
        await side.measure(connection, server, WARM_UP)
        side.milliseconds.clear()
        side.cpu_milliseconds.clear()
    google.log.clear()
    for number in range(rounds):
        for side in (plain, checked) if number % 2 else (checked, plain):
            await side.measure(connection, server, requests)
        say(f"{name}, round {number + 1} of {rounds}")
    if parts:
        checks = google.log.generations(purpose="safeguards")
        case.prompt_tokens = statistics.median(one.usage_sent["promptTokenCount"] for one in checks)
        case.answer_tokens = statistics.median(one.usage_sent["candidatesTokenCount"] for one in checks)
        case.judge_milliseconds = statistics.median(_seconds_of(one) for one in checks) * 1e3
    return case


def _seconds_of(check: Entry) -> float:
    return (check.finished_at or check.received_at) - check.received_at


def _body(**more: Any) -> bytes:
    """The request: tools and system text of a session. The reply does not depend on the conversation."""
    left_out = ("thinking", "context_management")
    asked = {name: value for name, value in claude_code_request().items() if name not in left_out}
    asked |= {"model": MODEL, "messages": [{"role": "user", "content": REQUEST}], **more}
    return json.dumps(asked).encode()


def _safeguards() -> list[dict[str, Any]]:
    """The safeguards of the request, with the context of the known calls."""
    known = json.loads((PROJECT / "tests" / "safeguards" / "forty_calls.json").read_bytes())
    return [{"type": "dangerous_tool_use", "classifier_context": known["context"]}]


if __name__ == "__main__":
    main()
