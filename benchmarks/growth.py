"""How the cost of a request grows: `uv run --all-groups benchmarks/growth.py [FOLDER]`.

Function calls and CPU of one request in the event loop's thread, against the number of accounts and of held
streams, the length of the history and the number of tools. The gateway is that of benchmarks/budget.py, in
whose counts a busy machine makes no difference. Draws a plot of each into the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import leather

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # `uv run benchmarks/growth.py` puts only this folder there

from benchmarks.budget import NUMBER, CountedGateway, counted_gateway  # noqa: E402
from benchmarks.claude_code_request import CALLS, TOOLS, claude_code_request  # noqa: E402
from benchmarks.plan import say  # noqa: E402
from benchmarks.report import machine, table  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.workloads import Workload

FOLDER = PROJECT / "docs" / "images"
FLAT = 1.1
"""A cost that grows by no more than a tenth from the first point to the last is flat."""
NO_LIMIT = "0"
"""Of an account's requests at once, which held streams would reach."""
LINEAR = 1.25
"""The steepest stretch of a linear cost is so many times the first at most."""

AGREEMENT = 0.01
AGREEING = 4
MOST_TRIES = 100


@dataclass(frozen=True, slots=True)
class Point:
    """The cost of one request. `size` is the number of what grows."""

    size: int
    calls: float
    cpu_seconds: float


def accounts(sizes: Sequence[int] = (1, 20, 200)) -> list[Point]:
    return [_point(size, WORKLOADS["W2"], accounts=size) for size in sizes]


def held_streams(sizes: Sequence[int] = (0, 1000, 5000)) -> list[Point]:
    return [_point(size, WORKLOADS["W2"], held=size) for size in sizes]


def history(sizes: Sequence[int] = (0, 20, 40, 80)) -> list[Point]:
    """The cost by the number of tool calls in a Claude Code request's history, 3.7 kB each with its result.
    The first message of each request differs, so the gateway has not cached its history
    (gateway/preparation/recent_parts.py): the case of a conversation's first request."""
    return [_point(size, _claude_code(calls=size, first_text=NUMBER)) for size in sizes]


def known_history(sizes: Sequence[int] = (0, 20, 40, 80)) -> list[Point]:
    """The cost by the same number, for a history that the gateway has cached: the case of a conversation's
    next turn."""
    return [_point(size, _claude_code(calls=size)) for size in sizes]


def tools(sizes: Sequence[int] = (0, 20, 50, 100)) -> list[Point]:
    return [_point(size, _claude_code(tools=size)) for size in sizes]


GROWING: dict[str, Callable[[], list[Point]]] = {
    "accounts": accounts,
    "held streams": held_streams,
    "history": history,
    "known history": known_history,
    "tools": tools,
}


def main() -> None:
    arguments = _parser().parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.only:
        say(name)
        points = GROWING[name]()
        draw(name, points, arguments.folder / f"growth-{name.replace(' ', '-')}.svg")
        rows += _rows(name, points)
    print(f"{machine()}; one request, in the event loop's thread.\n")
    print(table(["of", "number", "function calls", "CPU, µs", "calls are"], rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/growth.py", description="How the cost of a request grows."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=FOLDER, help="for the plots; default: docs/images"
    )
    parser.add_argument("--only", nargs="+", choices=list(GROWING), default=list(GROWING))
    return parser


def _point(size: int, workload: Workload, accounts: int = 3, held: int = 0) -> Point:
    with counted_gateway("calls", accounts, MAX_CONCURRENT_REQUESTS=NO_LIMIT) as gateway:
        gateway.hold(held)
        calls = _settled_calls(gateway, workload)
        return Point(size, calls, gateway.cpu_seconds(workload))


def _settled_calls(gateway: CountedGateway, workload: Workload) -> float:
    """Return the calls of one request, measured again until the last AGREEING results differ by no more than
    AGREEMENT: after its start the gateway inspects each account, half a minute for 200 of them. Raises
    RuntimeError when they never do."""
    latest: deque[float] = deque(maxlen=AGREEING)
    for _ in range(MOST_TRIES):
        latest.append(gateway.measure(workload)["total"])
        if len(latest) == AGREEING and max(latest) <= min(latest) * (1 + AGREEMENT):
            return latest[-1]
    raise RuntimeError(f"The counts of a request do not settle: {list(latest)}")


def _claude_code(calls: int = CALLS, tools: int = len(TOOLS), first_text: str = "") -> Workload:
    request = claude_code_request(calls, tools)
    request["messages"][0]["content"][0]["text"] += first_text
    body = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    return replace(WORKLOADS["W4"], body=body.encode())


def growth_of(points: Sequence[Point]) -> str:
    """How the function calls grow: "flat", "linear" or "faster"."""
    if points[-1].calls <= points[0].calls * FLAT:
        return "flat"
    slopes = [(after.calls - before.calls) / (after.size - before.size) for before, after in pairwise(points)]
    return "linear" if max(slopes) <= slopes[0] * LINEAR else "faster"


def draw(name: str, points: Sequence[Point], file: Path) -> None:
    """Function calls in one chart and CPU in another beside it."""
    grid = leather.Grid()
    for what, values in (
        ("function calls of a request", [one.calls for one in points]),
        ("CPU of a request, µs", [one.cpu_seconds * 1e6 for one in points]),
    ):
        chart = leather.Chart(title=what)
        data = [(one.size, round(value)) for one, value in zip(points, values, strict=True)]
        chart.add_line(data)
        chart.add_x_axis(name=name)
        chart.add_y_scale(0, max(values) * 1.1)
        grid.add_one(chart)
    grid.to_svg(str(file))


def _rows(name: str, points: Sequence[Point]) -> list[list[str]]:
    last = len(points) - 1
    return [
        [
            name if number == 0 else "",
            f"{one.size:,}",
            f"{one.calls:,.0f}",
            f"{one.cpu_seconds * 1e6:,.0f}",
            growth_of(points) if number == last else "",
        ]
        for number, one in enumerate(points)
    ]


if __name__ == "__main__":
    main()
