"""Quotas and cooldowns of each account by model, read from the database. Google is not asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from accounts.failures import LIMITS, FailureKind
from accounts.live_settings import live
from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.outlook import outlooks_of
from accounts.quota.pools import (
    QuotaPool,
    empty_quotas,
    mode_in_use,
    outlook_sentences,
    pools_of,
)
from accounts.quota.snapshots import QuotaForecast, quota_forecasts
from accounts.status.required_action import RequiredAction, required_action
from accounts.values.times import clock, minute, second
from gateway.models import ModelRoute
from gateway.routing.upstream_model import CLOUD_CODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accounts.quota.outlook import Outlook


@dataclass(slots=True)
class AccountLimits:
    """An account's quotas and cooldowns by model, for the header mode that requests use now."""

    account: Account
    action: RequiredAction | None
    quotas: dict[str, QuotaForecast] = field(default_factory=dict)
    limits: dict[str, Cooldown] = field(default_factory=dict)
    pools: list[QuotaPool] = field(default_factory=list)

    @property
    def empty_quotas(self) -> str:
        """A sentence about empty quotas; "" when no quota is empty or the account is not usable."""
        return "" if self.action is not None else empty_quotas(self.pools)

    @property
    def status(self) -> str:
        """The account's status: "ok", "rate-limited", or why the account cannot be used."""
        if self.action is not None:
            return self.account.state if self.account.state != Account.State.OK else "disabled"
        return "rate-limited" if self.limits else "ok"


def read_limits() -> list[AccountLimits]:
    found = {
        account.pk: AccountLimits(account, required_action(account)) for account in Account.objects.all()
    }
    for quota in quota_forecasts():
        if quota.account_id in found and quota.header_mode == mode_in_use(quota.model_id):
            found[quota.account_id].quotas[quota.model_id] = quota
    for cooldown in Cooldown.lasting().filter(kind__in=[kind.name for kind in LIMITS]):
        one = found[cooldown.account_id]
        model_id, _, mode = cooldown.model_key.rpartition(":")
        if cooldown.model_key == ALL_MODELS:
            one.limits[ALL_MODELS] = cooldown
        elif one.account.kind != CLOUD_CODE or mode == mode_in_use(model_id):
            one.limits[model_id] = cooldown
    for account_id, pools in pools_of([one.account for one in found.values()]).items():
        found[account_id].pools = [pool for pool in pools if pool.is_in_use]
    return list(found.values())


def models_of(limits: Sequence[AccountLimits]) -> list[str]:
    named = {model_id for one in limits for model_id in (*one.quotas, *one.limits)}
    return sorted(named - {ALL_MODELS})


# JSON, in the shape that scripts for other tools of this kind read


def as_json(limits: Sequence[AccountLimits]) -> dict[str, Any]:
    models = models_of(limits)
    return {
        "timestamp": timezone.now(),
        "totalAccounts": len(limits),
        "models": models,
        "modelConfig": {
            route.client_name: {
                "mapping": route.upstream_model or None,
                "fallback": route.fallback or None,
                "hidden": route.hidden,
                "pinned": route.pinned,
            }
            for route in ModelRoute.objects.all()
        },
        "globalQuotaThreshold": live("GLOBAL_QUOTA_THRESHOLD"),
        "outlook": {family: _outlook_as_json(one) for family, one in _outlooks(limits).items()},
        "accounts": [_account_as_json(one, models) for one in limits],
    }


def _outlooks(limits: Sequence[AccountLimits]) -> dict[str, Outlook]:
    usable = [one.pools for one in limits if one.action is None]
    return outlooks_of(usable, timezone.now().timestamp())


def _outlook_as_json(one: Outlook) -> dict[str, Any]:
    """Return how long the usable accounts last together. The fields are named as in Outlook."""
    return {"fate": one.fate.value, "at": one.moment, "backAt": one.back_moment, "unknown": one.unknown}


def _account_as_json(one: AccountLimits, models: Sequence[str]) -> dict[str, Any]:
    account, action = one.account, one.action
    return {
        "email": account.name,
        "source": "oauth" if account.kind == CLOUD_CODE else "manual",
        "status": one.status,
        "error": f"{action.problem}. {action.what_to_do}" if action else None,
        "enabled": account.enabled,
        "projectId": account.project_id or None,
        "isInvalid": account.state == Account.State.INVALID,
        "invalidReason": account.state_reason or None,
        "verifyUrl": account.state_link or None,
        "lastUsed": account.last_used_at,
        "subscription": {"tier": account.tier, "projectId": account.project_id or None},
        "quotaThreshold": account.quota_threshold,
        "modelQuotaThresholds": account.model_quota_thresholds,
        "modelRateLimits": {
            model_id: {"isRateLimited": True, "reason": cooldown.reason, "resetTime": cooldown.until}
            for model_id, cooldown in one.limits.items()
        },
        "empty": one.empty_quotas or None,
        "pools": [pool.as_json() for pool in one.pools],
        "limits": {model_id: _quota_as_json(one.quotas.get(model_id)) for model_id in models},
    }


def _quota_as_json(quota: QuotaForecast | None) -> dict[str, Any] | None:
    """Return a quota as JSON; None for a model without a snapshot. `remainingFraction` is None when Google
    reports none."""
    if quota is None:
        return None
    fraction = quota.remaining_fraction
    return {
        "remaining": "N/A" if fraction is None else f"{fraction:.0%}",
        "remainingFraction": fraction,
        "resetTime": quota.reset_at,
        "forecast": quota.sentence or None,
    }


# Text


COLUMNS = ("ACCOUNT", "QUOTA", "LEFT", "FORECAST")


def rows(limits: Sequence[AccountLimits]) -> list[tuple[str, str, str, str]]:
    """Return the rows under COLUMNS: one for each pool of a usable account, and one for any other account."""
    found = []
    for one in limits:
        if one.action is not None:
            found.append((one.account.name, "-", "-", one.action.problem))
        else:
            found += [
                (one.account.name, pool.name, pool.left, _quota_forecast(one, pool)) for pool in one.pools
            ]
    return found


def _quota_forecast(one: AccountLimits, pool: QuotaPool) -> str:
    """Return the forecast, followed by the cooldowns that have other reasons than the quota."""
    now, zone = timezone.now().timestamp(), timezone.get_current_timezone()
    cooldowns = [
        f"{cooldown.reason} for {model_id} until {clock(cooldown.until.timestamp(), now, zone)}"
        for model_id, cooldown in one.limits.items()
        if cooldown.kind != FailureKind.QUOTA.name and model_id in pool.models
    ]
    return "; ".join(filter(None, [pool.sentence, *cooldowns]))


def as_text(limits: Sequence[AccountLimits]) -> str:
    """Return the limits as text: a table of accounts, and a table of their quotas."""
    limited = sum(one.status == "rate-limited" for one in limits)
    unusable = sum(one.action is not None for one in limits)
    found = rows(limits)
    widths = [max(len(row[column]) for row in (COLUMNS, *found)) for column in range(3)]
    return "\n".join(
        [
            f"Account limits, {second(timezone.now())}",
            f"{len(limits)} accounts: {len(limits) - limited - unusable} available, {limited} rate-limited, "
            f"{unusable} unusable",
            *outlook_sentences((one.action is None, one.pools) for one in limits),
            "",
            f"{'Account':<25} {'Status':<22} Last used",
            *(line for one in limits for line in _who(one)),
            "",
            *(
                f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
                for row in (COLUMNS, *found)
            ),
            "",
        ]
    )


def _who(one: AccountLimits) -> Iterator[str]:
    used = one.account.last_used_at
    yield f"{one.account.name:<25} {one.empty_quotas or one.status:<22} {minute(used) if used else 'never'}"
    if one.action is not None:
        yield f"    {one.action.problem}: {one.action.what_to_do}"
