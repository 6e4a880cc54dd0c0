"""However long a history is, each part of it costs the same: a request must not stop the gateway for half a
minute because its messages are looked at once for every message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import CLAUDE, a_text, a_tool_result, a_tool_use, assistant, translated, user

if TYPE_CHECKING:
    from collections.abc import Callable

FEW, MANY = 1_000, 16_000
MOST_TIMES = 100
"""Sixteen times as long may take sixteen times as much, and more on a busy machine; the square is 256."""


def of_one_role(count: int) -> list[dict[str, Any]]:
    return [user(a_text("x")) for _ in range(count)]


def with_passing_remarks(count: int) -> list[dict[str, Any]]:
    remark = {"role": "system", "content": [a_text("x")], "clear_at": "next_user_message"}
    return [user(a_text("x")), *[remark] * count, assistant(a_text("x")), user(a_text("x"))]


def calls_in_one_turn(count: int) -> list[dict[str, Any]]:
    ids = [f"toolu_{number}" for number in range(count)]
    calls = [a_tool_use(id=one) for one in ids]
    return [user(a_text("x")), assistant(*calls), user(*[a_tool_result(one) for one in ids])]


def calls_of_names_alike(count: int) -> list[dict[str, Any]]:
    calls = [a_tool_use(id=f"toolu_{n}", name="." * 64 + str(n)) for n in range(count)]
    return [user(a_text("x")), assistant(*calls), user(a_text("x"))]


def ids_alike(count: int) -> list[dict[str, Any]]:
    calls = [a_tool_use(id="." * 64 + str(n)) for n in range(count)]
    return [user(a_text("x")), assistant(*calls), user(a_text("x"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "history", [of_one_role, with_passing_remarks, calls_in_one_turn, calls_of_names_alike, ids_alike]
)
def test_a_long_history_costs_in_proportion(history: Callable[[int], list[dict[str, Any]]]) -> None:
    few, many = history(FEW), history(MANY)

    assert _cpu_seconds(many) < MOST_TIMES * _cpu_seconds(few)


def _cpu_seconds(messages: list[dict[str, Any]]) -> float:
    started = time.process_time()
    translated(*messages, model=CLAUDE)
    return time.process_time() - started
