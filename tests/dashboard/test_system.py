from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from gateway.models import ServerInstance
from gateway.upstreams.endpoint_health import EndpointHealth, FailingEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client
    from pytest_django.fixtures import DjangoAssertNumQueries, Settings


def test_servers_and_database_are_shown(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    ServerInstance.objects.create(process_id=41, started_at=now, seen_at=now)
    ServerInstance.objects.create(
        process_id=42, started_at=now - timedelta(days=1), seen_at=now, ended_at=now
    )
    with django_assert_max_num_queries(8):
        page = operator.get("/system").content.decode()
    assert "SQLite" in page
    assert "<td>41</td>" in page
    assert page.count("running</span>") == 1
    assert page.count("ended</span>") == 1


def test_the_newest_copy_is_named(operator: Client, settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    assert "manage.py backup FILE" in operator.get("/system").content.decode()
    (tmp_path / "copies").mkdir()
    for moment in ("20260101T000000.000", "20260301T000000.000"):
        (tmp_path / "copies" / f"{moment}Z-before-0.2.0.sqlite3").write_bytes(b"x" * 2000)
    page = operator.get("/system").content.decode()
    assert "20260301T000000.000Z-before-0.2.0.sqlite3" in page
    assert "2\N{NO-BREAK SPACE}kB" in page


@pytest.mark.parametrize(("failures", "avoided"), [(4, 0.0), (5, 30.0)])
def test_failing_addresses_tell_how_long_they_are_avoided(failures: int, avoided: float) -> None:
    health = EndpointHealth(now=lambda: 100.0)
    for _ in range(failures):
        health.failed("https://one.test")
    assert health.failing() == [FailingEndpoint("https://one.test", failures, avoided)]
    health.succeeded("https://one.test")
    assert health.failing() == []
