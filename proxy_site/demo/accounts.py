"""The demo's accounts, as in a gateway that has used them for some days."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from accounts.failures import FailureKind
from accounts.google.code_assist import tier_of
from accounts.models import Account, Cooldown, QuotaSnapshot
from accounts.transfer.importing import store
from accounts.transfer.rows import ImportedRow
from gateway.routing.upstream_model import upstream_model
from proxy_site.demo.quotas import (
    ADA,
    ADA_WITHOUT_GEMINI_SECONDS,
    GRACE,
    GRACE_UNVERIFIED_SECONDS,
    MINUTE,
    USES,
    Use,
    requests_used,
)
from proxy_site.demo.turns import GEMINI_PRO
from proxy_site.emulator.accounts import WINDOW_SECONDS, Quota
from proxy_site.emulator.google_errors import verification_required
from proxy_site.emulator.models import GEMINI_CLI_POOL, MODELS, POOLS, HeaderMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.accounts import Account as GoogleAccount
    from proxy_site.emulator.state import EmulatorState

ADDED_BEFORE = timedelta(days=12)
MEASURED_MINUTES_AGO = (*range(720, 180, -60), *range(180, -1, -20))
"""When quotas were measured, in minutes ago. A gateway measures more often, but a forecast needs no more, and
each measurement takes a row for each model."""
UNUSED = Use(1.0, 1.0, resets_in=WINDOW_SECONDS)


def store_accounts(google: EmulatorState) -> None:
    """Store the emulator's accounts, with the measurements of their quotas until now."""
    people = {one.email: one for one in google.accounts}
    store([ImportedRow(one.email, one.refresh_token) for one in people.values()], terms_accepted=True)
    accounts = list(Account.objects.filter(email__in=people))
    for account in accounts:
        _describe(account, people[account.email])
    fields = ["tier", "project_id", "added_at", "terms_accepted_at", *Account.STATE_FIELDS]
    Account.objects.bulk_update(accounts, fields)
    QuotaSnapshot.objects.bulk_create(
        row for account in accounts for row in _snapshots(account, people[account.email])
    )
    _cool_down(next(account for account in accounts if account.email == ADA), people[ADA])


def _describe(account: Account, person: GoogleAccount) -> None:
    account.tier = tier_of({"paidTier": {"id": person.tier}})
    account.project_id = person.project or ""
    account.added_at = account.terms_accepted_at = account.state_since = timezone.now() - ADDED_BEFORE
    if person.verification_url is not None:
        # The reason is the emulator's own, so that another check changes nothing.
        reason = verification_required(person.verification_url).message
        account.enter_state(Account.State.NEEDS_VERIFICATION, reason, person.verification_url)
        account.state_since = timezone.now() - timedelta(seconds=GRACE_UNVERIFIED_SECONDS)


def _cool_down(account: Account, person: GoogleAccount) -> None:
    """Store the account's cooldown since the request that was refused."""
    Cooldown.objects.create(
        account=account,
        model_key=upstream_model(GEMINI_PRO.answers, header_mode="cli").quota_key,
        since=timezone.now() - timedelta(seconds=ADA_WITHOUT_GEMINI_SECONDS),
        until=_moment(person.quotas[GEMINI_CLI_POOL].reset_at or 0.0),
        kind=FailureKind.QUOTA.name,
        reason=FailureKind.QUOTA.value,
    )


# Quota snapshots


@dataclass(slots=True)
class Measured:
    """What was left of a pool, for the time in which it did not change. Times are seconds since the epoch."""

    left: float
    reset_at: float
    taken_at: float
    seen_at: float


def _snapshots(account: Account, person: GoogleAccount) -> Iterator[QuotaSnapshot]:
    for pool in POOLS:
        mode: HeaderMode = "cli" if pool == GEMINI_CLI_POOL else "antigravity"
        models = [model.id for model in MODELS.values() if model.is_listed_in(mode)]
        measured = _measured(person, pool)
        for model_id in models:
            if MODELS[model_id].pool(mode) == pool:
                yield from (_snapshot(account, model_id, mode, one) for one in measured)


def _snapshot(account: Account, model_id: str, mode: str, measured: Measured) -> QuotaSnapshot:
    return QuotaSnapshot(
        account=account,
        model_id=model_id,
        header_mode=mode,
        remaining_fraction=measured.left,
        reset_at=_moment(measured.reset_at),
        taken_at=_moment(measured.taken_at),
        seen_at=_moment(measured.seen_at),
    )


def _measured(person: GoogleAccount, pool: str) -> list[Measured]:
    """Return the measurements, oldest first, until now or until the account could no longer be asked."""
    last = GRACE_UNVERIFIED_SECONDS if person.email == GRACE else 0.0
    now, use, quota = time.time(), USES.get((person.email, pool), UNUSED), person.quotas[pool]
    measured: list[Measured] = []
    for minutes_ago in MEASURED_MINUTES_AGO:
        ago = max(last, minutes_ago * MINUTE)
        left = Quota(quota.limit, used=requests_used(quota, use.fraction(ago))).remaining_fraction(now)
        if measured and measured[-1].left == left:
            measured[-1].seen_at = now - ago
        else:
            measured.append(Measured(left, now + use.window_end(ago), now - ago, now - ago))
    return measured


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
