from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.requests.waterfall import WIDTH, Row, waterfall
from gateway.models import RequestAttempt, RequestLog

MORNING = datetime(2026, 11, 24, 10, 15, tzinfo=UTC)


def a_request(**changes: Any) -> RequestLog:
    facts: dict[str, Any] = {
        "started_at": MORNING,
        "attempts": 1,
        "first_event_seconds": 0.5,
        "duration_seconds": 2.0,
    }
    return RequestLog(**facts | changes)


def an_attempt(at: float = 0.0, took: float = 2.0, waited: float = 0.0, **changes: Any) -> RequestAttempt:
    facts: dict[str, Any] = {"account": "ada@example.com", "model": "claude-sonnet-4-6", "reason": "answered"}
    return RequestAttempt(
        started_at=MORNING + timedelta(seconds=at),
        took_seconds=took,
        waited_seconds=waited,
        **facts | changes,
    )


def segments(row: Row) -> list[tuple[str, float, float]]:
    return [(one.kind, one.x, one.width) for one in row.segments]


def test_one_attempt_is_drawn_to_the_first_event() -> None:
    found = waterfall(a_request(), [an_attempt()])

    (row,) = found.rows
    assert segments(row) == [("until first event", 0, 1000)]
    assert (row.took_seconds, row.stream_seconds, row.goes_on) == (2.0, 1.5, True)
    assert (found.seconds, found.can_be_whole) == (0.5, True)
    assert [tick.value for tick in found.ticks] == [0, 0.2, 0.4]


def test_the_whole_of_it_has_the_stream() -> None:
    (row,) = waterfall(a_request(), [an_attempt()], whole=True).rows

    assert segments(row) == [("until first event", 0, 250), ("stream", 250, 750)]
    assert not row.goes_on


def test_a_slow_request_shows_where_the_time_went() -> None:
    attempts = [
        an_attempt(0, 1.2, reason="quota", decision="next account"),
        an_attempt(1.2, 4.1, reason="answered with nothing", decision="same account again"),
        an_attempt(5.5, 35.5, waited=0.2),
    ]

    found = waterfall(a_request(attempts=3, first_event_seconds=6.0, duration_seconds=41.0), attempts)

    assert [row.kind for row in found.rows] == ["failed", "failed", "until first event"]
    assert segments(found.rows[0]) == [("failed", 0, 200)]
    assert segments(found.rows[1]) == [("failed", 200, 683.33)]
    assert [one.kind for one in found.rows[2].segments] == ["waited", "until first event"]
    assert found.rows[2].waited_seconds == pytest.approx(0.2)
    assert found.rows[2].stream_seconds == pytest.approx(35.0)


def test_a_wait_before_the_first_attempt_is_its_own() -> None:
    found = waterfall(
        a_request(first_event_seconds=4.0, duration_seconds=5.0), [an_attempt(3.0, 2.0, waited=3.0)]
    )

    (row,) = found.rows
    assert segments(row) == [("waited", 0, 750), ("until first event", 750, 250)]


def test_time_that_no_attempt_accounts_for_is_in_line() -> None:
    request = a_request(
        attempts=2, first_event_seconds=None, duration_seconds=10.0, problem="rate_limit_error"
    )
    attempts = [an_attempt(0, 1, reason="quota"), an_attempt(3, 1, reason="quota")]

    found = waterfall(request, attempts)

    assert [row.kind for row in found.rows] == ["failed", "in line", "failed", "in line"]
    assert segments(found.rows[1]) == [("in line", 100, 200)]
    assert segments(found.rows[3]) == [("in line", 400, 600)]
    assert not found.can_be_whole


def test_a_request_without_an_attempt_was_in_line() -> None:
    request = a_request(
        attempts=0, first_event_seconds=None, duration_seconds=0.5, problem="overloaded_error"
    )

    assert [row.kind for row in waterfall(request, []).rows] == ["in line"]


@pytest.mark.parametrize("first_event", [None, 0.5])
def test_a_client_that_hung_up_is_no_failure(first_event: float | None) -> None:
    request = a_request(first_event_seconds=first_event, problem=RequestLog.HUNG_UP)

    (row,) = waterfall(request, [an_attempt(reason="the client hung up")]).rows

    assert row.kind == "until first event"
    assert row.stream_seconds == (None if first_event is None else 1.5)


@pytest.mark.parametrize("attempts", [0, 2])
def test_an_interrupted_request_has_nothing_to_draw(attempts: int) -> None:
    request = an_interrupted_request(attempts=attempts, first_event_seconds=None)

    found = waterfall(request, [], age=3600.0)

    assert (found.rows, found.ticks, found.seconds) == ((), (), 0)


def an_interrupted_request(**changes: Any) -> RequestLog:
    return a_request(duration_seconds=None, problem=RequestLog.INTERRUPTED, **changes)


def test_an_interrupted_request_is_known_to_its_first_event() -> None:
    found = waterfall(an_interrupted_request(first_event_seconds=1.9), [], age=3600.0)

    assert [segments(row) for row in found.rows] == [[("not recorded", 0, 1000)]]
    assert (found.seconds, found.can_be_whole) == (1.9, False)


def test_a_stream_that_broke_off_is_a_failure() -> None:
    request = a_request(problem="api_error", status=502)

    (row,) = waterfall(request, [an_attempt(reason="broke off")], whole=True).rows

    assert segments(row) == [("until first event", 0, 250), ("broken stream", 250, 750)]
    assert (row.kind, row.stream_seconds) == ("until first event", 1.5)


def test_an_open_request_lasts_until_now() -> None:
    request = a_request(attempts=2, first_event_seconds=None, duration_seconds=None)
    attempts = [an_attempt(0, 1, reason="quota"), an_attempt(1, 0, reason="")]

    found = waterfall(request, attempts, age=4.0)

    assert [row.kind for row in found.rows] == ["failed", "until first event"]
    assert segments(found.rows[1]) == [("until first event", 250, 750)]


def test_attempts_that_are_not_stored_yet_are_unknown() -> None:
    request = a_request(attempts=2, first_event_seconds=None, duration_seconds=None)

    assert [row.kind for row in waterfall(request, [], age=4.0).rows] == ["in flight"]


def test_nothing_that_took_no_time_is_hidden() -> None:
    request = a_request(first_event_seconds=None, duration_seconds=0.0, problem="api_error")

    found = waterfall(request, [an_attempt(0, 0, reason="refused")])

    assert segments(found.rows[0]) == [("failed", 0, 2)]


def test_two_hours_have_round_ticks() -> None:
    request = a_request(first_event_seconds=7200.0, duration_seconds=7300.0)

    found = waterfall(request, [an_attempt(0, 7300)])

    assert [tick.value for tick in found.ticks] == [0, 2000, 4000, 6000]


def test_twenty_attempts_follow_each_other() -> None:
    attempts = [an_attempt(number, 1, reason="no capacity") for number in range(19)] + [an_attempt(19, 6)]

    found = waterfall(a_request(attempts=20, first_event_seconds=20, duration_seconds=25), attempts)

    assert [row.segments[0].x for row in found.rows] == [number * 50 for number in range(20)]


moments = st.floats(-5, 100, allow_nan=False)
tries = st.lists(
    st.tuples(moments, moments, moments, st.sampled_from(["answered", "quota", ""])), max_size=20
)


@given(
    tries, st.none() | moments, st.none() | st.floats(0, 200), st.booleans(), st.none() | st.floats(0, 200)
)
@settings(max_examples=300)
def test_bars_stay_inside_whatever_the_clocks(
    found: list[tuple[float, float, float, str]],
    first_event: float | None,
    duration: float | None,
    whole: bool,
    age: float | None,
) -> None:
    request = a_request(attempts=len(found), first_event_seconds=first_event, duration_seconds=duration)
    attempts = [an_attempt(at, took, waited, reason=reason) for at, took, waited, reason in found]

    drawn = waterfall(request, attempts, whole=whole, age=age)

    assert [row.attempt for row in drawn.rows if row.attempt] == attempts
    for row in drawn.rows:
        for one in row.segments:
            assert one.seconds >= 0
            assert one.x >= 0
            assert one.width > 0
            assert one.x + one.width <= WIDTH + 0.02
