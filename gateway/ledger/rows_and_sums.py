"""Conversion of records into rows: requests, their attempts, and the sums by hour and minute, all in one
transaction.

It is written as SQL for many rows at once: at a thousand requests a second the ORM's bulk_create takes longer
than the rest of the ledger (docs/performance.md). SQLite and PostgreSQL accept the same text. Storing is
idempotent, so a transaction of unknown outcome is repeated.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Model, Q

from accounts.values.sanitize import truncate
from gateway.ledger.record import HUNG_UP, RequestRecord
from gateway.models import HourlyUsage, MinuteUsage, RequestAttempt, RequestLog, ServerInstance
from gateway.relay.error_messages import NOTICEABLE_WAIT_SECONDS, Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


VALUES_A_STATEMENT = 6_500
"""Each statement takes and releases Python's lock: few large statements leave it to other threads."""


class RequestRow(NamedTuple):
    """The columns of RequestLog."""

    id: int
    instance_id: int
    request_id: str
    started_at: str
    client: str
    session_id: str
    request_bytes: int
    request_class: str
    client_model: str
    upstream_model: str
    account: str
    endpoint: str
    is_stream: bool
    fallback: bool
    problem: str | None
    status: int | None
    error: str
    stop_reason: str
    attempts: int
    waited_seconds: float
    first_event_seconds: float | None
    duration_seconds: float | None
    response_bytes: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    thinking_tokens: int
    cost: int | None
    unpriced: int


CHANGING = RequestRow._fields[8:]
"""Columns that are updated as they become known; the first eight are known from the beginning."""


class AttemptRow(NamedTuple):
    """The columns of RequestAttempt."""

    request_id: int
    number: int
    account: str
    model: str
    endpoint: str
    started_at: str
    waited_seconds: float
    took_seconds: float
    reason: str
    decision: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    thinking_tokens: int
    cost: int | None
    unpriced: int


class Entry(NamedTuple):
    """The rows of one request. Attempts are written when it has ended, and only if there were several."""

    request: RequestRow
    attempts: Sequence[AttemptRow] = ()

    @property
    def has_ended(self) -> bool:
        return self.request.duration_seconds is not None


def entry_of(record: RequestRecord, instance_id: int) -> Entry:
    """Return the rows for the record's present state."""
    attempts = record.attempts
    request = RequestRow(
        record.id,
        instance_id,
        record.request_id,
        _moment(record.started_at),
        record.client,
        record.session_id,
        record.request_bytes,
        record.request_class,
        record.client_model,
        record.upstream_model,
        record.account,
        record.endpoint,
        record.is_stream,
        record.fallback,
        record.problem,
        record.status,
        record.error,
        record.stop_reason,
        len(attempts),
        record.waited_seconds,
        record.first_event_seconds,
        record.duration_seconds,
        record.response_bytes,
        *record.tokens,
        record.cost,
        record.unpriced,
    )
    if not record.has_ended or was_answered_at_once(request):
        return Entry(request)
    return Entry(request, [_attempt_row(record.id, *numbered) for numbered in enumerate(attempts, 1)])


ANSWERED_AT_ONCE = Q(attempts=1, problem=None, duration_seconds__isnull=False)


def was_answered_at_once(row: RequestRow | RequestLog) -> bool:
    """Return True for a request answered by its first attempt, which is the usual case and has no attempt
    row.

    ANSWERED_AT_ONCE is the same condition as a query.
    """
    return row.attempts == 1 and row.problem is None and row.duration_seconds is not None


def _attempt_row(request_id: int, number: int, attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        request_id,
        number,
        attempt.account_name,
        truncate(attempt.model_id, 200),
        attempt.endpoint[:200],
        _moment(attempt.started_at),
        attempt.waited_seconds,
        attempt.took_seconds,
        attempt.whole_reason[:200],
        attempt.decision,
        *attempt.tokens,
        attempt.cost,
        attempt.unpriced,
    )


def _moment(seconds: float) -> str:
    """Format a time in UTC as both databases parse it and as Django stores it in SQLite."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ").removesuffix("+00:00")


def store(entries: Sequence[Entry], instance_id: int, *, is_replay: bool = False) -> bool:
    """Store the entries. Returns True when this server's lease had expired.

    `is_replay` marks a replay: the lease expired, or the outcome of the last transaction is unknown. Requests
    already known to have ended are not counted twice then.

    Raises DatabaseError; then nothing is stored, or everything, if the connection broke during the commit.
    """
    ended = [entry for entry in entries if entry.has_ended]
    with transaction.atomic():
        had_expired = _renew_lease(instance_id)
        is_replay = is_replay or had_expired
        sums = _sums_of(ended, _known_to_have_ended(ended) if is_replay else {})
        _write_sums(HourlyUsage, HOUR_KEY, _added_up(sums, _hour_key))
        _write_sums(MinuteUsage, MINUTE_KEY, _added_up(sums, _minute_key))
        _write_requests([entry.request for entry in entries])
        _write_attempts([attempt for entry in ended for attempt in entry.attempts])
    return had_expired


def _renew_lease(instance_id: int) -> bool:
    """Renew an expired lease and lock the server's row until the commit, so that no other server closes our
    rows."""
    us = ServerInstance.objects.filter(pk=instance_id)
    ended_at = us.select_for_update().values_list("ended_at", flat=True).first()
    return ended_at is not None and us.update(ended_at=None) == 1


# Sums


@dataclass(slots=True)
class Sums:
    """Increments for a row of UsageSums; the names are its columns."""

    requests: int = 0
    failed: int = 0
    hung_up: int = 0
    interrupted: int = 0
    attempts: int = 0
    retried: int = 0
    retried_well: int = 0
    fallback: int = 0
    waited: int = 0
    waited_seconds: float = 0.0
    begun: int = 0
    first_event_seconds: float = 0.0
    duration_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    thinking_tokens: int = 0
    cost: int = 0
    unpriced: int = 0

    def add_request(self, row: RequestRow) -> None:
        self.requests += 1
        self.duration_seconds += row.duration_seconds or 0.0
        if row.first_event_seconds is not None:
            self.begun += 1
            self.first_event_seconds += row.first_event_seconds
        if row.problem == HUNG_UP:
            self.hung_up += 1
        elif row.problem is not None:
            self.failed += 1
        if row.attempts > 1:
            self.retried += 1
            self.retried_well += row.problem is None
        if row.waited_seconds >= NOTICEABLE_WAIT_SECONDS:
            self.waited += 1
            self.waited_seconds += row.waited_seconds
        self.fallback += row.fallback

    def add_attempt(self, row: AttemptRow | RequestRow) -> None:
        """Add an attempt; for a request answered at once, its own row."""
        self.attempts += 1
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.cache_read_tokens += row.cache_read_tokens
        self.thinking_tokens += row.thinking_tokens
        self.cost += row.cost or 0
        self.unpriced += row.unpriced

    def add_sums(self, other: Sums) -> None:
        for name in SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take_back_interrupted(self) -> None:
        self.requests -= 1
        self.interrupted -= 1


class UsageKey(NamedTuple):
    """The key of a sum; each of the two tables uses a part of it."""

    minute: str
    model: str
    account: str
    client: str


HOUR_KEY = ("hour", "model", "account", "client")
MINUTE_KEY = ("minute", "model")
"""The columns of each table's key."""
SUMMED = tuple(field.name for field in fields(Sums))


def _hour_key(key: UsageKey) -> tuple[str, ...]:
    return f"{key.minute[:13]}:00:00", *key[1:]


def _minute_key(key: UsageKey) -> tuple[str, ...]:
    return key.minute, key.model


def _sums_of(ended: Iterable[Entry], known: dict[int, RequestLog]) -> dict[UsageKey, Sums]:
    """Return the increments. `known` are rows that already record how their request ended."""
    sums: defaultdict[UsageKey, Sums] = defaultdict(Sums)
    for request, attempts in ended:
        minute, client = f"{request.started_at[:16]}:00", request.client
        if request.id in known:
            row = known[request.id]
            if row.problem != RequestLog.INTERRUPTED:
                continue
            # The lease expired, for example because the database was unreachable from here.
            sums[UsageKey(minute, row.upstream_model, row.account, client)].take_back_interrupted()
        whole = sums[UsageKey(minute, request.upstream_model, request.account, client)]
        whole.add_request(request)
        if was_answered_at_once(request):
            whole.add_attempt(request)
        for attempt in attempts:
            sums[UsageKey(minute, attempt.model, attempt.account, client)].add_attempt(attempt)
    return sums


def _added_up(
    sums: dict[UsageKey, Sums], key_of: Callable[[UsageKey], tuple[str, ...]]
) -> dict[tuple[str, ...], Sums]:
    added: defaultdict[tuple[str, ...], Sums] = defaultdict(Sums)
    for key, one in sums.items():
        added[key_of(key)].add_sums(one)
    return added


def _known_to_have_ended(ended: Sequence[Entry]) -> dict[int, RequestLog]:
    rows = RequestLog.objects.filter(pk__in=[entry.request.id for entry in ended])
    return rows.exclude(duration_seconds=None, problem=None).in_bulk()


# SQL


def _write_sums(model: type[Model], key: tuple[str, ...], sums: dict[tuple[str, ...], Sums]) -> None:
    """Write sums in a fixed order, so that two servers cannot deadlock."""
    table = _table(model)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMMED)
    rows = [(*values, *astuple(sums[values])) for values in sorted(sums)]
    _insert(model, (*key, *SUMMED), rows, f"({', '.join(key)}) DO UPDATE SET {added}")


def _write_requests(rows: Sequence[RequestRow]) -> None:
    """Write rows. An ended row never changes, except that one closed as interrupted may still get its real
    end."""
    table = _table(RequestLog)
    changes = ", ".join(f"{name} = excluded.{name}" for name in CHANGING)
    guard = (
        f"{table}.duration_seconds IS NULL"
        f" AND ({table}.problem IS NULL OR excluded.duration_seconds IS NOT NULL)"
    )
    _insert(RequestLog, RequestRow._fields, rows, f"(id) DO UPDATE SET {changes} WHERE {guard}")


def _write_attempts(rows: Sequence[AttemptRow]) -> None:
    _insert(RequestAttempt, AttemptRow._fields, rows, "(request_id, number) DO NOTHING")


def _insert(
    model: type[Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]], on_conflict: str
) -> None:
    mark = "?" if connection.vendor == "sqlite" else "%s"
    marks = f"({', '.join([mark] * len(columns))})"
    for some in _portions(rows, _values_a_statement() // len(columns)):
        _execute(
            f"INSERT INTO {_table(model)} ({', '.join(columns)}) VALUES {', '.join([marks] * len(some))} "  # noqa: S608  # our own names
            f"ON CONFLICT {on_conflict}",
            [value for row in some for value in row],
        )


def _portions(rows: Sequence[tuple[Any, ...]], most: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Yield portions of at most `most` rows, the last ones of powers of two. Each number of rows is a
    statement of its own, up to 0.7 MB once it is prepared, and Python's sqlite3 keeps the last 128: with all
    numbers that occur they took 43 MB."""
    while rows:
        count = min(most, 1 << (len(rows).bit_length() - 1))
        yield rows[:count]
        rows = rows[count:]


def _values_a_statement() -> int:
    if connection.vendor != "sqlite":
        return VALUES_A_STATEMENT
    allowed: int = connection.connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)
    return min(VALUES_A_STATEMENT, allowed)


def _execute(sql: str, values: list[Any]) -> None:
    if connection.vendor == "sqlite":
        # Bypasses Django's cursor, whose search for placeholders takes as long as the statement itself.
        with connection.wrap_database_errors:
            connection.connection.execute(sql, values)
    else:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
