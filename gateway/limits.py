"""What each account has left of each model, and what it rests for: from the database, so that commands and
every server say the same. Nobody asks Google because somebody looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from accounts.advice import advice_for
from accounts.live_settings import live
from accounts.models import Account, Cooldown
from accounts.quota import outlooks
from accounts.rest import LIMIT_REASONS
from accounts.times import in_words, minute, second
from gateway.models import ModelRoute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from accounts.advice import Advice
    from accounts.quota import QuotaOutlook


@dataclass(slots=True)
class AccountLimits:
    """Quotas and rests by model, for the header mode that requests use now."""

    account: Account
    advice: Advice | None
    quotas: dict[str, QuotaOutlook] = field(default_factory=dict)
    limits: dict[str, Cooldown] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ok, rate-limited, or why the account cannot be used."""
        if self.advice is not None:
            return self.account.state if self.account.state != Account.State.OK else "disabled"
        return "rate-limited" if self.limits else "ok"


def read_limits() -> list[AccountLimits]:
    found = {account.pk: AccountLimits(account, advice_for(account)) for account in Account.objects.all()}
    for quota in outlooks():
        if quota.account_id in found and quota.header_mode == mode_of(quota.model_id):
            found[quota.account_id].quotas[quota.model_id] = quota
    for rest in Cooldown.lasting().filter(reason__in=LIMIT_REASONS):
        model_id, _, mode = rest.model_key.partition(":")
        if mode == mode_of(model_id):
            found[rest.account_id].limits[model_id] = rest
    return list(found.values())


def mode_of(model_id: str) -> str:
    """Gemini models have a quota in each header mode; the operator chooses which is used."""
    return str(live("GEMINI_HEADER_MODE")) if model_id.startswith("gemini") else "antigravity"


def models_of(limits: Sequence[AccountLimits]) -> list[str]:
    return sorted({model_id for one in limits for model_id in (*one.quotas, *one.limits)})


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
        "accounts": [_account_as_json(one, models) for one in limits],
    }


def _account_as_json(one: AccountLimits, models: Sequence[str]) -> dict[str, Any]:
    account, advice = one.account, one.advice
    return {
        "email": account.email,
        "source": "oauth",
        "status": one.status,
        "error": f"{advice.problem}. {advice.what_to_do}" if advice else None,
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
            model_id: {"isRateLimited": True, "reason": rest.reason, "resetTime": rest.until}
            for model_id, rest in one.limits.items()
        },
        "limits": {model_id: _quota_as_json(one.quotas.get(model_id)) for model_id in models},
    }


def _quota_as_json(quota: QuotaOutlook | None) -> dict[str, Any] | None:
    """None: nothing is known of this model. A fraction of None: Google does not say what is left."""
    if quota is None:
        return None
    fraction = quota.remaining_fraction
    return {
        "remaining": "N/A" if fraction is None else f"{fraction:.0%}",
        "remainingFraction": fraction,
        "resetTime": quota.reset_at,
        "outlook": quota.sentence or None,
    }


# Text


def cell(one: AccountLimits, model_id: str, now: datetime) -> str:
    """For a table: 82%, 0% (wait 2 h 3 min), 64% (resting 28 s), ?, - or [disabled]."""
    if one.advice is not None:
        return f"[{one.status}]"
    quota, rest = one.quotas.get(model_id), one.limits.get(model_id)
    if quota is None and rest is None:
        return "-"
    fraction = quota.remaining_fraction if quota else None
    text = "?" if fraction is None else f"{fraction:.0%}"
    if rest is not None:
        return f"{text} (resting {in_words((rest.until - now).total_seconds())})"
    if fraction is not None and fraction <= 0 and quota is not None:
        until = quota.reset_at
        if until is None:
            return f"{text} (exhausted)"
        return (
            f"{text} (wait {in_words((until - now).total_seconds())})"
            if until > now
            else f"{text} (resetting)"
        )
    return text


def as_text(limits: Sequence[AccountLimits]) -> str:
    """Two tables for a terminal of any width: who, then what is left of each model."""
    now = timezone.now()
    usable = sum(one.advice is None for one in limits)
    lines = [
        f"Account limits, {second(now)}",
        f"{len(limits)} accounts: {usable} usable, {sum(one.status == 'rate-limited' for one in limits)} "
        f"rate-limited, {len(limits) - usable} unusable",
        "",
        f"{'Account':<25} {'Status':<22} {'Last used':<22} Quota full again",
    ]
    for one in limits:
        resets = [quota.reset_at for quota in one.quotas.values() if quota.reset_at and quota.reset_at > now]
        status = (
            f"({len(one.limits)}/{len(one.quotas)}) limited" if one.status == "rate-limited" else one.status
        )
        used = one.account.last_used_at
        lines.append(
            f"{_short(one):<25} {status:<22} {minute(used) if used else 'never':<22} "
            f"{minute(min(resets)) if resets else '-'}"
        )
        if one.advice is not None:
            lines.append(f"    {one.advice.problem}: {one.advice.what_to_do}")
    models = models_of(limits)
    width = max([28, *map(len, models)])
    lines += ["", f"{'Model':<{width}} {' '.join(f'{_short(one):<30}' for one in limits)}".rstrip()]
    for model_id in models:
        cells = " ".join(f"{cell(one, model_id, now):<30}" for one in limits)
        lines.append(f"{model_id:<{width}} {cells}".rstrip())
    return "\n".join(lines) + "\n"


def _short(one: AccountLimits) -> str:
    """As long as the column; what comes after the @ may be what tells two accounts apart."""
    return one.account.email[:24]
