"""Rows of other servers on one database."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from dashboard.live.protocol import BEGUN, ENDED, STARTED
from dashboard.live.stored_rows import OtherServers
from gateway.ledger import instances
from gateway.ledger.instances import LEASE
from gateway.models import RequestLog, ServerInstance
from tests.gateway.ledger.builders import a_record, an_open_record, keep

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

    from gateway.ledger.record import RequestRecord

pytestmark = pytest.mark.django_db

OURS = 7


@pytest.fixture
def theirs() -> int:
    return instances.register("").pk


def store(record: RequestRecord, instance_id: int, **changes: Any) -> RequestRecord:
    keep(record, instance_id=instance_id)
    RequestLog.objects.filter(pk=record.id).update(**changes)
    return record


def news(others: OtherServers) -> list[tuple[str, int]]:
    return [(row.request_id, row.rev) for row in others.news(timezone.now())]


def test_rows_of_others_are_told_once_for_each_stage(theirs: int) -> None:
    others = OtherServers(OURS)
    store(a_record(started_at=time.time()), OURS)
    record = store(an_open_record(started_at=time.time()), theirs)
    assert news(others) == [(record.request_id, STARTED)]
    assert (news(others), others.in_flight) == ([], 1)

    RequestLog.objects.filter(pk=record.id).update(first_event_seconds=0.5)
    assert news(others) == [(record.request_id, BEGUN)]
    RequestLog.objects.filter(pk=record.id).update(duration_seconds=2.0)
    assert news(others) == [(record.request_id, ENDED)]
    assert (news(others), others.in_flight) == ([], 0)


def test_a_long_request_of_another_server_ends_too(theirs: int) -> None:
    others = OtherServers(OURS)
    record = store(an_open_record(started_at=time.time() - 3600), theirs)
    assert news(others) == [(record.request_id, STARTED)]

    RequestLog.objects.filter(pk=record.id).update(duration_seconds=3600.0)
    assert news(others) == [(record.request_id, ENDED)]
    assert news(others) == []


def test_without_another_server_one_query_is_made(
    theirs: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    others = OtherServers(OURS)
    store(an_open_record(started_at=time.time()), theirs)
    ServerInstance.objects.update(seen_at=timezone.now() - LEASE - timedelta(seconds=1))

    with django_assert_num_queries(1):
        assert news(others) == []
