"""Records into rows: requests, their attempts and the hourly sums, all in one transaction.

Written as SQL for many rows at once: at several hundred requests a second the ORM's own bulk_create costs
more than everything else the ledger does (docs/performance.md). SQLite and PostgreSQL read the same text.
Storing a record again does no harm, so whoever cannot know whether a transaction went through tries again.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from gateway.ledger.record import HUNG_UP, Tokens, reported_tokens
from gateway.models import HourlyUsage, RequestAttempt, RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django.db.models import Model

    from gateway.ledger.record import RequestRecord

UsageKey = tuple[datetime, str, str, str]
"""Hour, model, account, client."""
Sums = dict[str, float]

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "thinking_tokens")
FIXED = ("id", "instance_id", "request_id", "started_at", "client", "session_id", "request_bytes")
"""Known from the beginning; the others are written again as they become known."""
CHANGING = (
    "client_model", "upstream_model", "account", "is_stream", "stepped_in", "problem", "status", "error",
    "stop_reason", "attempts", "waited_seconds", "first_event_seconds", "duration_seconds", "response_bytes",
    *TOKENS,
)  # fmt: skip
ATTEMPT = (
    "request_id", "number", "account", "model", "endpoint", "started_at", "waited_seconds", "took_seconds",
    "reason", "decision", *TOKENS,
)  # fmt: skip
USAGE_KEY = ("hour", "model", "account", "client")
SUMMED = (
    "requests", "failed", "hung_up", "interrupted", "attempts", "retried", "retried_well", "stepped_in",
    "waited", "waited_seconds", "begun", "first_event_seconds", "duration_seconds", *TOKENS,
)  # fmt: skip
NOTICEABLE_WAIT_SECONDS = 0.1
"""A request that waited less has not waited, as far as statistics go."""


def store(records: Sequence[RequestRecord], instance_id: int) -> None:
    """Raises DatabaseError; then nothing of it is stored."""
    ended = [record for record in records if record.has_ended]
    with transaction.atomic():
        usage = _usage_of_new(ended)
        _write_requests(records, instance_id)
        _write_attempts(ended)
        add_usage(usage)


def add_usage(usage: Mapping[UsageKey, Sums]) -> None:
    """In one order, always: two servers that write the same rows must not wait for each other."""
    rows = [(*_adapted(key), *(sums.get(name, 0) for name in SUMMED)) for key, sums in sorted(usage.items())]
    table = _quoted(HourlyUsage)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMMED)
    _write(
        HourlyUsage,
        (*USAGE_KEY, *SUMMED),
        rows,
        f"ON CONFLICT ({', '.join(USAGE_KEY)}) DO UPDATE SET {added}",
    )


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


# Sums


def _usage_of_new(ended: Sequence[RequestRecord]) -> Mapping[UsageKey, Sums]:
    """What must be added for requests that have ended, without those that were counted before."""
    usage: defaultdict[UsageKey, Sums] = defaultdict(lambda: defaultdict(float))
    known = {row.pk: row for row in _known_ended(ended)}
    for record in ended:
        row = known.get(record.id)
        if row is not None and row.problem == RequestLog.INTERRUPTED:
            # Somebody took us for dead, for example because the database could not be reached from here.
            _add(usage[_key(row.started_at, row.upstream_model, row.account, row.client)], INTERRUPTED, -1)
        if row is None or row.problem == RequestLog.INTERRUPTED:
            _count(record, usage)
    return usage


INTERRUPTED: Sums = {"requests": 1, "interrupted": 1}


def _known_ended(ended: Sequence[RequestRecord]) -> Iterable[RequestLog]:
    """Rows that say already how it ended."""
    rows = RequestLog.objects.filter(pk__in=[record.id for record in ended])
    return rows.only("problem", "started_at", "upstream_model", "account", "client").exclude(
        duration_seconds=None, problem=None
    )


def _count(record: RequestRecord, usage: Mapping[UsageKey, Sums]) -> None:
    started_at = datetime.fromtimestamp(record.started_at, UTC)
    tried = len(record.attempts)
    has_waited = record.waited_seconds >= NOTICEABLE_WAIT_SECONDS
    _add(
        usage[_key(started_at, record.upstream_model, record.account, record.client)],
        {
            "requests": 1,
            "failed": record.problem not in {None, HUNG_UP},
            "hung_up": record.problem == HUNG_UP,
            "retried": tried > 1,
            "retried_well": tried > 1 and record.problem is None,
            "stepped_in": record.stepped_in,
            "waited": has_waited,
            "waited_seconds": record.waited_seconds if has_waited else 0,
            "begun": record.first_event_seconds is not None,
            "first_event_seconds": record.first_event_seconds or 0,
            "duration_seconds": record.duration_seconds or 0,
        },
    )
    for attempt in record.attempts:
        sums = usage[_key(started_at, attempt.model_id, attempt.email, record.client)]
        sums["attempts"] += 1
        _add(sums, _named(reported_tokens(attempt.usage)))


def _key(started_at: datetime, model: str, account: str, client: str) -> UsageKey:
    return hour_of(started_at), model, account, client


def _named(tokens: Tokens) -> Sums:
    return dict(zip(TOKENS, tokens, strict=True))


def _add(sums: Sums, more: Sums, times: int = 1) -> None:
    for name, number in more.items():
        if number:
            sums[name] += times * number


# Rows


def _write_requests(records: Sequence[RequestRecord], instance_id: int) -> None:
    table = _quoted(RequestLog)
    changes = ", ".join(f"{name} = excluded.{name}" for name in CHANGING)
    _write(
        RequestLog,
        (*FIXED, *CHANGING),
        [_request_row(record, instance_id) for record in records],
        # What has ended, and is known to have, never changes again.
        f"ON CONFLICT (id) DO UPDATE SET {changes} WHERE {table}.duration_seconds IS NULL",
    )


def _request_row(record: RequestRecord, instance_id: int) -> tuple[Any, ...]:
    return (
        record.id,
        instance_id,
        record.request_id,
        _moment(record.started_at),
        record.client,
        record.session_id,
        record.request_bytes,
        record.client_model,
        record.upstream_model,
        record.account,
        record.is_stream,
        record.stepped_in,
        record.problem,
        record.status,
        record.error,
        record.stop_reason,
        len(record.attempts),
        record.waited_seconds,
        record.first_event_seconds,
        record.duration_seconds,
        record.response_bytes,
        *record.tokens,
    )


def _write_attempts(ended: Sequence[RequestRecord]) -> None:
    rows = [
        (
            record.id,
            number,
            attempt.email,
            attempt.model_id,
            attempt.endpoint[:200],
            _moment(attempt.started_at),
            attempt.waited_seconds,
            attempt.took_seconds,
            attempt.reason[:200],
            attempt.decision[:40],
            *reported_tokens(attempt.usage),
        )
        for record in ended
        for number, attempt in enumerate(record.attempts, 1)
    ]
    _write(RequestAttempt, ATTEMPT, rows, "ON CONFLICT (request_id, number) DO NOTHING")


# SQL


def _write(
    model: type[Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]], conflict: str
) -> None:
    if not rows:
        return
    marks = ", ".join(["%s"] * len(columns))
    sql = f"INSERT INTO {_quoted(model)} ({', '.join(columns)}) VALUES ({marks}) {conflict}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)


def _quoted(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _moment(seconds: float) -> Any:
    return connection.ops.adapt_datetimefield_value(datetime.fromtimestamp(seconds, UTC))


def _adapted(key: UsageKey) -> tuple[Any, ...]:
    hour, *names = key
    return connection.ops.adapt_datetimefield_value(hour), *names
