"""`/requests`: open requests on top, then the others, newest first, with filters in the address."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from django.core.cache import cache
from django.db.models import F, Q, Sum
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect, push_url

from dashboard.pages import operator_page, render_page
from dashboard.requests.explanation import Explanation, explain
from dashboard.requests.filters import CHIPS, SESSION_ID, SLOWEST, WHOLE_ID, TextSearch, readable_filters
from gateway.ledger import search, usage
from gateway.ledger.retention import oldest_kept
from gateway.models import HourlyUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from django.db.models import QuerySet
    from django.http import HttpRequest

    from dashboard.requests.filters import Filters
    from gateway.models import RequestLog

PAGE = 50
MOST_OPEN = 200
NAMES_SECONDS = 60
SETTLED_AFTER = timedelta(hours=2)
"""The sums of an hour rarely change later than this after its beginning: its requests have ended."""
NAMES_KEY = "dashboard:names-of-requests"
MENUS = ("account", "model", "client")
STATUSES = ("200", "400", "404", "408", "413", "429", "499", "500", "502", "503", "504", "529")
SPANS = ("1h", "24h", "7d", "30d")
SLOWER = {"2s": "2 s", "5s": "5 s", "10s": "10 s", "30s": "30 s", "1m": "1 min"}
"""The spans of the filter `slower` in an address, with their texts."""
CHOICES = {"all": {}, "failed": {"errors": "1"}, "open": {"open": "1"}, "slowest": {"sort": SLOWEST}}
"""The filters that each chip adds to the address, by the chip's name."""
COUNTS = "counts"
"""The id of the element that loads the counts again."""
BY_ID = "by-id"
"""The id of the field of the overview that opens a request once it holds a whole id, or the page that says
that no request has it."""
HAS_ENDED = Q(duration_seconds__isnull=False) | Q(problem__isnull=False)


class Used(NamedTuple):
    """A combination of account, model and client that requests have had."""

    account: str
    model: str
    client: str


@dataclass(frozen=True, slots=True)
class Chip:
    """A link above the list that shows all, failed, open or the slowest requests. `count` is None when it is
    unknown."""

    name: str
    count: int | None
    address: str
    is_current: bool

    @property
    def text(self) -> str:
        return "in flight" if self.name == "open" else self.name


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a page. `older` is the query of the next page; "" on the last. `is_recent` is True when
    only the newest FIRST_SPAN was searched."""

    still_open: list[RequestLog] = field(default_factory=list)
    ended: list[RequestLog] = field(default_factory=list)
    older: str = ""
    is_recent: bool = False


@operator_page
def requests(request: HttpRequest) -> HttpResponse:
    filters, problem = readable_filters(request.GET)
    if _is_for_counts(request):
        return render_page(
            request,
            "requests/_chips.html",
            {"chips": _chips(filters, None), "counted": _counted_span(filters)},
        )
    ids = search.ids_like(filters.text) if filters.text else []
    if filters.before is None and ids == [filters.text]:
        return _to_page_of(request, filters.text)
    is_unknown_id = not ids and WHOLE_ID.fullmatch(filters.text) is not None
    if request.htmx.target == BY_ID:  # type: ignore[attr-defined]
        address = HttpResponseClientRedirect(_address(filters))
        is_whole = is_unknown_id or SESSION_ID.fullmatch(filters.text) is not None
        return address if is_whole else HttpResponse(status=HTTPStatus.NO_CONTENT)
    used = _used_names()
    text = TextSearch(filters.text, ids, _names_with(filters.text, used))
    found = Found() if problem else _find(filters, text, timezone.now())
    context = {
        "filters": filters,
        "problem": problem,
        "found": found,
        "is_unknown_id": is_unknown_id,
        "rows": [*found.still_open, *found.ended],
        "sentences": _sentences(found.ended) if filters.slowest_first else {},
        "chips": _chips(filters, _count_open(filters, found)),
        "counted": _counted_span(filters),
        "menus": [(name, _menu(name, used), filters.given.get(name, "")) for name in MENUS],
        "statuses": STATUSES,
        "spans": SPANS,
        "slower": SLOWER,
        "live_max": PAGE if filters.is_live and not problem else 0,
        "live_filter": json.dumps(filters.as_live),
        "live_span": int(filters.span.total_seconds()) if filters.span else 0,
    }
    response = render_page(request, "requests/list.html", context)
    return push_url(response, _address(filters)) if _is_from_htmx(request) and not problem else response


def _address(filters: Filters) -> str:
    """Return the page's address without the empty fields of the form."""
    return reverse("dashboard:requests") + filters.address(before=str(filters.before or "")).rstrip("?")


def _is_from_htmx(request: HttpRequest) -> bool:
    return bool(request.htmx)  # type: ignore[attr-defined]  # set by HtmxMiddleware


def _is_for_counts(request: HttpRequest) -> bool:
    return bool(request.htmx.target == COUNTS)  # type: ignore[attr-defined]


def _to_page_of(request: HttpRequest, request_id: str) -> HttpResponse:
    url = reverse("dashboard:request", args=[request_id])
    return HttpResponseClientRedirect(url) if _is_from_htmx(request) else redirect(url)


# Rows


def _find(filters: Filters, text: TextSearch, now: datetime) -> Found:
    still_open = (
        [] if _chosen_chip(filters) in {"failed", "slowest"} or filters.before else _open(filters, text)
    )
    if _chosen_chip(filters) == "open":
        return Found(still_open)
    recent = filters.at_first(now)
    is_recent = recent is not filters
    also = HAS_ENDED & text.condition()
    if filters.slowest_first:
        return Found([], search.slowest(recent.search, limit=PAGE, also=also), is_recent=is_recent)
    rows = search.page(recent.search, before=filters.before, limit=PAGE + 1, also=also)
    if len(rows) > PAGE:
        older = filters.address(before=str(rows[PAGE - 1].pk))
    else:
        older = filters.address(until=f"{recent.search.since:%Y-%m-%dT%H:%M:%SZ}") if is_recent else ""
    return Found(still_open, rows[:PAGE], older, is_recent)


def _sentences(rows: list[RequestLog]) -> dict[int, Explanation]:
    """Return the explanation of each answered request, by its key. Makes one query."""
    attempts = search.attempts_of_all(rows)
    return {row.pk: explain(row, attempts[row.pk], 0.0) for row in rows if row.problem is None}


def _open(filters: Filters, text: TextSearch) -> list[RequestLog]:
    """Return the open requests, oldest first, so that one that hangs is on top."""
    # There are few open rows. With a condition or an order the database would not choose their index.
    rows = [row for row in search.open_rows()[:MOST_OPEN] if filters.matches(row) and text.matches(row)]
    return sorted(rows, key=lambda row: (row.started_at, row.pk))


# Names and counts


def _used_names() -> list[Used]:
    return cache.get_or_set(NAMES_KEY, _read_used_names, NAMES_SECONDS) or []


def _read_used_names() -> list[Used]:
    return [Used(*row) for row in _kept_sums().filter(requests__gt=0).values_list(*MENUS).distinct()]


def _kept_sums(since: datetime | None = None) -> QuerySet[HourlyUsage]:
    """Return the sums from `since` on of the hours whose requests are still in the ledger."""
    oldest = oldest_kept()
    # One condition: with two SQLite reads from the first of them on.
    begins = [at for at in (since, oldest and oldest - timedelta(hours=1)) if at is not None]
    return HourlyUsage.objects.filter(hour__gt=max(begins)) if begins else HourlyUsage.objects.all()


def _names_with(text: str, used: Iterable[Used]) -> dict[str, list[str]]:
    """Return the names that contain the text, by column of RequestLog."""
    return {
        column: [one for one in _menu(name, used) if text.lower() in one.lower()]
        for name, column in usage.DIMENSIONS.items()
    }


def _menu(name: str, used: Iterable[Used]) -> list[str]:
    return sorted({getattr(one, name) for one in used} - {""})


def _chips(filters: Filters, still_open: int | None) -> list[Chip]:
    chosen = _chosen_chip(filters)
    counts = {**_counts(filters), "open": still_open}
    none = dict.fromkeys(CHIPS, "")
    return [
        Chip(name, counts.get(name), filters.address(**none | given), name == chosen)
        for name, given in CHOICES.items()
    ]


def _chosen_chip(filters: Filters) -> str:
    if filters.slowest_first:
        return "slowest"
    return "failed" if filters.search.errors else "open" if filters.only_open else "all"


def _count_open(filters: Filters, found: Found) -> int | None:
    """Return how many open requests the list has, or, for a list without them, how many there are in all;
    None where its filters are on more than the time. Makes one query at most."""
    if filters.before is not None:
        return None
    if _chosen_chip(filters) in {"all", "open"}:
        return len(found.still_open)
    return search.open_rows().count() if filters.given.keys() <= CHIPS | {"since"} else None


def _counts(filters: Filters) -> Mapping[str, int]:
    """Return the counts of FIRST_SPAN from the hourly sums, with two queries at most, or those of the span
    that is the only filter; empty when a filter other than account, model and client is set. The sums of
    hours before SETTLED_AFTER are kept, since a page asks for the counts every two seconds while requests
    end."""
    given = {name: value for name, value in filters.given.items() if name not in CHIPS}
    if filters.span is not None and given.keys() == {"since"}:
        by_client = partial(usage.totals_by, "client", columns=("requests", "failed", "interrupted"))
        total = usage.sum_of(usage.over(filters.span, "counts-of-requests", by_client).values())
        return {"all": total.requests, "failed": total.failed + total.interrupted}
    if not given.keys() <= set(MENUS):
        return {}
    now = timezone.now()
    settled = (now - SETTLED_AFTER).replace(minute=0, second=0, microsecond=0)
    names = hashlib.sha256(urlencode(sorted(given.items())).encode()).hexdigest()
    key = f"dashboard:counts:{settled:%d-%H}:{names}"
    if (before := cache.get(key)) is None:
        before = _counted(_kept_sums(now - search.FIRST_SPAN).filter(hour__lt=settled, **given))
        cache.set(key, before, usage.KEPT_SECONDS)
    since = _counted(HourlyUsage.objects.filter(hour__gte=settled, **given))
    return {"all": before["all"] + since["all"], "failed": before["failed"] + since["failed"]}


def _counted_span(filters: Filters) -> str:
    """Return the name of the span that the counts are of."""
    return filters.given["since"] if filters.span is not None else "7d"


def _counted(sums: QuerySet[HourlyUsage]) -> dict[str, int]:
    counted = sums.aggregate(
        of_all=Sum("requests", default=0), of_failed=Sum(F("failed") + F("interrupted"), default=0)
    )
    return {"all": counted["of_all"], "failed": counted["of_failed"]}
