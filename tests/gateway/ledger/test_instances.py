from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.ledger import instances
from gateway.models import HourlyUsage, RequestLog, ServerInstance
from tests.gateway.ledger.builders import (
    MORNING,
    a_record,
    an_attempt,
    an_open_record,
    answer,
    counts,
    keep,
    row_of,
)

pytestmark = pytest.mark.django_db


def a_server(lock: str = "", silent_for: float = 0) -> int:
    instance = instances.register(lock)
    ServerInstance.objects.filter(pk=instance.pk).update(
        seen_at=timezone.now() - timedelta(seconds=silent_for)
    )
    return instance.pk


def outcomes() -> list[str]:
    return sorted(row.outcome for row in RequestLog.objects.all())


# Who holds the lock


def test_the_next_holder_of_the_lock_closes_old_rows() -> None:
    record = an_open_record()
    keep(record, instance_id=a_server("here"))

    a_server("here")

    assert row_of(record).outcome == "interrupted"
    assert row_of(record).duration_seconds is None


def test_rows_of_another_lock_are_left_alone() -> None:
    keep(an_open_record(), instance_id=a_server("there"))
    keep(an_open_record(), instance_id=a_server(""))

    a_server("here")

    assert outcomes() == ["open", "open"]


def test_without_a_lock_no_lease_expires_at_once() -> None:
    keep(an_open_record(), instance_id=a_server(""))

    a_server("")

    assert outcomes() == ["open"]


def test_rows_that_have_ended_stay_as_they_are() -> None:
    former = a_server("here")
    keep(a_record(), a_record(problem="hung_up", status=499), instance_id=former)

    a_server("here")

    assert outcomes() == ["answered", "hung_up"]


def test_the_former_ones_are_closed_once() -> None:
    keep(an_open_record(), instance_id=a_server("here"))

    for _ in range(3):
        a_server("here")

    assert counts() == {"requests": 1, "interrupted": 1}


def test_servers_count_from_numbers_that_never_meet() -> None:
    first, second = instances.register("here"), instances.register("here")

    assert second.first_request_id - first.first_request_id >= ServerInstance.REQUESTS_EACH


# Who is silent


def test_rows_of_a_silent_server_are_closed() -> None:
    keep(an_open_record(), an_open_record(), instance_id=a_server(silent_for=61))

    assert instances.close_rows_of_expired(a_server()) == 2

    assert outcomes() == ["interrupted", "interrupted"]


def test_a_live_server_keeps_its_rows() -> None:
    keep(an_open_record(), instance_id=a_server(silent_for=55))

    assert instances.close_rows_of_expired(a_server()) == 0

    assert outcomes() == ["open"]


def test_who_asks_lives() -> None:
    us = a_server(silent_for=1000)
    keep(an_open_record(), instance_id=us)

    assert instances.close_rows_of_expired(us) == 0


def test_two_sweeps_close_once() -> None:
    keep(an_open_record(), instance_id=a_server(silent_for=61))
    first, second = a_server(), a_server()

    closed = [instances.close_rows_of_expired(one) for one in (first, second, first)]

    assert closed == [1, 0, 0]
    assert counts() == {"requests": 1, "interrupted": 1}


def test_a_server_that_has_ended_has_no_expired_lease() -> None:
    server = a_server(silent_for=61)
    instances.end(server)

    instances.close_rows_of_expired(a_server())

    assert ServerInstance.objects.get(pk=server).ended_at is not None


def test_a_row_still_open_when_its_server_ended_does_not_stay_open() -> None:
    """A request that outlasts the wait_limits of a server that stops."""
    server = a_server("here", silent_for=61)
    keep(an_open_record(), instance_id=server)
    instances.end(server)

    instances.close_rows_of_expired(a_server("here"))

    assert outcomes() == ["interrupted"]


def test_sums_count_interrupted_requests_in_the_hour_of_their_start() -> None:
    server = a_server(silent_for=61)
    later = (MORNING + timedelta(hours=1)).timestamp()
    keep(
        an_open_record(),
        an_open_record(),
        an_open_record(attempts=[an_attempt()]),
        an_open_record(started_at=later),
        instance_id=server,
    )

    instances.close_rows_of_expired(a_server())

    hour = MORNING.replace(minute=0)
    found = {(row.hour, row.account): row.interrupted for row in HourlyUsage.objects.all()}
    assert found == {(hour, ""): 2, (hour, "ada@example.com"): 1, (hour + timedelta(hours=1), ""): 1}
    assert counts() == {"requests": 4, "interrupted": 4}


def test_interrupted_requests_are_added_to_the_sums_of_their_hour() -> None:
    server = a_server(silent_for=61)
    keep(a_record(), an_open_record(attempts=[an_attempt()]), instance_id=server)

    instances.close_rows_of_expired(a_server())

    assert HourlyUsage.objects.count() == 1
    assert counts() == {"requests": 2, "interrupted": 1, "attempts": 1}


# Running servers whose lease has expired


def test_a_write_renews_an_expired_lease() -> None:
    server = a_server(silent_for=61)
    instances.close_rows_of_expired(a_server())

    keep(a_record(), instance_id=server)

    assert ServerInstance.objects.get(pk=server).ended_at is None


def test_a_touch_renews_the_lease() -> None:
    server = a_server(silent_for=59)

    instances.touch(server)

    assert timezone.now() - ServerInstance.objects.get(pk=server).seen_at < timedelta(seconds=5)


def test_a_server_that_was_revived_can_die_again() -> None:
    server = a_server(silent_for=61)
    instances.close_rows_of_expired(a_server())
    record = an_open_record()
    keep(record, instance_id=server)
    ServerInstance.objects.filter(pk=server).update(seen_at=timezone.now() - timedelta(seconds=61))

    assert instances.close_rows_of_expired(a_server()) == 1

    assert row_of(record).outcome == "interrupted"


def test_a_server_that_was_revived_ends_its_requests_itself() -> None:
    server, record = a_server(silent_for=61), an_open_record()
    keep(record, instance_id=server)
    instances.close_rows_of_expired(a_server())

    keep(answer(record), instance_id=server)

    assert outcomes() == ["answered"]
    assert counts() == {"requests": 1, "attempts": 1}
