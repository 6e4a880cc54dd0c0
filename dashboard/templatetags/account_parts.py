"""`{% load account_parts %}`: the parts of an account's card as HTML. A page of 50 accounts has hundreds of
them, and a template takes several times as long to write each."""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING, Protocol

from django import template
from django.template.defaultfilters import pluralize
from django.template.defaulttags import CsrfTokenNode
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from accounts.live_settings import live
from dashboard import formats
from dashboard.addresses import address
from dashboard.elements import moment
from dashboard.templatetags.dashboard import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.template import Context

    from accounts.kinds.base import Kind
    from accounts.models import Account
    from accounts.quota.pools import QuotaPool
    from accounts.quota.snapshots import WindowForecast
    from dashboard.account_pools import ShownQuota
    from dashboard.model_rows import Ready


class ShownState(Protocol):
    @property
    def sign(self) -> str: ...
    @property
    def word(self) -> str: ...
    @property
    def level(self) -> str: ...


class Card(Protocol):
    @property
    def account(self) -> Account: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def act_url(self) -> str: ...
    @property
    def state(self) -> ShownState: ...
    @property
    def in_flight(self) -> int | None: ...
    @property
    def limit(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def bars(self) -> str: ...


LOW = 0.2
"""Less than this fraction of a quota is marked."""

register = template.Library()


@register.filter
def state(card: Card) -> SafeString:
    """Return the tier, if it is known, and the state as a sign and a word."""
    tier, shown = card.account.tier, card.state
    told = "" if tier == "unknown" else f'<span class="tier">{escape(tier)}</span> '
    return _html(
        f'{told}<span class="pill {shown.level}"><span class="sign" aria-hidden="true">{shown.sign}</span>'
        f"{escape(shown.word)}</span>"
    )


@register.filter
def work(card: Card) -> SafeString:
    """Return the requests in flight and those of the last hours, the latter also as a chart."""
    limit = f" of {formats.count(card.limit)}" if card.limit else ""
    requests = card.requests
    chart = (
        '<svg class="spark" viewBox="0 0 96 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{card.bars}"/></svg>'
    )
    return _html(
        f'<span><span data-live-account="{card.number}">{formats.count(card.in_flight)}</span>{limit} '
        "in flight</span> "
        f"<span>{formats.count(requests)} request{pluralize(requests)} in 24 h</span> "
        f"{chart if requests else ''}"
    )


@register.simple_tag(takes_context=True)
def acts(context: Context, card: Card, part: str) -> SafeString:
    """Return the form with the buttons of an account. `part` is where it stands: "card", "row" or "page"."""
    account, number, name, url = card.account, card.number, escape(card.name), card.act_url
    main = "" if account.state in {account.State.OK, account.State.INVALID} else " main"
    if account.enabled:
        switch = _button("", "disable", f"switch-{number}", "Off", f": use {name} no more")
    else:
        switch = _button(" main", "enable", f"switch-{number}", "On", f": use {name} again")
    return _html(f"""
<form class="acts" method="post" action="{url}" hx-post="{url}">
  {CsrfTokenNode().render(context)}<input type="hidden" name="part" value="{part}">
  {_button("", "refresh", f"refresh-{number}", "Refresh", f" the quota of {name}")}
  {_button(main, "verify", f"verify-{number}", "Check", f" {name}")}
  {switch}
  {_further_acts(card) if part == "page" else ""}
</form>
""")


def _button(main: str, action: str, number: str, label: str, for_readers: str) -> str:
    return (
        f'<button class="button{main}" name="action" value="{action}" id="{number}">{label}'
        f'<span class="for-readers">{for_readers}</span></button>'
    )


def _further_acts(card: Card) -> str:
    again = "Sign in again" if card.kind.has_owner else "New key"
    edit = reverse("admin:accounts_account_change", args=[card.account.pk])
    return (
        f'<a class="button" href="{address("account_add")}?account={card.number}">{again}</a> '
        f'<a class="button" href="{edit}">Edit in the admin</a>'
    )


@register.filter
def quota_items(quotas: Iterable[ShownQuota]) -> SafeString:
    """Return each quota as an item of a list: its name, what is left, until when, and its windows."""
    return _html("".join(itertools.starmap(_quota_item, quotas)))


def _quota_item(account: Account | None, pool: QuotaPool, why_unused: str) -> str:
    owner = ""
    if account is not None:
        owner = f'<a href="{address("account", account.pk)}" data-private>{escape(str(account))}</a> · '
    return f"""
  <li class="quota">
    <span class="name clip">{owner}{escape(pool.name)}</span>
    <span class="share">{escape(formats.share(pool.remaining_fraction))}</span>
    {bar(pool, why_unused)}
    <span class="says">{forecast(pool, why_unused)}</span>
    {windows(pool)}
  </li>
  """


@register.filter
def bar(pool: QuotaPool, why_unused: str = "") -> SafeString:
    """Return what is left of a quota as a bar, which is grey while the quota is not used; the text beside it
    must say the same."""
    left = pool.remaining_fraction
    is_low = left is not None and left < LOW
    level = " unused" if why_unused else " none" if pool.is_empty else " low" if is_low else ""
    return _html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/><rect class="left{level}" width="{percent(left)}" '
        'height="8"/></svg>'
    )


@register.filter
def forecast(pool: QuotaPool, why_unused: str = "") -> SafeString:
    """Return until when the quota lasts, or when it can be used again; the reason for one that is not used,
    whose forecast nothing comes of."""
    if why_unused:
        return conditional_escape(why_unused)
    back_at, empty_at = pool.back_at, pool.empty_at
    back = moment(back_at, "short")
    if pool.remaining_fraction is None:
        return _html("unknown")
    if pool.is_empty and back_at is None:
        return _html("empty; Google does not tell until when")
    if pool.is_empty:
        return _html(f"empty until {back} ({moment(back_at, 'countdown')})")
    if empty_at is not None:
        return _html(f"empty at {moment(empty_at, 'short')}{f', back at {back}' if back_at else ''}")
    if back_at is None:
        return _html("not used")
    own = pool.newest.forecast if pool.newest else None
    return _html(f"{'lasts past its reset' if own and own.burned_per_hour else 'full again'} at {back}")


@register.filter
def in_other_mode(pools: Sequence[QuotaPool]) -> SafeString:
    """Return what is left of quotas of the header mode that requests do not use now."""
    told = ", ".join(f"{escape(one.name)} {escape(formats.share(one.remaining_fraction))}" for one in pools)
    return _html(f"{told}: {not_in_use()}")


def not_in_use() -> SafeString:
    """Return why the quota of the other header mode is not used."""
    setting = "GEMINI_HEADER_MODE"
    page = f"{reverse('dashboard:settings')}#{setting}"
    return format_html('not used while <a href="{}">{}</a> is {}', page, setting, live(setting))


@register.filter
def with_shares(accounts: Sequence[Ready], most: int) -> SafeString:
    """Return the names of accounts, each with what is left of its quota if that is known. Those beyond the
    first `most` are counted."""
    named = ", ".join(
        f"<span data-private>{escape(one.name)}</span>"
        + ("" if one.left is None else f'{formats.SPACE}<span class="nowrap">{_share_left(one.left)}</span>')
        for one in accounts[:most]
    )
    return _html(f"{named} and {len(accounts) - most} more" if len(accounts) > most else named)


def _share_left(fraction: float) -> str:
    return f"{escape(formats.share(fraction))}{formats.SPACE}left"


@register.filter
def carry_on(accounts: Sequence[Account], what: str) -> SafeString:
    """Return that these accounts carry on, the name of a single one, else their number: "3 keys carry on"."""
    if len(accounts) == 1:
        return format_html("<span data-private>{}</span> carries on", accounts[0])
    return _html(f"{len(accounts)} {what} carry on")


@register.filter
def windows(pool: QuotaPool) -> SafeString:
    """Return the limits over five hours and a week; "" for accounts without them."""
    own = pool.newest.forecast if pool.newest else None
    texts = " · ".join(f"<span>{_window(one, is_own=one.forecast == own)}</span>" for one in pool.windows)
    return _html(f'<span class="window">{texts}</span>' if texts else "")


def _window(one: WindowForecast, *, is_own: bool) -> str:
    """Return what is left of a window, and its times unless they are those of the pool."""
    text = f"{escape(capfirst(one.name))}: {escape(formats.share(one.remaining_fraction))}"
    if is_own and one.forecast is not None:
        return text
    empty_at = one.forecast.empty_moment if one.forecast else None
    if empty_at is not None and one.remaining_fraction:
        text += f", empty at {moment(empty_at, 'short')}"
    if one.reset_at is not None:
        text += f", full again at {moment(one.reset_at, 'short')}"
    return text


def _html(text: str) -> SafeString:
    """Mark HTML whose texts from outside are escaped."""
    return mark_safe(text)  # noqa: S308
