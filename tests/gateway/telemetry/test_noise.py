"""Log lines that unauthenticated callers cause."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import RequestFactory

from gateway.telemetry.noise import (
    LINE_EVERY_SECONDS,
    MOST_LINES,
    Budget,
    NoiseFilter,
    libraries,
    unauthenticated,
)


@pytest.fixture(autouse=True)
def fresh_budgets() -> None:
    unauthenticated.forget()
    libraries.forget()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_has_one_line_a_minute() -> None:
    clock = Clock()
    budget = Budget(clock)

    first, second, other = budget.spend("a"), budget.spend("a"), budget.spend("b")
    clock.now += LINE_EVERY_SECONDS
    later = budget.spend("a")

    assert (first, second, other) == ("", None, " (1 more since the last line like this)")
    assert later == ""


def test_many_networks_share_ten_lines_a_minute() -> None:
    clock = Clock()
    budget = Budget(clock)

    said = [budget.spend(number) for number in range(10_000)]
    clock.now += LINE_EVERY_SECONDS

    assert said == [""] * MOST_LINES + [None] * (10_000 - MOST_LINES)
    assert len(budget._logged_at) == MOST_LINES
    assert budget.spend("a") == " (9990 more since the last line like this)"


def a_line(name: str, level: int = logging.WARNING, **extra: Any) -> logging.LogRecord:
    record = logging.LogRecord(name, level, __file__, 1, "Not Found: %s", ("/x",), None)
    record.__dict__.update(extra)
    return record


def passed(*records: logging.LogRecord) -> list[str]:
    noise = NoiseFilter()
    return [record.getMessage() for record in records if noise.filter(record)]


def test_django_lines_of_one_caller_are_limited() -> None:
    requests = [RequestFactory(REMOTE_ADDR=f"2001:db8::{number}").get("/admin/x/") for number in range(5)]

    lines = [
        a_line(f"django.{kind}", request=one) for one in requests for kind in ("request", "security.csrf")
    ]

    assert passed(*lines) == ["Not Found: /x"]


def test_our_own_lines_all_pass() -> None:
    assert len(passed(*(a_line("gateway.relay.relay") for _ in range(100)))) == 100


def raised(number: int) -> Any:
    try:
        if number % 2:
            raise ValueError(number)
        raise KeyError(number)
    except (KeyError, ValueError) as error:
        return type(error), error, error.__traceback__


def test_each_failing_place_is_logged_once_a_minute() -> None:
    request = RequestFactory().get("/admin/")

    lines = [a_line("django.request", logging.ERROR, request=request, exc_info=raised(n)) for n in range(10)]

    assert len(passed(*lines)) == 2


def test_libraries_repeat_themselves_once_a_minute() -> None:
    assert len(passed(*(a_line("asyncio") for _ in range(10)))) == 1
