"""Single requests: pages of them, newest first; one with its attempts; and those that end from now on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone

from gateway.ledger.record import ANSWERED, HUNG_UP, TOKEN_COLUMNS, tokens_of
from gateway.ledger.tables import was_answered_at_once
from gateway.models import HourlyUsage, RequestAttempt, RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from django.db.models import QuerySet

LARGEST_PAGE = 500
MOST_NAMED = 10
LATE_BY = timedelta(minutes=3)
"""Rows may come into the table so long after they began: the database may have been locked."""


class NothingLikeIt(Exception):
    """A name that nothing in the ledger has; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is left empty does not matter."""

    request_id: str = ""
    account: str = ""
    model: str = ""
    """The one that answered, or was asked last."""
    client: str = ""
    request_class: str = ""
    session: str = ""
    status: int | None = None
    errors: bool = False
    """Only what failed or was interrupted. A client that hung up is no error."""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether anything is asked for."""
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

    def matches(self, row: RequestLog) -> bool:
        """The same as `rows`, but for the times."""
        has_error = row.problem not in {None, HUNG_UP}
        return (has_error or not self.errors) and all(
            getattr(row, column) == value for column, value in self._equal.items()
        )

    def rows(self) -> QuerySet[RequestLog]:
        """Newest first."""
        rows = RequestLog.objects.order_by("-started_at", "-id").filter(**self._equal)
        if self.errors or (self.status or 0) >= 400:
            rows = rows.filter(problem__isnull=False)  # an index holds these alone
        if self.errors:
            rows = rows.exclude(problem=HUNG_UP)
        if self.since is not None:
            rows = rows.filter(started_at__gte=self.since)
        if self.until is not None:
            rows = rows.filter(started_at__lt=self.until)
        return rows


def page(search: Search, *, before: int | None = None, limit: int = 50) -> list[RequestLog]:
    """`before` is the id of the last row of the page before. An id that is gone leads to an empty page."""
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
    """It began when nothing had to be waited for any more, and took until the end."""
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
    """The one name of an account, model or client that is this text, or else has it as a part.

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
    """The one id that is this text, or else begins with it. Raises NothingLikeIt."""
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
    """Requests that end from now on, each once, whichever server serves them."""

    def __init__(self, search: Search, now: datetime) -> None:
        self._search = search
        self._newest = now
        self._seen: dict[int, datetime] = {}
        self._open = set(_open_rows().values_list("pk", flat=True))
        list(self.ended())  # those that have ended a moment ago are not from now on

    def ended(self) -> Iterator[RequestLog]:
        """What has ended since this was last asked, in the order in which it began."""
        earliest = self._newest - LATE_BY
        recent = set(RequestLog.objects.filter(started_at__gte=earliest).values_list("pk", flat=True))
        rows = RequestLog.objects.in_bulk(list((recent - self._seen.keys()) | self._open))
        for row in sorted(rows.values(), key=lambda row: (row.started_at, row.pk)):
            if row.outcome == "open":
                self._open.add(row.pk)
            else:
                self._open.discard(row.pk)
                self._newest = max(self._newest, min(row.started_at, timezone.now()))  # clocks differ
                self._seen[row.pk] = row.started_at
                if self._search.matches(row):
                    yield row
        self._seen = {pk: at for pk, at in self._seen.items() if at >= earliest}


def _open_rows() -> QuerySet[RequestLog]:
    return RequestLog.objects.filter(duration_seconds=None, problem=None)


def as_json(row: RequestLog) -> dict[str, Any]:
    return {**_columns(row), **tokens_of(row).as_shown(), "outcome": row.outcome}


def attempt_as_json(attempt: RequestAttempt) -> dict[str, Any]:
    facts = {**_columns(attempt), **tokens_of(attempt).as_shown()}
    facts.pop("request_id")
    return facts


def _columns(row: RequestLog | RequestAttempt) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields]
    return {name: getattr(row, name) for name in names if name not in TOKEN_COLUMNS}
