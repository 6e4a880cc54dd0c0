"""The messages of `/ws/live`, as values and as JSON.

From the server: hello, snapshot, delta, changed, now, bye. From the page: watch, ack. A row is a list in the
order of COLUMNS; its `rev` grows with each stage of the request, so a page ignores a row with a lower one
than it shows, and snapshots and deltas may overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from dashboard.requests.explanation import note
from dashboard.requests.operator_text import names_read_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.models import RequestLog
    from gateway.telemetry.log_ring import LogLine

    Totals = Mapping[str, float | Mapping[str, int]]

VERSION = 1
LARGEST_MESSAGE = 4096
"""The largest message from the page, in bytes."""
TOPICS = frozenset({"requests", "log"})
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
FILTERS: dict[str, tuple[type, ...]] = {
    "request_id": (str,),
    "account": (str,),
    "model": (str,),
    "client": (str,),
    "request_class": (str,),
    "session": (str,),
    "status": (int,),
    "errors": (bool,),
    "slower": (int, float),
}
"""The filters of gateway.ledger.search.Search, with the types that their values may have in JSON."""
LONGEST_FILTER = 254
LARGEST_FILTER = 10**10
OPEN, ANSWERED = "open", "answered"
STARTED, TRY_FAILED, BEGUN, ENDED = range(4)
REVISIONS = {
    "request_started": STARTED,
    "attempt_failed": TRY_FAILED,
    "first_event": BEGUN,
    "request_finished": ENDED,
}
"""The `rev` of a row, by the kind of its event (gateway/telemetry/activity.py)."""
WHAT_CHANGED = {
    "accounts_changed": "accounts",
    "quota_read": "quota",
    "routes_changed": "routes",
    "settings_changed": "settings",
}


class BadMessage(ValueError):
    """Raised for a message that is not part of this protocol."""


class Row(NamedTuple):
    """A request as the list shows it. The fields are named as in RequestLog, except for tokens."""

    id: str
    """A unique id, even when clients choose the same request id."""
    rev: int
    request_id: str
    started_at: float
    """The time in seconds since the epoch."""
    client: str
    request_class: str
    session_id: str
    client_model: str
    upstream_model: str
    account: str
    outcome: str
    """The outcome: "open", "answered", or the problem."""
    status: int | None
    stop_reason: str
    attempts: int
    fallback: bool
    waited_seconds: float
    input_tokens: int
    """All input tokens, including cached ones."""
    cached_tokens: int
    output_tokens: int
    first_event_seconds: float | None
    duration_seconds: float | None
    detail: str
    """The error; while the request is open, the last failed attempt and the step after it."""

    @property
    def problem(self) -> str | None:
        return None if self.outcome in {OPEN, ANSWERED} else self.outcome

    @property
    def is_open(self) -> bool:
        return self.outcome == OPEN


COLUMNS = Row._fields
_columns_of_facts = itemgetter(*COLUMNS[COLUMNS.index("started_at") + 1 : COLUMNS.index("detail")])


def rows_of_events(events: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return one row for each request, of its last stage. Rows of earlier stages are not made, since a fast
    request has three events at once."""
    last: dict[str, Mapping[str, Any]] = {}
    for event in events:
        key = row_id(event["request"])
        known = last.get(key)
        if known is None or REVISIONS[event["kind"]] >= REVISIONS[known["kind"]]:
            last[key] = event
    return [row_of_event(event) for event in last.values()]


def row_of_event(event: Mapping[str, Any]) -> Row:
    """Return the row of a request's event, which is of a kind that REVISIONS has."""
    attempt = event.get("attempt")
    detail = f"{attempt['reason']} → {attempt['decision']}" if attempt else ""
    return row_of_facts(event["request"], REVISIONS[event["kind"]], detail)


def row_of_facts(facts: Mapping[str, Any], rev: int, detail: str = "") -> Row:
    """Return the row of a request. `facts` is what gateway.ledger.recorder.facts returns."""
    started_at = round(facts["started_at"], 6)  # as a database keeps it
    head = (row_id(facts), rev, facts["request_id"], started_at)
    begun = datetime.fromtimestamp(started_at, UTC)
    said = note(facts["outcome"], facts["status"], facts["error"], begun, names_read_before)
    return Row._make((*head, *_columns_of_facts(facts), said or detail))


def row_id(facts: Mapping[str, Any]) -> str:
    """Return the id of a row. Without a ledger requests have no number."""
    return str(facts["id"] or f"{facts['request_id']}@{facts['started_at']}")


def row_of_log(log: RequestLog) -> Row:
    """Return the row of a request in the ledger."""
    is_begun = log.first_event_seconds is not None
    return Row(
        id=str(log.pk),
        rev=ENDED if log.outcome != OPEN else BEGUN if is_begun else STARTED,
        request_id=log.request_id,
        started_at=log.started_at.timestamp(),
        client=log.client,
        request_class=log.request_class,
        session_id=log.session_id,
        client_model=log.client_model,
        upstream_model=log.upstream_model,
        account=log.account,
        outcome=log.outcome,
        status=log.status,
        stop_reason=log.stop_reason,
        attempts=log.attempts,
        fallback=log.fallback,
        waited_seconds=round(log.waited_seconds, 3),
        input_tokens=log.input_tokens + log.cache_read_tokens,
        cached_tokens=log.cache_read_tokens,
        output_tokens=log.output_tokens,
        first_event_seconds=_rounded(log.first_event_seconds),
        duration_seconds=_rounded(log.duration_seconds),
        detail=note(log.outcome, log.status, log.error, log.started_at, names_read_before),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def is_newer(row: Row, known: Row | None) -> bool:
    """Return whether the row replaces the known one with the same id."""
    return known is None or row.rev >= known.rev


def merge(rows: dict[str, Row], more: Iterable[Row]) -> None:
    """Add rows by id. Of two with the same id the one with the higher rev stays, and the later one if they
    are equal."""
    for row in more:
        if is_newer(row, rows.get(row.id)):
            rows[row.id] = row


# From the server. Rows and lines come encoded, since they are the same for all sockets.


def row_text(row: Row) -> bytes:
    return orjson.dumps(tuple(row))


def line_text(line: LogLine) -> bytes:
    return orjson.dumps((round(line.at, 3), line.level, line.request_id, line.text))


def hello(*, build: str, server: str, now: float, demo: bool) -> str:
    message = {"v": VERSION, "build": build, "server": server, "now": now, "columns": COLUMNS, "demo": demo}
    return _text({"t": "hello", **message})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows and lines that the page watches; they replace what it has."""

    rows: list[bytes]
    totals: Totals
    lines: list[bytes]

    def as_text(self, number: int) -> str:
        parts = (b",".join(self.rows), orjson.dumps(self.totals), b",".join(self.lines))
        return (b'{"t":"snapshot","n":%d,"rows":[%b],"totals":%b,"lines":[%b]}' % (number, *parts)).decode()


@dataclass(frozen=True, slots=True)
class Delta:
    """The news since the last message. `more` and `skipped` count rows and lines that were left out and are
    not sent later."""

    rows: list[bytes]
    more: int
    totals: Totals
    lines: list[bytes]
    skipped: int

    def as_text(self, number: int) -> str:
        text = b'{"t":"delta","n":%d,"rows":[%b],"more":%d,"totals":%b,"lines":[%b],"skipped":%d}'
        rows, lines = b",".join(self.rows), b",".join(self.lines)
        return (text % (number, rows, self.more, orjson.dumps(self.totals), lines, self.skipped)).decode()


@dataclass(frozen=True, slots=True)
class Changed:
    """The parts of pages that a page should reload: accounts, quota, routes, settings."""

    what: frozenset[str]

    def as_text(self, number: int) -> str:
        return _text({"t": "changed", "n": number, "what": sorted(self.what)})


Update = Snapshot | Delta | Changed


def now_message(now: float) -> str:
    return _text({"t": "now", "now": now})


def bye(why: str) -> str:
    return _text({"t": "bye", "why": why})


def _text(message: Mapping[str, Any]) -> str:
    return orjson.dumps(message).decode()


# From the page


@dataclass(frozen=True, slots=True)
class Watch:
    """What the page shows. `filter` has names of FILTERS; `level` is the lowest level of its log lines."""

    topics: frozenset[str] = frozenset()
    filter: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Ack:
    number: int


def parse(text: str) -> Watch | Ack:
    """Parse a message from the page. Raises BadMessage."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadMessage("the message is no JSON") from error
    match message:
        case {"t": "ack", "n": int(number)}:
            return Ack(number)
        case {"t": "watch", "topics": list(topics), **others}:
            return Watch(_topics(topics), _filter(others.get("filter") or {}), _level(others.get("level")))
    raise BadMessage("the message is neither watch nor ack")


def _topics(topics: list[Any]) -> frozenset[str]:
    if not all(isinstance(one, str) and one in TOPICS for one in topics):
        raise BadMessage("topics: unknown")
    return frozenset(topics)


def _filter(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise BadMessage("filter: not an object")
    if not all(type(value) in FILTERS.get(name, ()) and _is_sane(value) for name, value in given.items()):
        raise BadMessage("filter: unknown, or not a value of its kind")
    return given


def _is_sane(value: Any) -> bool:
    """Return whether the value can be used in a database query."""
    if isinstance(value, str):
        return len(value) <= LONGEST_FILTER and "\0" not in value
    return bool(0 <= value < LARGEST_FILTER)


def _level(given: Any) -> str:
    level = given or "info"
    if not isinstance(level, str) or level not in LEVELS:
        raise BadMessage("level: unknown")
    return level
