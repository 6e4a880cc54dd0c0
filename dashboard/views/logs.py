"""`/logs`: the tail of this server's log, filled by static/dashboard/log.js over the live socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from dashboard.pages import operator_page, render_page
from gateway.service import running_gateway

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

LEVELS = ("debug", "info", "warning", "error")
SHOWN_WITHOUT_SCRIPT = 200
LONGEST_TEXT = 254


@operator_page
def logs(request: HttpRequest) -> HttpResponse:
    level = request.GET.get("level", "info")
    level = level if level in LEVELS else "info"
    gateway = running_gateway()
    lines = gateway.log_ring.lines() if gateway is not None else []
    text = request.GET.get("q", "")[:LONGEST_TEXT]
    wanted = [
        line
        for line in lines
        if line.level not in LEVELS[: LEVELS.index(level)] and text in f"{line.request_id} {line.text}"
    ]
    context = {
        "text": text,
        "level": level,
        "levels": LEVELS,
        "has_debug": settings.LOG_LEVEL == "debug",
        "lines": wanted[-SHOWN_WITHOUT_SCRIPT:],
    }
    return render_page(request, "logs.html", context)
