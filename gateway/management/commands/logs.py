from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.management.operator_command import OperatorCommand
from accounts.management.tables import Layout, duration, number
from accounts.values.times import second
from gateway.ledger.record import TOKEN_COLUMNS, tokens_of
from gateway.ledger.search import (
    LARGEST_PAGE,
    Following,
    NothingLikeIt,
    Search,
    as_json,
    attempts_of,
    full_name,
    page,
    whole_id,
    with_attempts_as_json,
)
from gateway.ledger.time_arguments import NotATime, parse_seconds, parse_time
from gateway.models import MESSAGES, SAFEGUARDS, RequestAttempt, RequestLog
from gateway.pricing.prices import cost_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Value = TypeVar("Value")

POLL_SECONDS = 0.5
BAR_WIDTH = 24
NAMES = 6
COLUMNS = (
    *("REQUEST", "STATUS", "ASKED FOR", "MODEL", "ACCOUNT"),
    *("IN", "CACHED", "OUT", "TOOK", "TRIES", "OUTCOME"),
)
LESS_IMPORTANT = ("ASKED FOR", "TRIES", "CACHED", "TOOK", "ACCOUNT", "IN", "OUT")
EXAMPLE = RequestLog(
    request_id="req_" + "0" * 24,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    client_model="claude-sonnet-4-6",
    upstream_model="claude-sonnet-4-6",
    account="someone@example.com",
    **dict.fromkeys(TOKEN_COLUMNS, 100_000),
)
"""Column widths for --follow, where rows are not known in advance; wide enough for most."""
SHORTEST_ID = 16
"""The length of the time in an id of ours."""


class Command(OperatorCommand):
    examples = ("--since 1h --errors", "--follow", "req_01a2159937ef7a7b7757c249")
    help = (
        "Prints requests from the ledger: the newest that match, or, with an id, one of them with its "
        "attempts as a timeline. Names may be given in part. The id of a request is in the client's error "
        "and in the log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "request_id",
            nargs="?",
            default="",
            metavar="REQUEST-ID",
            help="show this request with its attempts; a beginning of the id is enough",
        )
        parser.add_argument("-f", "--follow", action="store_true", help="keep printing requests as they end")
        parser.add_argument(
            "-n",
            "--limit",
            type=int,
            default=20,
            help=f"how many requests, at most {LARGEST_PAGE}; default: 20",
        )
        parser.add_argument(
            "--errors", action="store_true", help="only requests that failed or were interrupted"
        )
        parser.add_argument(
            "--status", type=int, help="only requests with this status; 499: the client hung up"
        )
        parser.add_argument(
            "--slower",
            default="",
            metavar="TIME",
            help="only requests whose first event took longer: 10s, 1.5m …",
        )
        parser.add_argument("--account", default="", metavar="NAME", help="only requests of this account")
        parser.add_argument(
            "--model", default="", metavar="NAME", help="only requests that this model answered"
        )
        parser.add_argument("--client", default="", metavar="NAME", help="only requests of this client")
        parser.add_argument(
            "--class",
            dest="request_class",
            choices=(MESSAGES, SAFEGUARDS),
            default="",
            help="only requests of clients, or only safety checks of their answers",
        )
        parser.add_argument(
            "--session", default="", metavar="ID", help="only requests of this Claude Code session"
        )
        parser.add_argument(
            "--since", default="", metavar="WHEN", help="begun then or later: 30m, 24h, 7d, today or a date"
        )
        parser.add_argument("--until", default="", metavar="WHEN", help="begun before then")

    def act(self, *, request_id: str, follow: bool, limit: int, json: bool, **options: Any) -> None:
        if not 0 <= limit <= LARGEST_PAGE:
            raise CommandError(f"--limit: must be a whole number from 0 to {LARGEST_PAGE}.")
        if request_id:
            self._print_request(request_id, json=json)
            return
        search = self._search(**options)
        following = Following(search, timezone.now()) if follow else None
        rows = list(reversed(page(search, limit=limit) if limit else []))
        if json and not follow:
            self.set_result(as_json(row) for row in rows)
            return
        layout = _layout([*rows, EXAMPLE] if follow else rows)
        if rows or following is not None:
            self._print(rows, None if json else layout, with_head=True)
        else:
            self.info("Nothing matches." if search.is_narrow else "The ledger has no request yet.")
        while following is not None:
            time.sleep(POLL_SECONDS)
            self._print(list(following.ended()), None if json else layout)

    def _search(self, account: str, model: str, client: str, session: str, **options: Any) -> Search:
        try:
            return Search(
                account=full_name("account", account) if account else "",
                model=full_name("model", model) if model else "",
                client=full_name("client", client) if client else "",
                request_class=options["request_class"],
                session=session,
                status=options["status"],
                errors=options["errors"],
                slower=_read("--slower", options["slower"], parse_seconds),
                since=_read("--since", options["since"], _moment),
                until=_read("--until", options["until"], _moment),
            )
        except NothingLikeIt as error:
            raise CommandError(str(error)) from error

    # Many

    def _print(self, rows: list[RequestLog], layout: Layout | None, *, with_head: bool = False) -> None:
        """Print rows as JSON when `layout` is None."""
        if layout is None:
            for row in rows:
                self.print_line(as_json(row))
        else:
            for line in ([layout.head] if with_head else []) + list(layout.lines(_cells_of(rows))):
                self.stdout.write(line)
            if with_head and layout.left_out:
                self.info(layout.left_out)
        self.stdout.flush()

    # One

    def _print_request(self, request_id: str, *, json: bool) -> None:
        try:
            rows = page(Search(request_id=whole_id(request_id)), limit=LARGEST_PAGE)
        except NothingLikeIt as error:
            raise CommandError(str(error)) from error
        if json:
            self.set_result(map(with_attempts_as_json, rows))
            return
        for row in rows:
            self.stdout.write(_story(row, attempts_of(row)))


def _read(name: str, text: str, parse: Callable[[str], Value]) -> Value | None:
    try:
        return parse(text) if text else None
    except NotATime as error:
        raise CommandError(f"{name}: {error}") from error


def _moment(text: str) -> datetime:
    return parse_time(text, timezone.localtime())


def _layout(rows: list[RequestLog]) -> Layout:
    when = f"TIME ({timezone.localtime():%Z})" if sys.stdout.isatty() else "TIME"
    return Layout(
        (when, *COLUMNS),
        _cells_of(rows),
        names=NAMES,
        optional=LESS_IMPORTANT,
        whole=(when, "REQUEST", "STATUS"),
        has_text=True,
        enough=14,
    )


def _cells_of(rows: list[RequestLog]) -> list[tuple[str, ...]]:
    """Return the cells: in a pipe with full times and ids; at a terminal with abbreviated ids."""
    if not sys.stdout.isatty():
        return [(second(row.started_at), row.request_id, *_facts(row)) for row in rows]
    ids = [row.request_id for row in rows]
    return [
        (
            f"{timezone.localtime(row.started_at):%m-%d %H:%M:%S}",
            beginning_of(row.request_id, ids),
            *_facts(row),
        )
        for row in rows
    ]


def beginning_of(request_id: str, others: Sequence[str]) -> str:
    """Return the shortest unambiguous beginning, at least SHORTEST_ID long."""
    for length in range(SHORTEST_ID, len(request_id)):
        if not any(one.startswith(request_id[:length]) for one in others if one != request_id):
            return request_id[:length]
    return request_id


def _facts(row: RequestLog) -> tuple[str, ...]:
    return (
        str(row.status or "-"),
        row.client_model or "-",
        _class_mark(row) + (row.upstream_model or "-"),
        row.account or "-",
        number(tokens_of(row).all_input),
        number(row.cache_read_tokens),
        number(row.output_tokens),
        duration(row.duration_seconds),
        str(row.attempts),
        (row.stop_reason or row.outcome) + (f": {row.error}" if row.error else ""),
    )


def _class_mark(row: RequestLog) -> str:
    return "" if row.request_class == MESSAGES else f"[{row.request_class}] "


def _story(row: RequestLog, attempts: list[RequestAttempt]) -> str:
    facts = {
        "began": second(row.started_at),
        "client": row.client + (f", session {row.session_id}" if row.session_id else ""),
        "model": f"{row.client_model or '-'} → {row.upstream_model or '-'}"
        + (" (fallback)" if row.fallback else ""),
        "outcome": f"{row.status or '-'} {row.stop_reason or row.outcome}"
        + (f": {row.error}" if row.error else ""),
        "tokens": f"{tokens_of(row).all_input:,} in, {row.cache_read_tokens:,} of them cached, "
        f"{row.output_tokens:,} out, {row.thinking_tokens:,} of them thinking" + _cost(row),
        "time": f"first event {duration(row.first_event_seconds)}, whole {duration(row.duration_seconds)}, "
        f"waited {duration(row.waited_seconds)}",
        "size": f"{row.request_bytes:,} bytes asked, {row.response_bytes:,} answered"
        + (", a stream" if row.is_stream else ""),
    }
    lines = [
        f"{_class_mark(row)}{row.request_id}",
        *(f"  {name:<8} {value}" for name, value in facts.items()),
    ]
    if attempts:
        lines += ["", *_timeline(row, attempts)]
    return "\n".join([*lines, ""])


def _cost(row: RequestLog) -> str:
    is_paid = row.cost is not None or row.unpriced
    return f"; cost {cost_in_words(row.cost, row.unpriced)}" if is_paid else ""


def _timeline(row: RequestLog, attempts: list[RequestAttempt]) -> list[str]:
    """Draw a bar for each attempt, on the time axis of the whole request."""
    whole = max([row.duration_seconds or 0.0, 0.001, *(_ended(row, one) for one in attempts)])
    return [
        f"  {_began(row, one):+8.3f} s {_bar(_began(row, one) / whole, _ended(row, one) / whole)} "
        f"{duration(one.took_seconds):>7}  {one.account} {one.model} {one.endpoint}: {one.reason}"
        + (f" → {one.decision}" if one.decision else "")
        for one in attempts
    ]


def _began(row: RequestLog, attempt: RequestAttempt) -> float:
    return max(0.0, (attempt.started_at - row.started_at).total_seconds())


def _ended(row: RequestLog, attempt: RequestAttempt) -> float:
    return _began(row, attempt) + attempt.took_seconds


def _bar(begin: float, end: float) -> str:
    first = min(round(begin * BAR_WIDTH), BAR_WIDTH - 1)
    last = max(first + 1, min(round(end * BAR_WIDTH), BAR_WIDTH))
    return "·" * first + "█" * (last - first) + "·" * (BAR_WIDTH - last)
