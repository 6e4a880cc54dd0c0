from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.quota.forecast import Forecast
from accounts.quota.pools import QuotaPool
from accounts.quota.snapshots import QuotaForecast, WindowForecast
from dashboard.formats import SPACE
from dashboard.model_rows import Ready
from dashboard.templatetags import account_parts

NOW = timezone.now()
IN_AN_HOUR, IN_TWO_HOURS = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


def a_pool(
    left: float | None, *, is_reset_known: bool = True, empty_in_hours: float | None = None
) -> QuotaPool:
    """A pool that is full again in two hours. It is being used if it will be empty."""
    reset_at = IN_TWO_HOURS if is_reset_known else None
    empty_at = None if empty_in_hours is None else NOW.timestamp() + empty_in_hours * 3600
    forecast = Forecast(left or 0.0, 0.1 if empty_at else 0.0, empty_at, IN_TWO_HOURS.timestamp())
    return QuotaPool(
        "Claude, GPT",
        "antigravity",
        ("m",),
        QuotaForecast(1, "m", "antigravity", left, reset_at, NOW, forecast),
    )


def a_window(name: str, left: float) -> WindowForecast:
    return WindowForecast(1, "claude", name, left, IN_TWO_HOURS, NOW, None)


def text_of(html: str) -> str:
    """The text, with each time as hours from now."""
    hours = {f"{at.isoformat()}": f"+{number}" for number, at in ((1, IN_AN_HOUR), (2, IN_TWO_HOURS))}
    text = re.sub(r'<time datetime="([^"]*)"[^>]*>[^<]*</time>', lambda found: hours[found[1]], html)
    return re.sub(r"<[^>]*>", "", text)


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (QuotaPool("Claude, GPT", "antigravity"), "unknown"),
        (QuotaPool("Claude, GPT", "antigravity", refused_until=IN_AN_HOUR), "empty until +1 (+1)"),
        (a_pool(0.0, is_reset_known=False), "empty; Google does not tell until when"),
        (a_pool(0.5, empty_in_hours=1), "empty at +1, back at +2"),
        (a_pool(0.5), "full again at +2"),
        (a_pool(0.5, is_reset_known=False), "not used"),
    ],
)
def test_a_forecast_says_until_when_a_quota_lasts(pool: QuotaPool, text: str) -> None:
    assert text_of(account_parts.forecast(pool)) == text


@pytest.mark.parametrize(
    ("pool", "level"),
    [(a_pool(0.0), "left none"), (a_pool(0.19), "left low"), (a_pool(0.2), "left"), (a_pool(None), "left")],
)
def test_a_bar_marks_what_is_empty_or_low(pool: QuotaPool, level: str) -> None:
    assert f'class="{level}"' in account_parts.bar(pool)


def test_what_is_not_used_says_why_and_is_grey() -> None:
    assert account_parts.forecast(a_pool(0.5), "Switched <off>") == "Switched &lt;off&gt;"
    assert 'class="left unused"' in account_parts.bar(a_pool(0.0), "Switched off")


def test_each_account_is_named_with_what_it_has_left() -> None:
    accounts = [Ready("ada", 0.2), Ready("<b>", None), Ready("linus", 0.005)]
    shown = account_parts.with_shares(accounts, 3)
    assert text_of(shown).replace(SPACE, " ") == "ada 20 % left, &lt;b&gt;, linus &lt;1 % left"
    assert "<span data-private>ada</span>" in shown
    assert text_of(account_parts.with_shares(accounts, 1)).replace(SPACE, " ") == "ada 20 % left and 2 more"


def test_windows_are_told_with_their_times_and_as_text() -> None:
    pool = QuotaPool("Claude, GPT", "antigravity", windows=(a_window("weekly", 0.005), a_window("<b>", 1.0)))
    assert account_parts.windows(QuotaPool("Claude, GPT", "antigravity")) == ""
    assert text_of(account_parts.windows(pool)) == (
        f"The week: &lt;1{SPACE}%, full again at +2 · &lt;b&gt;: 100{SPACE}%, full again at +2"
    )
