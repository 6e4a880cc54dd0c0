"""`/accounts` and `/accounts/N`: all accounts as cards or as a table, and one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.models import Account, ClientProblem
from accounts.quota.snapshots import history_lines
from dashboard.pages import operator_page, render_page
from dashboard.templatetags.account_parts import not_in_use
from dashboard.views.accounts import sparkline
from dashboard.views.accounts.cards import card_of, cards_of
from dashboard.views.accounts.forms import FORMS
from gateway.ledger import budgets, search
from gateway.routing.upstream_model import CLOUD_CODE
from gateway.service import running_gateway

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.quota.pools import QuotaPool
    from dashboard.views.accounts.cards import Card, Said
    from dashboard.views.accounts.forms import AccountForm

NEWEST = 10
FAILURES = 5
MOST_CARDS = 12
"""The most accounts shown as cards. With more, the page shows a table, unless cards are asked for."""


@operator_page
def accounts(request: HttpRequest) -> HttpResponse:
    cards = cards_of(list(Account.objects.all()))
    shown_as = request.GET.get("as")
    context = {
        "cards": cards,
        "as_table": shown_as == "table" or (shown_as != "cards" and len(cards) > MOST_CARDS),
        "client_problem": ClientProblem.objects.first(),
    }
    return render_page(request, "accounts/accounts.html", context)


@operator_page
def account(request: HttpRequest, number: int) -> HttpResponse:
    one = get_object_or_404(Account, pk=number)
    context = {
        **facts_of(one),
        "here": "accounts",
        "rows": search.page(search.Search(account=one.name), limit=NEWEST),
        "live_max": NEWEST,
        "live_filter": json.dumps({"account": one.name}),
        "failures": search.page(search.Search(account=one.name, errors=True), limit=FAILURES),
    }
    return render_page(request, "accounts/account.html", context)


def facts_of(account: Account, said: Said | None = None, form: AccountForm | None = None) -> dict[str, Any]:
    """Return the context of `accounts/_facts.html`, the part of the account's page that an action changes.
    `form` is one that was filled in wrongly."""
    card = card_of(account, said)
    return {
        "card": card,
        "pools": _with_lines(card),
        "costs": [] if account.kind == CLOUD_CODE else budgets.costs_of(account, timezone.now()),
        "learned_limits": _learned_limits(account),
        "switches": account.switches.told(),
        **{name: one.of(account) for name, one in FORMS.items()},
        **({form.action: form} if form is not None else {}),
    }


def _learned_limits(account: Account) -> list[tuple[str, dict[str, int]]]:
    """Return the limits learned from answers, by the model's id, from the memory of this process."""
    gateway = running_gateway()
    learned = {} if gateway is None else gateway.accounts.pool.learned_limits(account.pk)
    return [(key.rpartition(":")[0], limits) for key, limits in sorted(learned.items())]


def _with_lines(card: Card) -> list[dict[str, Any]]:
    """Return each pool with the history of its first model (all its models have equal numbers) and the line
    of its forecast."""
    lines = history_lines(card.account.pk, [pool.models[0] for pool in card.pools if pool.models])
    return [
        {
            "pool": pool,
            "why_unused": card.why_unused or ("" if pool.is_in_use else not_in_use()),
            "line": lines.get((pool.models[0], pool.header_mode), "") if pool.models else "",
            "to_come": "" if card.why_unused else _to_come(pool),
        }
        for pool in card.pools
    ]


def _to_come(pool: QuotaPool) -> str:
    forecast = pool.newest.forecast if pool.newest else None
    if forecast is None or pool.is_empty:
        return ""
    back_at = pool.back_at
    hours = (back_at - timezone.now()).total_seconds() / 3600 if back_at else None
    return sparkline.to_come(forecast.remaining, forecast.burned_per_hour, hours)
