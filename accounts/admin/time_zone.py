"""Middleware that shows times in the browser's zone, which accounts/static/accounts/time_zone.js sets in a
cookie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from django.http import HttpRequest

COOKIE = "gateway_time_zone"
ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")


def in_readers_zone(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def answer(request: HttpRequest) -> Any:
        with timezone.override(zone_of(request)):
            return get_response(request)

    return answer


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the zone in the cookie; when it has no known zone, the setting TZ or the machine's zone."""
    name = request.COOKIES.get(COOKIE, "").replace("%2F", "/")
    if ZONE_NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, ZoneInfoNotFoundError):
            pass  # not in this machine's zone database
    own: tzinfo = settings.LOCAL_TIME_ZONE
    return own
