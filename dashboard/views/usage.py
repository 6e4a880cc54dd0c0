"""`/usage`: the requests, tokens and costs of each model, account, client or session; also as CSV."""

from __future__ import annotations

import calendar
import csv
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from django.http import HttpResponse
from django.utils import timezone

from dashboard.charts import figures
from dashboard.charts.volume import requests_over
from dashboard.pages import operator_page, render_page
from dashboard.spans import DEFAULT_SPAN, SPANS, span_of
from gateway.ledger import usage
from gateway.pricing.prices import as_dollars, cost_in_words

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest

    from gateway.ledger.usage import SessionUsage, Totals

DEFAULT_BY = "client"
BY = (DEFAULT_BY, *(name for name in usage.DIMENSIONS if name != DEFAULT_BY), "session")
ROWS_SHOWN = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The first characters of texts that spreadsheet programs run as formulas (owasp.org, CSV Injection)."""
COUNTS = ("requests", "failed", "hung_up", "input_tokens", "cached_tokens", "output_tokens")
COLUMNS = ("name", *COUNTS, "cost_dollars")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one name. `name` is "" for requests without one, because no account was asked or no
    session was sent."""

    name: str
    requests: int
    failed: int
    """The number of failed requests, including interrupted ones."""
    hung_up: int
    input_tokens: int
    """All input tokens, including cached ones."""
    cached_tokens: int
    output_tokens: int
    mean_first_event_seconds: float | None = None
    client: str = ""
    cost: int = 0
    """The cost of the requests with a known price, in billionths of a dollar."""
    unpriced: int = 0

    @property
    def cost_in_words(self) -> str:
        return cost_in_words(self.cost, self.unpriced)

    @property
    def cost_dollars(self) -> float | None:
        """The cost in dollars; None when part of it is unknown."""
        return None if self.unpriced else as_dollars(self.cost)

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def failed_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None

    @property
    def cached_share(self) -> float | None:
        return self.cached_tokens / self.input_tokens if self.input_tokens else None


MARKEDLY = 0.1
"""A row is mentioned only if its cached share is lower by at least this much."""
LEAST_MISSING = 0.01
"""A row is mentioned only if the tokens that it should have had cached are at least this share of all
input."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of the table: which row used the most tokens, and which lowers the cached share most."""

    tokens: int
    input_tokens: int
    cached_tokens: int
    largest: UsageRow
    least_cached: UsageRow | None
    """The row without which the cached share would rise most, by at least LEAST_MISSING, of those whose own
    share is lower by MARKEDLY; None when there is none."""

    @property
    def largest_share(self) -> float:
        return self.largest.tokens / self.tokens

    @property
    def cached_share(self) -> float:
        return self.cached_tokens / self.input_tokens if self.input_tokens else 0.0


def summary_of(rows: list[UsageRow]) -> Summary | None:
    """Return the summary of `rows`, which are sorted with the largest first; None when there are no
    tokens."""
    tokens = sum(row.tokens for row in rows)
    if not tokens:
        return None
    all_input, cached = sum(row.input_tokens for row in rows), sum(row.cached_tokens for row in rows)

    share = cached / all_input if all_input else 0.0

    def missing(row: UsageRow) -> float:
        """Return how many more of the row's tokens would be cached at the share of all rows."""
        return row.input_tokens * share - row.cached_tokens

    poor = [row for row in rows if (row.cached_share or 0.0) <= share - MARKEDLY]
    worst = max(poor, key=missing, default=None)
    if worst is not None and missing(worst) < LEAST_MISSING * all_input:
        worst = None
    return Summary(tokens, all_input, cached, rows[0], worst)


class HourCell(NamedTuple):
    requests: float
    shade: float
    """The share of the busiest hour's requests, from 0 to 1."""


class WeekdayRow(NamedTuple):
    day: str
    hours: list[HourCell]


@operator_page
def usage_page(request: HttpRequest) -> HttpResponse:
    by = request.GET.get("by", DEFAULT_BY)
    by = by if by in BY else DEFAULT_BY
    span = span_of(request, DEFAULT_SPAN)
    rows = usage.over(SPANS[span], f"rows-by-{by}", partial(usage_rows, by))
    if request.GET.get("format") == "csv":
        return _as_csv(rows, f"usage-by-{by}-{span}.csv")
    shown = rows[:ROWS_SHOWN]
    context = {
        "by": by,
        "dimensions": BY,
        "span": span,
        "spans": list(SPANS),
        "summary": summary_of(rows),
        "rows": shown,
        "left_out": max(0, len(rows) - ROWS_SHOWN),
        "is_paid": any(row.cost for row in shown),
        "most": max((row.tokens for row in rows), default=0),
        "hours": range(24),
        "week": _week(SPANS[span]),
    }
    return render_page(request, "usage.html", context)


def _week(span: timedelta) -> list[WeekdayRow]:
    """Return the requests by weekday and hour, for a span of at least a week; else an empty list."""
    if span < timedelta(days=7):
        return []
    week = figures.week(requests_over(span), timezone.get_current_timezone(), lambda total: total.requests)
    return [
        WeekdayRow(day, [HourCell(number, number / week.most if week.most else 0) for number in numbers])
        for day, numbers in zip(calendar.day_name, week.rows, strict=True)
    ]


def usage_rows(by: str, since: datetime) -> list[UsageRow]:
    """Return the rows with the most tokens first, since tokens use the quota up. `by` is one of BY."""
    if by == "session":
        rows = [_of_session(one) for one in usage.sessions(since)]
    else:
        rows = [_of_total(name, total) for name, total in usage.totals_by(by, since).items()]
    return sorted(rows, key=lambda row: (-row.tokens, -row.requests))


def _of_total(name: str, total: Totals) -> UsageRow:
    tokens = total.tokens
    return UsageRow(
        name=name,
        requests=total.requests,
        failed=total.failed + total.interrupted,
        hung_up=total.hung_up,
        input_tokens=tokens.all_input,
        cached_tokens=total.cache_read_tokens,
        output_tokens=total.output_tokens,
        mean_first_event_seconds=total.mean_first_event_seconds,
        cost=total.cost,
        unpriced=total.unpriced,
    )


def _of_session(session: SessionUsage) -> UsageRow:
    return UsageRow(
        name=session.session_id,
        requests=session.requests,
        failed=session.failed,
        hung_up=session.hung_up,
        input_tokens=session.input_tokens + session.cache_read_tokens,
        cached_tokens=session.cache_read_tokens,
        output_tokens=session.output_tokens,
        client=session.client,
        cost=session.cost or 0,
        unpriced=session.unpriced,
    )


def _as_csv(rows: list[UsageRow], file_name: str) -> HttpResponse:
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(getattr(row, column)) for column in COLUMNS] for row in rows)
    return response


def _harmless(value: object) -> object:
    """Return a value for a cell. A text that a spreadsheet would run as a formula gets an apostrophe before
    it (owasp.org, CSV Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
