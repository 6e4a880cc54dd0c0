"""`/system`: version, servers, database, disk, addresses and clock, for the administrator of the machine."""

from __future__ import annotations

import platform
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import DatabaseVersion
from dashboard.pages import operator_page, render_page
from gateway.models import ServerInstance
from gateway.service import running_gateway

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SERVERS_SHOWN = 10


@operator_page
def system(request: HttpRequest) -> HttpResponse:
    context = {
        "now": timezone.now(),
        "zone": settings.LOCAL_TIME_ZONE,
        "python": platform.python_version(),
        "django": django.get_version(),
        "data_dir": settings.DATA_DIR,
        "disk": shutil.disk_usage(settings.DATA_DIR),
        "servers": ServerInstance.objects.order_by("-started_at")[:SERVERS_SHOWN],
        "database": _database(),
        "migrated": DatabaseVersion.objects.first(),
        "copy": _newest_copy(),
        **_of_this_process(),
    }
    return render_page(request, "system.html", context)


def _database() -> dict[str, Any]:
    """Return the database's name and size in bytes."""
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        files = [Path(name + suffix) for suffix in ("", "-wal")]
        return {"name": "SQLite", "size": sum(one.stat().st_size for one in files if one.exists())}
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
        version, size = cursor.fetchone()
    return {"name": f"PostgreSQL {version}", "size": size}


def _newest_copy() -> dict[str, Any] | None:
    """Return the newest copy that was made before a migration, downgrade or restore; None without one."""
    files = sorted((Path(settings.DATA_DIR) / "copies").glob("*Z-before-*"))
    if not files:
        return None
    facts = files[-1].stat()
    return {"name": files[-1].name, "at": datetime.fromtimestamp(facts.st_mtime, UTC), "size": facts.st_size}


def _of_this_process() -> dict[str, Any]:
    gateway = running_gateway()
    if gateway is None:
        return {"gateway": None}
    return {
        "gateway": gateway,
        "loop_delay": _seconds_until_the_loop_runs(),
        "addresses": [failing for upstream in gateway.upstreams.values() for failing in upstream.failing()],
    }


def _seconds_until_the_loop_runs() -> float:
    """Return the seconds until the event loop that serves requests runs a new task."""
    started = time.perf_counter()

    async def taken_up() -> float:
        return time.perf_counter() - started

    return async_to_sync(taken_up)()
