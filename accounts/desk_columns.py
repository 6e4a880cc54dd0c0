"""What the desk shows of an account, as small pieces of HTML. All text from outside is escaped."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from accounts.advice import advice_for
from accounts.service import running_service
from accounts.times import minute

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from accounts.models import Account
    from accounts.quota import QuotaOutlook

LOW = 0.2


def state_badge(account: Account) -> str:
    advice = advice_for(account)
    if advice is None:
        return badge("OK", "good")
    bad = account.state != account.State.OK
    title = advice.reason or advice.what_to_do
    return badge(advice.problem, "bad" if bad else "warn", title)


def badge(text: str, kind: str, title: str = "") -> str:
    return format_html('<span class="desk-badge {}" title="{}">{}</span>', kind, title, text)


def tier_badge(tier: str) -> str:
    return badge(tier, {"ultra": "ultra", "pro": "pro", "free": "free"}.get(tier, "quiet"))


def quota_bars(outlooks: Iterable[QuotaOutlook]) -> str:
    """One bar for each pool: models that share their numbers are one pool."""
    bars = [_bar(name, list(models)) for name, models in groupby(outlooks, key=pool_name)]
    return render_to_string("accounts/quota_bars.html", {"bars": bars})


def pool_name(outlook: QuotaOutlook) -> str:
    """Claude and GPT models share a pool; Gemini has one in each header mode."""
    if not outlook.model_id.startswith("gemini"):
        return "Claude, GPT"
    return f"Gemini ({outlook.header_mode})"


def by_pool(outlooks: Iterable[QuotaOutlook]) -> list[QuotaOutlook]:
    return sorted(outlooks, key=lambda one: (pool_name(one), one.model_id))


def _bar(name: str, models: list[QuotaOutlook]) -> dict[str, object]:
    """Of the model that has least: what is left of the others cannot make up for it."""
    known = [one for one in models if one.remaining_fraction is not None]
    if not known:
        return {"name": name, "percent": None, "sentence": "Google does not say"}
    lowest = min(known, key=lambda one: one.remaining_fraction or 0.0)
    return bar_of(name, lowest)


def bar_of(name: str, outlook: QuotaOutlook) -> dict[str, object]:
    fraction = outlook.remaining_fraction
    if fraction is None:
        return {"name": name, "percent": None, "sentence": "Google does not say"}
    kind = "empty" if fraction <= 0 else "low" if fraction <= LOW else "fine"
    return {"name": name, "percent": round(fraction * 100), "kind": kind, "sentence": outlook.sentence}


def cooldowns(account: Account) -> str:
    """Known to the process that serves; other processes do not ask it."""
    service = running_service()
    resting = service.pool.rests.of_account(account.pk) if service else {}
    if not resting:
        return "-"
    rows = [
        {"model": model_key, "reason": rest.reason, "seconds": round(rest.until - timezone.now().timestamp())}
        for model_key, rest in sorted(resting.items(), key=lambda item: item[1].until)
    ]
    return render_to_string("accounts/cooldowns.html", {"rows": rows})


def ago(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    if (timezone.now() - moment).total_seconds() < 60:
        return "just now"
    at, how_long = minute(moment), timesince(moment, depth=1)
    return format_html('<span title="{}">{} ago</span>', at, how_long)
