from __future__ import annotations

import pytest

from benchmarks.budget import Figures, count_calls, count_loop, is_within, outcome, system_calls_in, table
from benchmarks.counted_gateway import CallCounter
from gateway.upstreams.endpoint_health import EndpointHealth


@pytest.fixture(scope="module")
def figures() -> Figures:
    figures = Figures()
    count_calls(figures)
    count_loop(figures, ["W2"])
    return figures


@pytest.mark.parametrize("name", ["W1", "W2", "W4", "event", "tasks", "timers", "call_soon", "urandom"])
def test_a_request_costs_no_more_than_allowed(figures: Figures, name: str) -> None:
    assert is_within(name, figures.budgeted()[name]), table(figures.calls)


def test_the_layers_add_up_to_the_total(figures: Figures) -> None:
    for counts in figures.calls.values():
        assert sum(counts.values()) - counts["urandom"] == pytest.approx(2 * counts["total"])


def test_calls_are_counted_in_their_layer() -> None:
    counter, health = CallCounter(), EndpointHealth()

    counter.begin()
    health.succeeded("https://one.example")
    counts = counter.end()

    assert counts["upstream"] >= 1
    assert "pool" not in counts


def test_the_verdict_names_each_count_and_its_budget() -> None:
    assert outcome({"W1": 700, "tasks": 2.12}) == "budget: W1 700/750 tasks 2.12/2.1 PASS"
    assert outcome({"W1": 751}) == "budget: W1 751/750 FAIL"


def test_chance_is_allowed_for_only_in_small_counts() -> None:
    assert is_within("timers", 2.08)
    assert not is_within("timers", 2.2)
    assert not is_within("call_soon", 7.04)


def test_system_calls_are_those_of_the_loop_between_the_marks() -> None:
    trace = """\
7 write(1, "before", 6) = 6
7 newfstatat(AT_FDCWD, "/benchmarks/counted_gateway/begin", 0x7ffd, 0) = -1 ENOENT (No such file or directory)
7 recvfrom(4, "POST", 4096, 0, NULL, NULL) = 4
8 getrandom("x", 16, 0) = 16
7 newfstatat(AT_FDCWD, "/benchmarks/counted_gateway/end", 0x7ffd, 0) = -1 ENOENT (No such file or directory)
7 write(1, "after", 5) = 5
"""

    assert system_calls_in(trace, requests=1) == {"recvfrom": 1, "newfstatat": 1}
