"""The status of the running server in ten lines, from its own answer and from the database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.command_line import container_engine, manage
from accounts.values.times import in_words, minute, second
from dashboard.account_pools import read_account_pools
from dashboard.overview.status_line import status_of_families
from gateway.ledger.search import Search
from proxy_site.operation.running_server import where_the_log_is

if TYPE_CHECKING:
    from dashboard.overview.status_line import FamilyStatus
    from gateway.models import RequestLog
    from proxy_site.operation.running_server import Answer

ERRORS_SHOWN = 3
ERRORS_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Stored:
    """The facts about a server in its database. `problem` is set when it cannot be read."""

    families: tuple[FamilyStatus, ...] = ()
    errors: tuple[RequestLog, ...] = ()
    """The newest failed requests within ERRORS_WITHIN, newest first."""
    error_count: int = 0
    problem: str = ""


def read_stored() -> Stored:
    try:
        accounts = read_account_pools()
        families = status_of_families(one.status for one in accounts)
        search = Search(errors=True, since=timezone.now() - ERRORS_WITHIN)
        return Stored(tuple(families), tuple(search.rows()[:ERRORS_SHOWN]), search.rows().count())
    except DatabaseError as error:
        return Stored(problem=f"cannot be read: {str(error).strip()}")


def as_row(url: str, process_id: int, answer: Answer, stored: Stored | None) -> dict[str, Any]:
    """Return the status as JSON values. `stored` is None when the server is not that of our DATA_DIR."""
    row = {"url": url, "process_id": process_id or None, "ready": answer.is_ready, **answer.facts}
    if stored is None:
        return row
    return {
        **row,
        "families": [asdict(one) for one in stored.families],
        "errors": [
            {"at": row.started_at, "status": row.status, "type": row.problem, "request_id": row.request_id}
            for row in stored.errors
        ],
        "database": stored.problem or answer.facts.get("database", ""),
        "database_name": database_name(),
        "data_dir": str(settings.DATA_DIR),
        "log": where_the_log_is(process_id, engine=container_engine()),
    }


def as_lines(url: str, process_id: int, answer: Answer, stored: Stored | None) -> list[str]:
    """Return the status as lines; the first one has no name."""
    facts = answer.facts
    lines = {
        "Process": _process(process_id, facts),
        "Ready": _ready(answer),
        "Accounts": facts.get("summary", "unknown"),
        "Requests": _requests(facts),
        **(_stored_lines(process_id, facts, stored) if stored is not None else {}),
    }
    head = " ".join(["Antigravity Claude Proxy", *_version(facts), f"runs at {url}"])
    return [head, *(f"  {name:<11} {value}" for name, value in lines.items())]


def _stored_lines(process_id: int, facts: dict[str, Any], stored: Stored) -> dict[str, str]:
    log = where_the_log_is(process_id, engine=container_engine())
    return {
        "Quotas": "; ".join(map(_family, stored.families)) or "unknown",
        "Last error": _last_error(stored),
        "Database": f"{database_name()}, {stored.problem or facts.get('database', 'unknown')}",
        "Data": str(settings.DATA_DIR),
        "Log": log or "the standard output of the process",
    }


def database_name() -> str:
    """Return the database without host, user and password."""
    name = str(connection.settings_dict["NAME"])
    return f"SQLite {Path(name).name}" if connection.vendor == "sqlite" else f"PostgreSQL {name}"


def _version(facts: dict[str, Any]) -> list[str]:
    """Return the version as text; empty while the server shuts down."""
    if "reason" in facts:
        return []
    running = str(facts.get("version") or "before 0.2")
    restart = f"(this code is {settings.VERSION}: restart it to use that)"
    return [running] if running == settings.VERSION else [running, restart]


def _process(process_id: int, facts: dict[str, Any]) -> str:
    number = str(process_id) if process_id else "unknown"
    if not (text := facts.get("startedAt")):
        return number
    started = datetime.fromisoformat(text)
    return f"{number}, since {minute(started)} ({in_words((timezone.now() - started).total_seconds())})"


def _ready(answer: Answer) -> str:
    if not answer.is_ready:
        return f"no: {answer.facts.get('reason') or 'it does not say why'}"
    degraded = answer.facts.get("degraded") or []
    more = f" And {len(degraded) - 1} more: see /health." if len(degraded) > 1 else ""
    return f"yes, but degraded: {degraded[0]}{more}" if degraded else "yes"


def _family(one: FamilyStatus) -> str:
    back = f", back {minute(one.back_at)}" if one.back_at else ""
    return f"{one.name} with {one.available} of {one.accounts} accounts{back}"


def _requests(facts: dict[str, Any]) -> str:
    requests, ledger = facts.get("requests") or {}, facts.get("ledger") or {}
    return (
        f"{requests.get('inFlight', '?')} in flight, {requests.get('waiting', '?')} waiting for an account, "
        f"{ledger.get('unwritten', '?')} rows of the ledger to be written"
    )


def _last_error(stored: Stored) -> str:
    if not stored.errors:
        return "none within 24 h"
    last = stored.errors[0]
    more = f", {stored.error_count} within 24 h: {manage('logs --errors')}" if stored.error_count > 1 else ""
    return f"{second(last.started_at)} {last.status or '-'} {last.problem} {last.request_id}{more}"
