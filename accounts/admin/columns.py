"""Columns of the account list as HTML. Text from outside is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from accounts.quota.pools import QuotaPool, empty_quotas
from accounts.service import running_service
from accounts.status.required_action import required_action
from accounts.values.times import minute

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from accounts.models import Account

LOW = 0.2


def state_badge(account: Account, pools: Iterable[QuotaPool]) -> str:
    action = required_action(account)
    if action is None:
        empty = empty_quotas(pools)
        return badge(f"{empty[0].upper()}{empty[1:]}", "warn") if empty else badge("OK", "good")
    bad = account.state != account.State.OK
    title = action.reason or action.what_to_do
    return badge(action.problem, "bad" if bad else "warn", title)


def badge(text: str, kind: str, title: str = "") -> str:
    return format_html('<span class="admin-badge {}" title="{}">{}</span>', kind, title, text)


def tier_badge(tier: str) -> str:
    return badge(tier, {"ultra": "ultra", "pro": "pro", "free": "free"}.get(tier, "quiet"))


def quota_bars(pools: Iterable[QuotaPool], *, is_usable: bool = True) -> str:
    bars = [bar_of(pool, is_usable=is_usable) for pool in pools]
    return render_to_string("accounts/quota_bars.html", {"bars": bars})


def bar_of(pool: QuotaPool, *, is_usable: bool = True) -> dict[str, object]:
    """Return the bars of a pool and of its windows, grey and without forecast for an account that cannot be
    used."""
    windows = [
        _bar(f"{pool.name}: {window.name}", window.remaining_fraction, window.sentence, is_usable=is_usable)
        for window in pool.windows
    ]
    return {
        **_bar(pool.name, pool.remaining_fraction, pool.sentence, is_usable=is_usable),
        "windows": windows,
    }


def _bar(name: str, fraction: float | None, sentence: str, *, is_usable: bool) -> dict[str, object]:
    sentence = sentence if is_usable else "cannot be used now"
    if fraction is None:
        return {"name": name, "percent": None, "sentence": sentence}
    level = "empty" if fraction <= 0 else "low" if fraction <= LOW else "fine"
    kind = level if is_usable else "unused"
    return {"name": name, "percent": round(fraction * 100), "kind": kind, "sentence": sentence}


def cooldowns(account: Account) -> str:
    """The account's active cooldowns; "-" when there is none, or in a process that does not serve."""
    service = running_service()
    cooldowns = service.pool.cooldowns.of_account(account.pk) if service else {}
    if not cooldowns:
        return "-"
    rows = [
        {
            "model": model_key,
            "reason": cooldown.reason,
            "seconds": round(cooldown.until - timezone.now().timestamp()),
        }
        for model_key, cooldown in sorted(cooldowns.items(), key=lambda item: item[1].until)
    ]
    return render_to_string("accounts/cooldowns.html", {"rows": rows})


def ago(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    if (timezone.now() - moment).total_seconds() < 60:
        return "just now"
    at, how_long = minute(moment), timesince(moment, depth=1)
    return format_html('<span title="{}">{} ago</span>', at, how_long)
