"""Queries for single requests: pages, newest first; one request with its attempts; and requests as they
end."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from django.db import connection
from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from gateway.ledger.record import ANSWERED, COST_COLUMNS, HUNG_UP, TOKEN_COLUMNS, tokens_of
from gateway.ledger.rows_and_sums import was_answered_at_once
from gateway.models import HourlyUsage, RequestAttempt, RequestLog
from gateway.pricing.prices import as_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


LARGEST_PAGE = 500
MOST_SORTED = 10_000
MOST_NAMED = 10
FIRST_SPAN = timedelta(days=7)
LATE_BY = timedelta(minutes=3)
"""Rows may be written this long after their requests began, when the database was locked."""


class LikeRow(Protocol):
    """A row of the ledger, or a value with the same columns."""

    @property
    def problem(self) -> str | None: ...

    @property
    def first_event_seconds(self) -> float | None: ...

    @property
    def duration_seconds(self) -> float | None: ...


class NothingLikeIt(Exception):
    """Raised for a name or id that matches nothing in the ledger, or several; the text lists what exists."""


@dataclass(frozen=True, slots=True)
class Search:
    """Filters of a search; an empty one matches everything."""

    request_id: str = ""
    account: str = ""
    model: str = ""
    """The model that answered, or was asked last."""
    client: str = ""
    request_class: str = ""
    session: str = ""
    status: int | None = None
    errors: bool = False
    """True for failed and interrupted requests only. A client that closed the connection is no error."""
    slower: float | None = None
    """Finds only requests whose first event came after this many seconds or more, or that ended without one
    after as long. A request that still waits for its first event is left out."""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Return True when any filter is set."""
        return self != Search()

    @property
    def _equal(self) -> dict[str, Any]:
        columns = {
            "request_id": self.request_id,
            "account": self.account,
            "upstream_model": self.model,
            "client": self.client,
            "request_class": self.request_class,
            "session_id": self.session,
            "status": self.status,
        }
        return {column: value for column, value in columns.items() if value}

    def at_first(self, now: datetime) -> Search:
        """Return the search limited to the newest FIRST_SPAN, unless it has a time, a session or an id
        already, since a search without a match would read the whole ledger."""
        is_bounded = self.since or self.until or self.session or self.request_id
        return replace(self, since=now - FIRST_SPAN) if self.is_narrow and not is_bounded else self

    def matches(self, row: LikeRow) -> bool:
        """Return True when the row passes the same filters as in `rows`, apart from the times. It has the
        columns of RequestLog."""
        has_error = row.problem not in {None, HUNG_UP}
        return (
            (has_error or not self.errors)
            and (self.slower is None or _is_slower(row, self.slower))
            and all(getattr(row, column) == value for column, value in self._equal.items())
        )

    def rows(self) -> QuerySet[RequestLog]:
        """Return the matching rows, newest first."""
        rows = RequestLog.objects.order_by("-started_at", "-id").filter(**self._equal)
        if any("\0" in value for value in self._equal.values() if isinstance(value, str)):
            return rows.none()  # PostgreSQL refuses to look for it
        if self.errors or (self.status or 0) >= 400:
            rows = rows.filter(problem__isnull=False)  # served by a partial index
        if self.errors:
            rows = rows.exclude(problem=HUNG_UP)
        if self.slower is not None:
            without_event = Q(first_event_seconds=None, duration_seconds__gte=self.slower)
            rows = rows.filter(Q(first_event_seconds__gte=self.slower) | without_event)
        if self.since is not None:
            rows = rows.filter(started_at__gte=self.since)
        if self.until is not None:
            rows = rows.filter(started_at__lt=self.until)
        return rows


def _is_slower(row: LikeRow, seconds: float) -> bool:
    """Return True when its client is known to have waited this long without an event."""
    first, whole = row.first_event_seconds, row.duration_seconds
    heard = whole if first is None else first
    return heard is not None and heard >= seconds


def page(
    search: Search, *, before: int | None = None, limit: int = 50, also: Q | None = None
) -> list[RequestLog]:
    """Return one page. `before` is the id of the last row of the previous page; a deleted id gives an empty
    page. `also` is a further condition."""
    rows = search.rows().filter(also or Q())
    if before is not None:
        last = RequestLog.objects.filter(pk=before).values_list("started_at", flat=True).first()
        if last is None:
            return []
        rows = _before(rows, last, before)
    return list(rows[: max(0, min(limit, LARGEST_PAGE + 1))])


def slowest(search: Search, *, limit: int = 50, also: Q | None = None) -> list[RequestLog]:
    """Return the requests whose clients waited longest for an event, of the newest MOST_SORTED that match.
    The wait is the time to the first event, or to the end without one. `also` is a further condition."""
    newest = search.rows().filter(also or Q()).values("pk")[:MOST_SORTED]
    heard = Coalesce("first_event_seconds", "duration_seconds")
    rows = RequestLog.objects.filter(pk__in=newest)
    return list(rows.order_by(heard.desc(nulls_last=True), "-started_at")[:limit])


def _before(rows: QuerySet[RequestLog], started_at: datetime, pk: int) -> QuerySet[RequestLog]:
    return rows.filter(started_at__lte=started_at).exclude(Q(started_at=started_at) & Q(pk__gte=pk))


def neighbours(row: RequestLog) -> tuple[RequestLog | None, RequestLog | None]:
    """Return the previous and the next request of the row's session; None where there is none."""
    if not row.session_id:
        return None, None
    session = RequestLog.objects.filter(session_id=row.session_id)
    before = _before(session, row.started_at, row.pk).order_by("-started_at", "-pk")
    after = session.filter(started_at__gte=row.started_at).exclude(
        Q(started_at=row.started_at) & Q(pk__lte=row.pk)
    )
    sides = [before.values("pk")[:1], after.order_by("started_at", "pk").values("pk")[:1]]
    found = RequestLog.objects.filter(Q(pk=Subquery(sides[0])) | Q(pk=Subquery(sides[1])))
    key = (row.started_at, row.pk)
    by_side = {(one.started_at, one.pk) > key: one for one in found}
    return by_side.get(False), by_side.get(True)


def attempts_of(row: RequestLog) -> list[RequestAttempt]:
    return attempts_of_all([row])[row.pk]


def attempts_of_all(rows: Iterable[RequestLog]) -> dict[int, list[RequestAttempt]]:
    """Return the attempts of each request, by its key, with one query at most."""
    attempts: dict[int, list[RequestAttempt]] = {
        row.pk: [_only_attempt(row)] if was_answered_at_once(row) else [] for row in rows
    }
    others = [pk for pk, known in attempts.items() if not known]
    for attempt in RequestAttempt.objects.filter(request_id__in=others).order_by("request_id", "number"):
        attempts[attempt.request_id].append(attempt)
    return attempts


def _only_attempt(row: RequestLog) -> RequestAttempt:
    """Return the attempt of a request answered at its first one: it began after the wait and lasted until the
    end."""
    names = ("account", "endpoint", "waited_seconds", *TOKEN_COLUMNS, *COST_COLUMNS)
    return RequestAttempt(
        request_id=row.pk,
        number=1,
        model=row.upstream_model,
        started_at=row.started_at + timedelta(seconds=row.waited_seconds),
        took_seconds=(row.duration_seconds or 0.0) - row.waited_seconds,
        reason=ANSWERED,
        **{name: getattr(row, name) for name in names},
    )


def full_name(column: str, text: str) -> str:
    """Return the one name of an account, model or client that equals the text, or else contains it.

    Raises NothingLikeIt when there is none, or several.
    """
    names = sorted(set(HourlyUsage.objects.values_list(column, flat=True).distinct()) - {""})
    found = [name for name in names if text == name] or [
        name for name in names if text.lower() in name.lower()
    ]
    if len(found) != 1:
        which = f"There are several {column}s" if found else f"There is no {column}"
        there = ", ".join(found or names) or "none yet"
        raise NothingLikeIt(f"{which} like {text!r} in the ledger: {there}.")
    return str(found[0])


def ids_like(beginning: str) -> list[str]:
    """Return the one id that equals the text, else those that begin with it, at most MOST_NAMED + 1."""
    beginning = beginning.encode("utf-8", "replace").decode()  # arguments that are not UTF-8 have surrogates
    ids = RequestLog.objects.filter(_id_begins(beginning)).values_list("request_id", flat=True)
    found = list(ids.order_by("request_id").distinct()[: MOST_NAMED + 1])
    return [beginning] if beginning in found else found


def _id_begins(text: str) -> Q:
    """Return a condition for ids that begin with the text. SQLite compares ids byte by byte, so they are a
    range of the index, which LIKE does not use. In a database with a language's order they need not be a
    range."""
    if connection.vendor != "sqlite":
        return Q(request_id__startswith=text.replace("\0", "\ufffd"))
    end = _after(text)
    return Q(request_id__gte=text) & (Q(request_id__lt=end) if end else Q())


def _after(text: str) -> str:
    """Return the first text after all that begin with this one; "" when there is none."""
    kept = text.rstrip(chr(sys.maxunicode))
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)  # between them lie surrogates


def whole_id(beginning: str) -> str:
    """Return the one id that equals the text, or else begins with it. Raises NothingLikeIt."""
    found = ids_like(beginning)
    if len(found) == 1:
        return found[0]
    shown = repr(beginning[:64])
    if not found:
        raise NothingLikeIt(
            f"The ledger has no request {shown}. Only requests for messages are in it, from clients "
            "that were let in."
        )
    more = " and more" if len(found) > MOST_NAMED else ""
    raise NothingLikeIt(f"Several requests begin with {shown}: {', '.join(found[:MOST_NAMED])}{more}.")


class Following:
    """The requests that end from now on, each once, on any server."""

    def __init__(self, search: Search, now: datetime) -> None:
        self._search = search
        self._newest = now
        self._seen: dict[int, datetime] = {}
        self._open = set(open_rows().values_list("pk", flat=True))
        list(self.ended())  # discard those that have just ended

    def ended(self) -> Iterator[RequestLog]:
        """Yield the rows that have ended since the last call, in the order in which they began."""
        earliest = self._newest - LATE_BY
        recent = set(RequestLog.objects.filter(started_at__gte=earliest).values_list("pk", flat=True))
        rows = RequestLog.objects.in_bulk(list((recent - self._seen.keys()) | self._open))
        for row in sorted(rows.values(), key=lambda row: (row.started_at, row.pk)):
            if row.outcome == "open":
                self._open.add(row.pk)
            else:
                self._open.discard(row.pk)
                # clocks of servers differ
                self._newest = max(self._newest, min(row.started_at, timezone.now()))
                self._seen[row.pk] = row.started_at
                if self._search.matches(row):
                    yield row
        self._seen = {pk: at for pk, at in self._seen.items() if at >= earliest}


def open_rows() -> QuerySet[RequestLog]:
    """Return the requests that have not ended, according to the ledger. Those of a dead server are included
    until another server closes them."""
    return RequestLog.objects.filter(duration_seconds=None, problem=None)


def as_json(row: RequestLog) -> dict[str, Any]:
    return {**_columns(row), **tokens_of(row).as_shown(), "outcome": row.outcome}


def with_attempts_as_json(row: RequestLog) -> dict[str, Any]:
    return {**as_json(row), "tries": [attempt_as_json(one) for one in attempts_of(row)]}


def attempt_as_json(attempt: RequestAttempt) -> dict[str, Any]:
    facts = {**_columns(attempt), **tokens_of(attempt).as_shown()}
    facts.pop("request_id")
    return facts


def _columns(row: RequestLog | RequestAttempt) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields]
    facts = {name: getattr(row, name) for name in names if name not in TOKEN_COLUMNS}
    facts["cost_dollars"] = as_dollars(facts.pop("cost"))
    return facts
