"""Usage by model, account or client from the hourly sums, and by session from the requests themselves.

A span begins exactly where it is asked to: whole hours come from HourlyUsage, the part of an hour before them
from the rows. Where those rows have been deleted, the span begins with its hour.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.core.cache import cache
from django.db.models import Aggregate, Case, Count, F, Max, Min, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from gateway.ledger.record import COST_COLUMNS, HUNG_UP, TOKEN_COLUMNS, tokens_of
from gateway.ledger.retention import oldest_kept
from gateway.ledger.rows_and_sums import ANSWERED_AT_ONCE, SUMMED, Sums
from gateway.models import HourlyUsage, MinuteUsage, RequestAttempt, RequestLog
from gateway.pricing.prices import as_dollars
from gateway.relay.error_messages import NOTICEABLE_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from gateway.translation.response.usage import Tokens

HOUR = timedelta(hours=1)
SPENT = ("attempts", *TOKEN_COLUMNS, *COST_COLUMNS)
"""The columns that count for the account and model of each attempt; the others count where the request
ended."""
ALL = (*SUMMED, "unattempted")
"""The columns of Totals."""
DIMENSIONS = {"model": "upstream_model", "account": "account", "client": "client"}
"""The dimensions, which are columns of HourlyUsage, each with its column in RequestLog."""
MOST_SESSIONS = 1000
MOST_TIMES = 10_000
LONG_SPAN = timedelta(days=7)
KEPT_SECONDS = 30

Found = TypeVar("Found")


def _spent(key: str, which: Q | None = None) -> dict[str, Aggregate]:
    """Return sums over attempts, or over requests that were answered by one attempt."""
    tokens = {name: Sum(name, filter=which) for name in SPENT if name != "attempts"}
    return {"attempts": Count(key, filter=which), **tokens}


SUMS_OF_SUMS: Mapping[str, Aggregate] = {
    **{name: Sum(name) for name in SUMMED},
    "unattempted": Sum(Case(When(model="", then=F("requests")), default=F("interrupted"))),
}
# Duration and tokens of interrupted requests are unknown.
IS_KNOWN = Q(duration_seconds__isnull=False)
HAS_WAITED = IS_KNOWN & Q(waited_seconds__gte=NOTICEABLE_WAIT_SECONDS)
HAS_FAILED = ~Q(problem__in=[HUNG_UP, RequestLog.INTERRUPTED]) & ~Q(problem=None)
SUMS_OF_ROWS: Mapping[str, Aggregate] = {
    "requests": Count("pk"),
    "failed": Count("pk", filter=HAS_FAILED),
    "hung_up": Count("pk", filter=Q(problem=HUNG_UP)),
    "interrupted": Count("pk", filter=Q(problem=RequestLog.INTERRUPTED)),
    "retried": Count("pk", filter=IS_KNOWN & Q(attempts__gt=1)),
    "retried_well": Count("pk", filter=Q(attempts__gt=1, problem=None)),
    "unattempted": Count("pk", filter=Q(upstream_model="") | Q(problem=RequestLog.INTERRUPTED)),
    "fallback": Count("pk", filter=IS_KNOWN & Q(fallback=True)),
    "waited": Count("pk", filter=HAS_WAITED),
    "waited_seconds": Sum("waited_seconds", filter=HAS_WAITED),
    "begun": Count("first_event_seconds", filter=IS_KNOWN),
    "first_event_seconds": Sum("first_event_seconds", filter=IS_KNOWN),
    "duration_seconds": Sum("duration_seconds"),
    **_spent("pk", ANSWERED_AT_ONCE),
}
"""The sums that rows_and_sums.py makes of requests when they end."""
SUMS_OF_ATTEMPTS: Mapping[str, Aggregate] = _spent("number")


@dataclass(slots=True)
class Totals(Sums):
    """Sums over a span of time."""

    unattempted: int = 0
    """The number of requests without an attempt, or with unknown attempts because their server died."""

    def add(self, sums: dict[str, Any]) -> None:
        for name, number in sums.items():
            setattr(self, name, getattr(self, name) + (number or 0))

    @property
    def answered(self) -> int:
        return self.requests - self.failed - self.hung_up - self.interrupted

    @property
    def retries(self) -> int:
        """The number of attempts beyond the first of each request. The retries of the parts add up to those
        of the whole."""
        return self.attempts - (self.requests - self.unattempted)

    @property
    def tokens(self) -> Tokens:
        return tokens_of(self)

    @property
    def all_tokens(self) -> int:
        return self.tokens.all_input + self.output_tokens

    @property
    def mean_first_event_seconds(self) -> float | None:
        return self.first_event_seconds / self.begun if self.begun else None

    def as_json(self) -> dict[str, Any]:
        numbers = {name: number for name, number in asdict(self).items() if name not in TOKEN_COLUMNS}
        numbers["cost_dollars"] = as_dollars(numbers.pop("cost"))
        for name in ("waited_seconds", "first_event_seconds", "duration_seconds"):
            numbers[name] = round(numbers[name], 3)
        mean = self.mean_first_event_seconds
        return {
            **numbers,
            "answered": self.answered,
            "retries": self.retries,
            **self.tokens.as_shown(),
            "total_tokens": self.all_tokens,
            "mean_first_event_seconds": None if mean is None else round(mean, 3),
        }


@dataclass(frozen=True, slots=True)
class SessionUsage:
    """The usage of one session, by the id that the client sent. Wall time is from its first request to its
    last."""

    session_id: str
    client: str
    first_at: datetime
    last_at: datetime
    requests: int
    failed: int
    hung_up: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    thinking_tokens: int
    cost: int | None
    unpriced: int

    @property
    def wall_seconds(self) -> float:
        return (self.last_at - self.first_at).total_seconds()

    def as_json(self) -> dict[str, Any]:
        names = [field.name for field in fields(self) if field.name not in TOKEN_COLUMNS]
        facts = {name: getattr(self, name) for name in names}
        facts["cost_dollars"] = as_dollars(facts.pop("cost") or 0)
        return {**facts, **tokens_of(self).as_shown(), "wall_seconds": round(self.wall_seconds, 3)}


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds to the first event of requests, in no order.

    `slowest` is the key of the request that waited longest for it, None without one. `is_complete` is False
    when there may be more requests than were read.
    """

    first_event_seconds: list[float]
    slowest: int | None
    is_complete: bool


def beginning(since: datetime) -> datetime:
    """Return where a span begins, given that rows of a part of an hour may have been deleted."""
    oldest = oldest_kept()
    return since if oldest is None or since > oldest else _hour_of(since)


def over(span: timedelta, name: str, read: Callable[[datetime], Found]) -> Found:
    """Return `read(since)` for the span up to now. For a span of at least LONG_SPAN it is the result of the
    last KEPT_SECONDS under this name, since many may watch a page. The caller must not change it."""
    since = timezone.now() - span
    if span < LONG_SPAN:
        return read(since)
    key = f"usage:{name}:{span.total_seconds():.0f}"
    return cast("Found", cache.get_or_set(key, lambda: read(since), KEPT_SECONDS))


def totals_by(dimension: str, since: datetime, columns: Collection[str] = ALL) -> dict[str, Totals]:
    """Return totals by value of `dimension`, one of DIMENSIONS, with the most requests first. Only `columns`
    of them are summed up, which is faster for few; the others stay 0."""
    since = beginning(since)
    first_whole_hour = since if since == _hour_of(since) else _hour_of(since) + HOUR
    totals: defaultdict[str, Totals] = defaultdict(Totals)
    sums = HourlyUsage.objects.filter(hour__gte=first_whole_hour)
    _add(totals, sums.values(dimension).annotate(**_sums(columns)), dimension)
    if since < first_whole_hour:
        rows = RequestLog.objects.filter(started_at__gte=since, started_at__lt=first_whole_hour)
        _add_rows(totals, rows, DIMENSIONS[dimension], columns)
    return dict(sorted(totals.items(), key=lambda item: (-item[1].requests, -item[1].attempts, item[0])))


def totals(since: datetime) -> Totals:
    return sum_of(totals_by("client", since).values())


def sum_of(parts: Iterable[Totals]) -> Totals:
    total = Totals()
    for one in parts:
        total.add(asdict(one))
    return total


def history(since: datetime, columns: Collection[str] = ALL) -> dict[datetime, dict[str, Totals]]:
    """Return totals by hour and model, oldest first; hours without a request are left out. `columns` are as
    in `totals_by`."""
    return _history(HourlyUsage.objects.filter(hour__gte=_hour_of(since)), "hour", columns)


def history_by_minute(since: datetime, columns: Collection[str] = ALL) -> dict[datetime, dict[str, Totals]]:
    """Return the same by minute, for the last day."""
    minutes = MinuteUsage.objects.filter(minute__gte=since.replace(second=0, microsecond=0))
    return _history(minutes, "minute", columns)


def _history(
    sums: QuerySet[HourlyUsage] | QuerySet[MinuteUsage], moment: str, columns: Collection[str]
) -> dict[datetime, dict[str, Totals]]:
    found: dict[datetime, dict[str, Totals]] = {}
    for row in sums.values(moment, "model").order_by(moment, "model").annotate(**_sums(columns)):
        found.setdefault(row[moment], {})[row["model"]] = Totals(**_summed(dict(row)))
    return found


def requests_by_account(since: datetime) -> dict[str, dict[datetime, int]]:
    """Return the number of requests by account and hour, from the hour of `since` on; an account or hour
    without a request is left out."""
    sums = HourlyUsage.objects.filter(hour__gte=_hour_of(since)).exclude(account="")
    by_account: dict[str, dict[datetime, int]] = {}
    for row in sums.values("account", "hour").annotate(sum_requests=Sum("requests")):
        by_account.setdefault(row["account"], {})[row["hour"]] = row["sum_requests"]
    return by_account


def sessions(since: datetime, limit: int = MOST_SESSIONS) -> list[SessionUsage]:
    """Return the sessions used last, newest first. Requests without a session are left out."""
    rows = RequestLog.objects.filter(started_at__gte=since).exclude(session_id="")
    grouped = rows.values("session_id").annotate(
        last_client=Max("client"),
        first_at=Min("started_at"),
        last_at=Max("started_at"),
        requests=Count("pk"),
        failed=Count("pk", filter=Q(problem__isnull=False) & ~Q(problem=HUNG_UP)),
        hung_up=Count("pk", filter=Q(problem=HUNG_UP)),
        **{name: Sum(name) for name in SPENT},
    )
    found: list[dict[str, Any]] = [dict(row) for row in grouped.order_by("-last_at")[:limit]]
    return [SessionUsage(client=row.pop("last_client"), **row) for row in found]


def newest_times(since: datetime, limit: int = MOST_TIMES) -> Times:
    """Return the times of the newest `limit` requests since then, which takes the same effort for any span.
    They are read from the oldest on: that is the order of rows in the file, in which SQLite reads them in
    three quarters of the time."""
    newest = RequestLog.objects.filter(started_at__gte=since).order_by("-started_at")
    oldest_of_limit = newest.values("started_at")[limit - 1 : limit]
    rows = RequestLog.objects.filter(started_at__gte=Coalesce(Subquery(oldest_of_limit), Value(since)))
    read = list(rows.order_by("started_at").values_list("first_event_seconds", "pk")[:limit])
    times = [first for first, _ in read if first is not None]
    longest = max(times, default=None)
    slowest = None if longest is None else next(pk for first, pk in read if first == longest)
    return Times(times, slowest, is_complete=len(read) < limit)


def newest_names(since: datetime, limit: int = MOST_TIMES) -> dict[str, int]:
    """Return how many of the newest `limit` requests since then asked for each name of a model."""
    newest = RequestLog.objects.filter(started_at__gte=since).order_by("-started_at")
    return dict(Counter(newest.values_list("client_model", flat=True)[:limit]))


def _sums(columns: Collection[str]) -> dict[str, Aggregate]:
    return _of(columns, SUMS_OF_SUMS)


def _of(columns: Collection[str], sums: Mapping[str, Aggregate]) -> dict[str, Aggregate]:
    """Return the sums of these columns with names that are no columns of a table."""
    return {f"sum_{name}": one for name, one in sums.items() if name in columns}


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _add(totals: defaultdict[str, Totals], rows: Iterable[dict[str, Any]], column: str) -> None:
    for row in rows:
        totals[row[column]].add(_summed(row))


def _summed(row: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("sum_"): value or 0 for name, value in row.items() if name.startswith("sum_")}


def _add_rows(
    totals: defaultdict[str, Totals], rows: QuerySet[RequestLog], column: str, columns: Collection[str]
) -> None:
    """Add the sums that rows_and_sums.py makes of requests when they end."""
    ended = rows.exclude(duration_seconds=None, problem=None)
    _add(totals, ended.values(column).annotate(**_of(columns, SUMS_OF_ROWS)), column)
    if not (spent_sums := _of(columns, SUMS_OF_ATTEMPTS)):
        return
    spent = RequestAttempt.objects.filter(request__in=ended)
    key = "request__client" if column == "client" else column.removeprefix("upstream_")
    _add(totals, spent.values(key).annotate(**spent_sums), key)
