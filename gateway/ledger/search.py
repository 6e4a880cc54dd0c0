"""Queries for single requests: pages, newest first; one with its attempts; and those that end from now on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from django.db.models import Q, QuerySet
from django.utils import timezone

from gateway.ledger.record import ANSWERED, HUNG_UP, TOKEN_COLUMNS, tokens_of
from gateway.ledger.tables import was_answered_at_once
from gateway.models import HourlyUsage, RequestAttempt, RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterator


LARGEST_PAGE = 500
MOST_NAMED = 10
LATE_BY = timedelta(minutes=3)
"""Rows may be written this long after they began, when the database was locked."""


class HasProblem(Protocol):
    """A row of the ledger, or one like it."""

    @property
    def problem(self) -> str | None: ...


class NothingLikeIt(Exception):
    """A name or id that matches nothing in the ledger, or several; the text lists what exists."""


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
    """Only failed and interrupted requests. A client that closed the connection is no error."""
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

    def matches(self, row: HasProblem) -> bool:
        """Return True when the row passes the same filters as in `rows`, apart from the times. It has the
        columns of RequestLog."""
        has_error = row.problem not in {None, HUNG_UP}
        return (has_error or not self.errors) and all(
            getattr(row, column) == value for column, value in self._equal.items()
        )

    def rows(self) -> QuerySet[RequestLog]:
        """Return the matching rows, newest first."""
        rows = RequestLog.objects.order_by("-started_at", "-id").filter(**self._equal)
        if self.errors or (self.status or 0) >= 400:
            rows = rows.filter(problem__isnull=False)  # served by a partial index
        if self.errors:
            rows = rows.exclude(problem=HUNG_UP)
        if self.since is not None:
            rows = rows.filter(started_at__gte=self.since)
        if self.until is not None:
            rows = rows.filter(started_at__lt=self.until)
        return rows


def page(search: Search, *, before: int | None = None, limit: int = 50) -> list[RequestLog]:
    """Return one page. `before` is the id of the last row of the previous page; a deleted id gives an empty
    page."""
    rows = search.rows()
    if before is not None:
        last = RequestLog.objects.filter(pk=before).values_list("started_at", flat=True).first()
        if last is None:
            return []
        rows = rows.filter(started_at__lte=last).exclude(Q(started_at=last) & Q(pk__gte=before))
    return list(rows[: max(0, min(limit, LARGEST_PAGE + 1))])


def attempts_of(row: RequestLog) -> list[RequestAttempt]:
    if was_answered_at_once(row):
        return [_only_attempt(row)]
    return list(RequestAttempt.objects.filter(request_id=row.pk).order_by("number"))


def _only_attempt(row: RequestLog) -> RequestAttempt:
    """Return the attempt of a request answered at its first one: it began after the wait and lasted until the
    end."""
    names = ("account", "endpoint", "waited_seconds", *TOKEN_COLUMNS)
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


def whole_id(beginning: str) -> str:
    """Return the one id that equals the text, or else begins with it. Raises NothingLikeIt."""
    ids = RequestLog.objects.filter(request_id__gte=beginning).values_list("request_id", flat=True)
    if ids.filter(request_id=beginning).exists():
        return beginning
    found = list(
        ids.filter(request_id__startswith=beginning).order_by("request_id").distinct()[: MOST_NAMED + 1]
    )
    if len(found) == 1:
        return str(found[0])
    shown = repr(beginning[:64])
    if not found:
        raise NothingLikeIt(
            f"The ledger has no request {shown}. Only requests for messages are in it, from clients "
            "that were let in."
        )
    more = " and more" if len(found) > MOST_NAMED else ""
    raise NothingLikeIt(f"Several requests begin with {shown}: {', '.join(found[:MOST_NAMED])}{more}.")


class Following:
    """Requests that end from now on, each once, on any server."""

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
    """Requests that have not ended, as far as is written. Those of a dead server are here until another
    closes them."""
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
    return {name: getattr(row, name) for name in names if name not in TOKEN_COLUMNS}
