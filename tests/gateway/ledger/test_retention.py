from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from gateway.ledger import instances, retention
from gateway.ledger.retention import STEP_ROWS, oldest_kept, prune_step
from gateway.models import HourlyUsage, MinuteUsage, RequestAttempt, RequestLog, ServerInstance
from tests.gateway.ledger.builders import (
    a_record,
    a_refused_attempt,
    an_attempt,
    an_open_record,
    counts,
    keep,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ledger.record import RequestRecord

pytestmark = pytest.mark.django_db


def days_ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def a_record_of(at: datetime) -> RequestRecord:
    return a_record(started_at=at.timestamp(), attempts=[a_refused_attempt(), an_attempt()])


def test_what_is_old_goes_with_its_attempts() -> None:
    old, new = a_record_of(days_ago(31)), a_record_of(days_ago(29))
    keep(old, new)

    assert prune_step(days_ago(30)) == 1

    assert [row.pk for row in RequestLog.objects.all()] == [new.id]
    assert {attempt.request_id for attempt in RequestAttempt.objects.all()} == {new.id}


def test_the_oldest_go_first_and_never_too_many_at_once() -> None:
    rows = STEP_ROWS + 20
    moments = [days_ago(100) + timedelta(minutes=number) for number in range(rows)]
    keep(*[a_record_of(at) for at in reversed(moments)])

    assert prune_step(days_ago(30)) == STEP_ROWS

    left = RequestLog.objects.order_by("started_at").values_list("started_at", flat=True)
    assert list(left) == moments[STEP_ROWS:]
    assert RequestAttempt.objects.count() == 2 * 20
    assert prune_step(days_ago(30)) == 20
    assert prune_step(days_ago(30)) == 0


def test_hourly_sums_stay() -> None:
    keep(a_record_of(days_ago(31)))

    prune_step(days_ago(30))

    assert not RequestLog.objects.exists()
    assert counts() == {"requests": 1, "attempts": 2}


def test_sums_of_minutes_are_kept_for_a_day() -> None:
    moments = [days_ago(0.99), days_ago(1.01), days_ago(31)]
    keep(*[a_record_of(at) for at in moments])

    prune_step(days_ago(30))

    assert [row.minute for row in MinuteUsage.objects.all()] == [moments[0].replace(second=0, microsecond=0)]


def test_hourly_sums_go_much_later() -> None:
    keep(a_record_of(days_ago(399)), a_record_of(days_ago(402)))

    prune_step(days_ago(30))

    assert counts() == {"requests": 1, "attempts": 2}


def test_a_row_that_begins_at_the_very_moment_stays() -> None:
    at = days_ago(30)
    keep(a_record_of(at))

    assert prune_step(at) == 0
    assert prune_step(at + timedelta(microseconds=1)) == 1


def test_a_row_left_open_goes_as_well() -> None:
    keep(an_open_record(started_at=days_ago(31).timestamp()))

    assert prune_step(days_ago(30)) == 1


def test_servers_that_ended_long_ago_are_forgotten() -> None:
    old, new, alive = (instances.register("").pk for _ in range(3))
    ServerInstance.objects.filter(pk=old).update(ended_at=days_ago(31))
    instances.end(new)

    prune_step(days_ago(30))

    assert set(ServerInstance.objects.values_list("pk", flat=True)) == {new, alive}


def test_numbers_of_a_forgotten_server_are_not_given_again() -> None:
    first = instances.register("")
    instances.end(first.pk)
    prune_step(timezone.now() + timedelta(days=1))
    assert not ServerInstance.objects.exists()

    assert instances.register("").first_request_id > first.first_request_id


def test_with_many_rows_sums_and_servers_wait_for_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_ROWS", 2)
    keep(*[a_record_of(days_ago(500)) for _ in range(3)])

    prune_step(days_ago(30))
    assert HourlyUsage.objects.exists()

    prune_step(days_ago(30))
    assert not HourlyUsage.objects.exists()


def test_the_setting_decides_how_many_days_are_kept(keep_for_days: Callable[[int], None]) -> None:
    keep_for_days(3)

    oldest = oldest_kept()

    assert oldest is not None
    assert abs(oldest - days_ago(3)) < timedelta(seconds=5)


def test_with_no_days_nothing_is_removed(keep_for_days: Callable[[int], None]) -> None:
    keep_for_days(0)

    assert oldest_kept() is None


def test_the_longest_time_that_can_be_set_is_a_time(keep_for_days: Callable[[int], None]) -> None:
    keep_for_days(3650)

    assert oldest_kept() is not None
