"""`{% load dashboard %}`: the formats as filters, and `<time>` elements for the browser's zone."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from dashboard import formats
from dashboard.requests import explanation
from dashboard.requests.operator_text import INSTANT
from dashboard.requests.outcomes import WORDS, is_slow, outcome_of
from gateway.ledger.record import tokens_of
from gateway.pricing.prices import cost_in_words, in_dollars

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.template import Context

    from dashboard.requests.outcomes import Outcome
    from gateway.models import RequestLog, Tokens


class Priced(Protocol):
    @property
    def cost(self) -> int | None: ...
    @property
    def unpriced(self) -> int: ...


PRIVATE = "|".join(
    (
        r"^[^→]{1,100}?(?= (?:\[\w+\] )?\S+ → \S+, [^:]+: \d{3} )",
        r"[^\s@<>()\",;:=]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,}",
        r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    )
)
"""Matches what is private in a log line: the client of a finished request (gateway/ledger/recorder.py),
e-mail and IPv4 addresses. Also used by JavaScript."""

HATCHES = {"waited": "hatch", "in line": "hatch", "until first event": "hatch-begun"}
"""Patterns in requests/request.html, by kind of segment (dashboard/requests/waterfall.py)."""

A_DAY = timedelta(days=1)

register = template.Library()
for name, function in formats.FORMATS.items():
    register.filter(name, function)


@register.simple_tag
def moment(at: datetime | None, form: str = "clock", late: int | None = None) -> str:
    """Return a `<time>` element. `form` is "clock" (14:59:47, or 24 Nov 14:59 on another day), "short"
    (14:59), "near" (14:59 within 24 hours), "age" (4 s), or "countdown" and "ago", which
    static/dashboard/times.js fills ("in 20 min", "40 min ago"). The element around an age gets the class
    `late` once it is more than `late` seconds."""
    if at is None:
        return formats.NONE
    local = timezone.localtime(at)
    lateness = "" if late is None else f' data-late="{late}"'
    # A page has hundreds of times, and format_html takes five times as long.
    return mark_safe(  # noqa: S308  # nothing in it comes from outside
        f'<time datetime="{at.isoformat()}" data-form="{form}"{lateness} title="{_date_and_clock(local)} '
        f'{local.tzname()}">{_as_text(local, form)}</time>'
    )


def _as_text(local: datetime, form: str) -> str:
    now = datetime.now(local.tzinfo)
    if form == "age":
        return formats.age((now - local).total_seconds())
    if form == "near" and abs(local - now) < A_DAY:
        return f"{local:%H:%M}"
    if local.date() != now.date():
        return f"{local.day} {local:%b %H:%M}"
    clock = _date_and_clock(local)[11:]
    return clock if form == "clock" else clock[:5]


def _date_and_clock(local: datetime) -> str:
    """Return date and time to the second, such as 2026-11-26 14:59:47."""
    return local.isoformat(" ", "seconds")[:19]


@register.filter
def all_input(row: Tokens) -> int:
    """Return all input tokens of a request or an attempt, including those read from the cache."""
    return tokens_of(row).all_input


@register.filter
def cost(priced: Priced) -> str:
    """Return the cost of a request or of a span of time."""
    return cost_in_words(priced.cost, priced.unpriced)


register.filter("dollars", in_dollars)


@register.filter
def models(row: RequestLog) -> str:
    """Return the model asked for, followed by the one that was used if it is another."""
    return " → ".join(dict.fromkeys(filter(None, (row.client_model, row.upstream_model))))


@register.filter
def model_names(models: str) -> str:
    """Return what `models` returns, with each name in an element of its own, between which lines can break.
    Also in static/dashboard/rows.js."""
    pieces = re.split(r" (?=→ )", models) if models else []
    return format_html_join(" ", "<span>{}</span>", ([piece] for piece in pieces))


@register.simple_tag(takes_context=True)
def note(context: Context, row: RequestLog) -> str:
    """Return why a request failed and what to do; else, on a page that has `sentences`, what took the time to
    the first event."""
    said = explanation.note(row.outcome, row.status, row.error, row.started_at)
    explained: dict[int, explanation.Explanation] = context.get("sentences") or {}
    if said or row.pk not in explained:
        return local_times(said)
    one = explained[row.pk]
    return mark_names(one.cause or one.sentence, one.accounts)


register.filter(is_slow)


@register.filter
def local_times(text: str) -> str:
    """Return a text of `operator_text`, with its times in `<time>` elements for the browser's zone."""
    pieces = re.split(f"({INSTANT})", text)
    times = [moment(datetime.fromisoformat(at), "short") for at in pieces[1::2]]
    return format_html_join("", "{}{}", zip(pieces[::2], [*times, ""], strict=True))


@register.filter
def outcome(row: RequestLog) -> Outcome:
    return outcome_of(row, timezone.now())


@register.simple_tag
def outcome_words() -> str:
    """Return the words of outcomes as JSON, for rows that static/dashboard/rows.js draws."""
    return json.dumps(WORDS)


@register.simple_tag
def private_texts() -> str:
    return PRIVATE


@register.filter
def mark_private(line: str) -> str:
    """Return a log line as HTML in which names and addresses can be hidden."""
    pieces = re.split(f"({PRIVATE})", line)
    return format_html_join("", "{}{}", zip(pieces[::2], [*map(_marked, pieces[1::2]), ""], strict=True))


@register.filter
def mark_names(text: str, names: Collection[str]) -> str:
    """Return the text with these names marked, so that the page can hide them."""
    if not names:
        return format_html("{}", text)
    pieces = re.split(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})", text)
    return format_html_join("", "{}{}", zip(pieces[::2], [*map(_marked, pieces[1::2]), ""], strict=True))


def _marked(text: str) -> str:
    return format_html("<span data-private>{}</span>", text)


@register.filter
def percent(fraction: float | None) -> str:
    """Return a fraction as a length out of 100, for SVG."""
    return f"{(fraction or 0) * 100:.2f}"


@register.filter
def as_span(name: str) -> str:
    """Return a span's name in an address ("24h") as text: "24 h"."""
    return f"{name[:-1]}{formats.SPACE}{name[-1:]}"


@register.filter
def axis_seconds(number: float) -> str:
    """Return a tick's label: "0", "5 ms", and from a tenth of a second on the form of `seconds`."""
    if number >= 0.1 or not number:
        return formats.seconds(number) if number else "0"
    return f"{number * 1000:g}{formats.SPACE}ms"


@register.filter
def of_thousand(length: float) -> str:
    """Return a length out of 1000 as a percentage, for an SVG without a viewBox, in which texts keep their
    size."""
    return f"{length / 10:.2f}%"


@register.simple_tag
def share_range(least: float | None, most: float | None) -> str:
    """Return "20 to 74 %", or "47 %" where both are the same."""
    low, high = formats.share(least), formats.share(most)
    return high if low == high else f"{low.removesuffix(f'{formats.SPACE}%')} to {high}"


@register.simple_tag
def share_of(part: float, whole: float) -> str:
    """Return a position such as "41.67%", for an SVG without a viewBox, in which texts keep their size."""
    return f"{part / whole * 100:.2f}%"


@register.filter
def hatch(kind: str) -> str:
    """Return the attribute that hatches a bar of the waterfall, for a kind that stands for waiting; else
    ""."""
    pattern = HATCHES.get(kind)
    return format_html(' fill="url(#{})"', pattern) if pattern else ""


@register.filter
def colour(series: str, colours: dict[str, str]) -> str:
    return colours.get(series, "other")


@register.simple_tag
def icon(name: str) -> str:
    """Return a symbol of `dashboard/_icons.html`. It is only decoration: a word must stand beside it."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>', name)
