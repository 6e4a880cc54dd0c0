"""`/`: the gateway's state, what needs the operator, the volume of requests, remaining quotas, and the newest
requests."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from accounts.kinds.families import OTHERS
from accounts.models import ClientProblem
from accounts.status.required_action import required_action
from dashboard.account_pools import ShownQuota, outlooks_now, read_account_pools
from dashboard.addresses import address
from dashboard.answering import answered_now
from dashboard.charts.figures import percentiles
from dashboard.charts.volume import STACKS, volume_chart
from dashboard.overview import attention
from dashboard.overview.first_steps import Step, first_steps
from dashboard.overview.status_line import FamilyStatus, out_of_quota, status_of_families
from dashboard.overview.tonight import end_of_tonight, is_midnight, tonight_of
from dashboard.pages import operator_page, render_page
from dashboard.requests.explanation import explain
from dashboard.requests.outcomes import LATE_AFTER, LONG_SECONDS
from dashboard.spans import DEFAULT_SPAN, SPANS, span_of
from dashboard.views.accounts.states import solving_actions, why_unused
from dashboard.views.connect import OPERATOR
from gateway.ledger import search, usage
from gateway.ledger.record import HUNG_UP, TOKEN_COLUMNS
from gateway.ledger.writer import LARGEST_BATCH
from gateway.models import RequestAttempt, RequestLog
from gateway.service import running_gateway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from dashboard.account_pools import AccountPools
    from dashboard.overview.attention import Notice
    from dashboard.requests.explanation import Explanation

NEWEST = 8
MOST_QUOTAS = 8
MOST_DRY = 3
ASKED = "opus"
"""The name that Claude Code asks for, of which the page says what answers it."""
SHOWN = ("requests", "failed", "interrupted", *TOKEN_COLUMNS)
"""The columns of usage.Totals that the tiles show."""
RECENT = timedelta(minutes=5)


class Explained(NamedTuple):
    """A request, and why it took so long or failed."""

    row: RequestLog
    explanation: Explanation


class Shown(NamedTuple):
    """The requests of the page: the newest ones; the one whose client waited longest for the first event, if
    that was long; and the newest that failed in the span."""

    newest: list[RequestLog]
    slowest: Explained | None
    last_failed: Explained | None


@operator_page
def overview(request: HttpRequest) -> HttpResponse:
    span = span_of(request, DEFAULT_SPAN)
    stack = "model" if request.GET.get("stack") == "model" else "family"
    now = timezone.now()
    accounts = read_account_pools()
    families = status_of_families(one.status for one in accounts)
    dry = out_of_quota((one.account, one.pools) for one in accounts)
    outlooks = outlooks_now(accounts)
    night_ends_at = end_of_tonight(timezone.localtime(now))
    volume, times = _volume(SPANS[span]), usage.over(SPANS[span], "times", usage.newest_times)
    shown = _read_requests(times, now - SPANS[span] if volume["failed"] else None)
    tonight = tonight_of(
        {family: found.outlook for family, found in outlooks.items()},
        timezone.localtime(now),
        [family for family, found in outlooks.items() if found.keys],
    )
    context = {
        "span": span,
        "spans": list(SPANS),
        "families": families,
        "other_models": _other_models(accounts),
        "dry": dry[:MOST_DRY],
        "more_dry": max(0, len(dry) - MOST_DRY),
        "tonight": [(one, outlooks[one.family]) for one in tonight],
        "all_last": all(one.lasts for one in tonight),
        "weeks": [
            (one.family, found, week)
            for one in tonight
            if (week := (found := outlooks[one.family]).week_runs_out) is not None
        ],
        "night_ends_at": None if is_midnight(night_ends_at) else night_ends_at,
        "asked": answered_now(ASKED, accounts),
        "notices": attention.in_order(_notices(accounts, families, now)),
        **volume,
        **_first_events(times),
        "slowest": shown.slowest,
        "last_failed": shown.last_failed,
        "stacks": list(STACKS),
        "stack": stack,
        "chart": volume_chart(span, stack, now),
        "quotas": _least_first(accounts)[:MOST_QUOTAS],
        "without_quota": sum(one.account.is_usable and not one.pools for one in accounts),
        "rows": shown.newest,
        "steps": _steps(accounts, shown.newest),
        "live_max": NEWEST,
        **_in_flight(now),
    }
    return render_page(request, "overview.html", context)


def _other_models(accounts: list[AccountPools]) -> list[str]:
    """Return the models of the accounts that offer neither Claude nor Gemini, as far as they are known."""
    return sorted({model for one in accounts if OTHERS in one.families for model in one.models or ()})


def _steps(accounts: list[AccountPools], newest: list[RequestLog]) -> list[Step]:
    is_test = [row.client == OPERATOR.name for row in newest]
    return first_steps(
        has_account=bool(accounts), has_request=not all(is_test), has_test_message=any(is_test)
    )


def _notices(accounts: list[AccountPools], families: list[FamilyStatus], now: datetime) -> list[Notice]:
    accounts_page = reverse("dashboard:accounts")
    problem = ClientProblem.objects.first()
    notices = [attention.of_client(problem.reason, accounts_page)] if problem else []
    notices += [
        attention.of_account(
            str(one.account), address("account", one.account.pk), action, solving_actions(one.account)
        )
        for one in accounts
        if one.account.enabled and (action := required_action(one.account)) is not None
    ]
    notices += attention.of_families(families, accounts_page)
    recent = RequestLog.objects.filter(started_at__gte=now - RECENT).aggregate(
        requests=Count("pk"), failed=Count("pk", filter=Q(problem__isnull=False) & ~Q(problem=HUNG_UP))
    )
    failed_page = f"{reverse('dashboard:requests')}?errors=1"
    notices += attention.of_failures(recent["failed"], recent["requests"], failed_page)
    gateway = running_gateway()
    waiting = gateway.ledger.waiting if gateway is not None else 0
    notices += attention.of_ledger(waiting if waiting > LARGEST_BATCH else 0, reverse("dashboard:logs"))
    return notices + attention.of_quota(_age_of_quotas(accounts, now), accounts_page)


def _age_of_quotas(accounts: list[AccountPools], now: datetime) -> timedelta | None:
    seen = [
        pool.newest.seen_at
        for one in accounts
        if one.account.is_usable
        for pool in one.pools
        if pool.newest is not None
    ]
    return now - max(seen) if seen else None


def _least_first(accounts: list[AccountPools]) -> list[ShownQuota]:
    """Return each pool of the enabled accounts, the emptiest first and unknown ones last, and after them
    those of accounts that cannot be used, with the reason."""
    quotas = [
        ShownQuota(one.account, pool, "" if one.account.is_usable else why_unused(one.account))
        for one in accounts
        if one.account.enabled
        for pool in one.pools
    ]
    return sorted(
        quotas,
        key=lambda one: (
            bool(one.why_unused),
            one.pool.remaining_fraction is None,
            one.pool.remaining_fraction,
            str(one.account),
        ),
    )


def _volume(span: timedelta) -> Mapping[str, Any]:
    clients = usage.over(span, "clients-of-overview", partial(usage.totals_by, "client", columns=SHOWN))
    total = usage.sum_of(clients.values())
    all_input = total.tokens.all_input
    failed = total.failed + total.interrupted
    return {
        "total": total,
        "failed": failed,
        "failed_share": failed / total.requests if total.requests else None,
        "largest": _largest(clients, total),
        "cached_share": total.cache_read_tokens / all_input if all_input else None,
    }


def _largest(clients: Mapping[str, usage.Totals], total: usage.Totals) -> tuple[str, float] | None:
    """Return the client with the most tokens, and its share of all; None without tokens."""
    if not total.all_tokens:
        return None
    name, most = max(clients.items(), key=lambda item: item[1].all_tokens)
    return name, most.all_tokens / total.all_tokens


def _first_events(times: usage.Times) -> Mapping[str, Any]:
    return {"first": percentiles(times.first_event_seconds), "first_is_complete": times.is_complete}


def _read_requests(times: usage.Times, failed_since: datetime | None) -> Shown:
    """Return the requests that the page shows. `failed_since` is None when nothing has failed. Makes two
    queries at most."""
    slowest = times.slowest if max(times.first_event_seconds, default=0.0) >= LONG_SECONDS else None
    found = {row.pk: row for row in shown_rows(slowest, failed_since)}
    rows = sorted(found.values(), key=lambda row: (row.started_at, row.pk), reverse=True)
    last_failed = next(
        (row for row in rows if failed_since is not None and _has_failed(row, failed_since)), None
    )
    slow = None if slowest is None else found.get(slowest)
    attempts = search.attempts_of_all(row for row in (slow, last_failed) if row is not None)
    return Shown(rows[:NEWEST], _explained(slow, attempts), _explained(last_failed, attempts))


def shown_rows(slowest: int | None, failed_since: datetime | None) -> QuerySet[RequestLog]:
    """Return the newest requests, the one with this key and the newest that failed since then, in any order
    and some of them twice. It is a union, since PostgreSQL reads the whole table for a condition that joins
    two subqueries by "or"."""
    newest = _with_keys(search.Search().rows()[:NEWEST])
    others = []
    if slowest is not None:
        others.append(RequestLog.objects.filter(pk=slowest).order_by())
    if failed_since is not None:
        others.append(_with_keys(search.Search(errors=True, since=failed_since).rows()[:1]))
    return newest.union(*others, all=True)


def _with_keys(rows: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
    """Return the rows of a slice as a part of a union, where SQLite allows no slice."""
    return RequestLog.objects.filter(pk__in=rows.values("pk")).order_by()


def _has_failed(row: RequestLog, since: datetime) -> bool:
    return row.started_at >= since and row.problem not in {None, HUNG_UP}


def _explained(row: RequestLog | None, attempts: Mapping[int, Sequence[RequestAttempt]]) -> Explained | None:
    return None if row is None else Explained(row, explain(row, attempts[row.pk], 0.0))


def _in_flight(now: datetime) -> Mapping[str, Any]:
    """Return the numbers of running and waiting requests, and of those that hang: without an event for over
    LATE_AFTER. Running ones are those in this process's memory and those of other servers on this database;
    waiting ones are those of this process."""
    gateway = running_gateway()
    if gateway is None:
        return {"in_flight": None, "waiting": None, "hanging": None}
    still_open = search.open_rows().aggregate(
        of_others=Count("pk", filter=~Q(instance_id=gateway.ledger.instance_id)),
        hanging=Count("pk", filter=Q(first_event_seconds=None, started_at__lt=now - LATE_AFTER)),
    )
    running = len(gateway.recorder.in_flight) + still_open["of_others"]
    return {
        "in_flight": running,
        "waiting": gateway.accounts.pool.waiting,
        "hanging": still_open["hanging"] if running else None,
    }
