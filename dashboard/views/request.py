"""`/requests/ID`: how a request ended, what was tried for it, and the same request as a shell command."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Min, Q
from django.utils import timezone

from accounts.models import Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from dashboard.pages import operator_page, render_page
from dashboard.requests.curl import curl
from dashboard.requests.explanation import Explanation, explain, has_broken_off, is_mostly_stream
from dashboard.requests.waterfall import Waterfall, waterfall
from gateway.ledger import search
from gateway.models import MESSAGES
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from gateway.models import RequestAttempt, RequestLog

MOST_WITH_ONE_ID = 20
MOST_LINES = 100
WRITTEN_AFTER_SECONDS = 0.7
NOT_FOUND = "The ledger has no such request"
NOT_FOUND_ADVICE = (
    "Only requests for messages are in it, from clients with a valid key, and only for as long as "
    "LEDGER_RETENTION_DAYS says. A request is there half a second after it has begun."
)
LEGEND = {
    "waited": "waited",
    "in line": "in line",
    "failed": "failed",
    "in flight": "in flight",
    "not recorded": "not recorded",
    "until first event": "until the first event",
    "stream": "stream",
    "broken stream": "stream that broke off",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One request as the page shows it."""

    row: RequestLog
    attempts: Sequence[RequestAttempt]
    explanation: Explanation
    waterfall: Waterfall
    curl: str

    @property
    def legend(self) -> list[tuple[str, str]]:
        drawn = {segment.kind for line in self.waterfall.rows for segment in line.segments}
        return [(kind, text) for kind, text in LEGEND.items() if kind in drawn]

    @property
    def has_many_models(self) -> bool:
        return len({attempt.model for attempt in self.attempts}) > 1


class Line(NamedTuple):
    """A line of the log."""

    at: datetime
    level: str
    text: str


def _rows(request_id: str) -> list[RequestLog]:
    return search.page(search.Search(request_id=request_id), limit=MOST_WITH_ONE_ID + 1)


@operator_page
def request(request: HttpRequest, request_id: str) -> HttpResponse:
    """Show all requests with this id: ids chosen by clients need not be unique, and a safety check has the id
    of the request whose answer it checks."""
    rows = _rows(request_id)
    if not rows:
        time.sleep(WRITTEN_AFTER_SECONDS)  # its row may have been shown live before it was written
        rows = _rows(request_id)
    if not rows:
        return render_page(
            request, "error.html", {"heading": NOT_FOUND, "advice": NOT_FOUND_ADVICE}, status=404
        )
    rows.sort(key=lambda row: row.request_class != MESSAGES)  # a safety check after what it checks
    now = timezone.now()
    is_about_stream = has_broken_off(rows[0]) or is_mostly_stream(rows[0])
    is_whole = request.GET.get("whole", "1" if is_about_stream else "0") == "1"
    attempts = search.attempts_of_all(rows)
    base_url = f"{request.scheme}://{request.get_host()}"
    shown = [
        _shown(row, attempts[row.pk], now, base_url, is_whole=is_whole) for row in rows[:MOST_WITH_ONE_ID]
    ]
    context = {
        "request_id": request_id,
        "shown": shown,
        "first": shown[0],
        "is_open": any(one.row.outcome == "open" for one in shown),
        "is_whole": is_whole,
        "has_more": len(rows) > MOST_WITH_ONE_ID,
        "neighbours": search.neighbours(rows[0]),
        "lines": _log_lines(request_id),
        "back_at": _back_at(rows[0]) if shown[0].explanation.is_limited else None,
    }
    return render_page(request, "requests/request.html", context)


def _shown(
    row: RequestLog, attempts: Sequence[RequestAttempt], now: datetime, base_url: str, *, is_whole: bool
) -> Shown:
    age = (now - row.started_at).total_seconds()
    return Shown(
        row,
        attempts,
        explain(row, attempts, age),
        waterfall(row, attempts, whole=is_whole, age=age),
        curl(base_url, row.client_model, is_stream=row.is_stream),
    )


def _back_at(row: RequestLog) -> datetime | None:
    """Return when the first cooldown for the request's model ends; None when no account has one now."""
    is_for_it = Q(model_key__startswith=f"{row.upstream_model}:") | Q(model_key=ALL_MODELS)
    lasting = Cooldown.lasting().filter(is_for_it)
    found: datetime | None = lasting.aggregate(at=Min("until"))["at"]
    return found


def _log_lines(request_id: str) -> list[Line]:
    """Return the newest log lines that this process still has in memory, oldest first."""
    gateway = running_gateway()
    lines = gateway.log_ring.lines() if gateway is not None else []
    of_request = [line for line in lines if line.request_id == request_id]
    return [
        Line(datetime.fromtimestamp(line.at, UTC), line.level, line.text) for line in of_request[-MOST_LINES:]
    ]
