"""Budgets of accounts: what they have cost today and this month, and which of them are used up.

The ledger is queried every few seconds, since other servers may use the same accounts. So a budget may be
exceeded by the calls within that time. Days and months are those of the server's time zone.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account
from accounts.pool.budget import UsedUp
from gateway.ledger import usage
from gateway.pricing.prices import NANO_DOLLARS, in_dollars

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from accounts.service import AccountsService

CHECK_EVERY_SECONDS = 5.0
PERIODS = ("day", "month")

logger = logging.getLogger(__name__)


class Budgets:
    """Puts accounts whose budget is used up into a cooldown, for as long as the server runs."""

    def __init__(self, accounts: AccountsService) -> None:
        self._accounts = accounts
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping

    async def check(self) -> None:
        """Compare costs with budgets now. Raises Error."""
        used_up = await database_sync_to_async(used_up_budgets)(timezone.now())
        self._accounts.pool.keep_to_budgets(used_up)

    async def _keep(self) -> None:
        while True:
            try:
                await self.check()
            except Error as error:
                logger.debug("The budgets of accounts are not known now: %s", error)
            await asyncio.sleep(CHECK_EVERY_SECONDS)


def used_up_budgets(now: datetime) -> Mapping[int, UsedUp]:
    """Return the accounts whose budget is used up, by id. Makes one query when no account has a budget."""
    has_budget = Q(budget_day__isnull=False) | Q(budget_month__isnull=False)
    accounts = list(Account.objects.filter(has_budget))
    if not accounts:
        return {}
    day, month = beginnings(now)
    periods = {"day": (day, _next_day(day)), "month": (month, _next_month(month))}
    found: dict[int, UsedUp] = {}
    for period, (since, until) in periods.items():  # the month, which lasts longer, comes last
        totals = usage.totals_by("account", since)
        for account in accounts:
            spent = _cost_of(account, period, totals.get(account.name, usage.Totals()))
            if spent.budget is not None and spent.cost >= spent.budget:
                reason = f"budget of {in_dollars(spent.budget)} a {period} used up"
                found[account.pk] = UsedUp(until.timestamp(), reason)
    return found


class PeriodCost(NamedTuple):
    """An account's cost in the present day or month, and its budget, both in billionths of a dollar."""

    period: str
    cost: int
    unpriced: int
    budget: int | None


def costs_of(account: Account, now: datetime) -> list[PeriodCost]:
    """Return the account's costs of the day and the month."""
    return [
        _cost_of(account, period, usage.totals_by("account", since).get(account.name, usage.Totals()))
        for period, since in zip(PERIODS, beginnings(now), strict=True)
    ]


def _cost_of(account: Account, period: str, total: usage.Totals) -> PeriodCost:
    budget: Decimal | None = getattr(account, f"budget_{period}")
    return PeriodCost(
        period, total.cost, total.unpriced, None if budget is None else int(budget * NANO_DOLLARS)
    )


def beginnings(now: datetime) -> tuple[datetime, datetime]:
    """Return when the present day and month began, in the server's time zone."""
    local = now.astimezone(settings.LOCAL_TIME_ZONE)
    day = _midnight(local)
    return day, _midnight(local.replace(day=1))


def _midnight(local: datetime) -> datetime:
    return datetime(local.year, local.month, local.day, tzinfo=settings.LOCAL_TIME_ZONE)


def _next_day(day: datetime) -> datetime:
    return _midnight(day + timedelta(days=1))


def _next_month(month: datetime) -> datetime:
    return _midnight((month + timedelta(days=31)).replace(day=1))
