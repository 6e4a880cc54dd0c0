"""Waiting until the running servers use a change of accounts, keys, routes or settings.

Each server stores the revision it has loaded (accounts.models.Revision), at most half a second after a
change, and renews its lease (gateway.models.ServerInstance), so this works from any process and machine.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from accounts.models import Revision
from gateway.ledger.writer import TOUCH_SECONDS
from gateway.models import ServerInstance
from proxy_site.data_dir import is_served

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

PATIENCE_SECONDS = 2.0
POLL_SECONDS = 0.02
SILENT_FOR = timedelta(seconds=3 * TOUCH_SECONDS)
NOT_YET = "A running server has not taken this yet; it follows within a second."


class FollowedChanges:
    """Middleware that delays the response to a change until running servers use it, with a warning after
    PATIENCE_SECONDS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = Revision.made_here
        response = self._get_response(request)
        if Revision.made_here != before and not wait_for_servers():
            messages.warning(request, NOT_YET, fail_silently=True)
        return response


def have_taken_changes_of_this_process() -> bool:
    """Wait for the servers if this process has changed anything. Returns True at once when it has not."""
    return not Revision.made_here or wait_for_servers()


def wait_for_servers() -> bool:
    """Wait until each running server has loaded the current revision; False after PATIENCE_SECONDS and when
    the database fails."""
    if connection.vendor == "sqlite" and not is_served(settings.DATA_DIR):
        return True
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        wanted = Revision.current()
        while _is_one_behind(wanted):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
    except DatabaseError:
        return False
    return True


def _is_one_behind(wanted: int) -> bool:
    living = ServerInstance.objects.filter(ended_at=None, seen_at__gte=Now() - SILENT_FOR)
    return living.exclude(pk__in=Revision.servers_up_to_date(wanted)).exists()
