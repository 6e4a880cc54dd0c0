"""`{% load dashboard %}`: the formats as filters, and `<time>` elements for the browser's zone."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Protocol

from django import template
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import mark_safe

from dashboard import elements, formats
from dashboard.requests.listed import end_of, listed, local_times, models_of
from dashboard.requests.outcomes import WORDS
from gateway.ledger.record import tokens_of
from gateway.pricing.prices import cost_in_words, in_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from django.template import Context

    from dashboard.charts.shapes import Column
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

register = template.Library()
for name, function in formats.FORMATS.items():
    register.filter(name, function)


register.simple_tag(elements.moment)
register.filter(elements.mark_names)


register.filter(formats.short_id)


@register.filter
def all_input(row: Tokens) -> int:
    """Return all input tokens of a request or an attempt, including those read from the cache."""
    return tokens_of(row).all_input


@register.filter
def cost(priced: Priced) -> str:
    """Return the cost of a request or of a span of time."""
    return cost_in_words(priced.cost, priced.unpriced)


register.filter("dollars", in_dollars)


register.filter("models", models_of)
register.filter(local_times)


@register.simple_tag(takes_context=True)
def listed_rows(context: Context, rows: Iterable[RequestLog]) -> str:
    """Return the rows of a list of requests; on a page that has `sentences`, with what took the time to the
    first event."""
    return listed(rows, context.get("sentences") or {})


@register.simple_tag
def end(row: RequestLog) -> str:
    """Return how a request has ended, as in the list."""
    return end_of(row, timezone.now())


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
    return format_html_join(
        "", "{}{}", zip(pieces[::2], [*map(elements.marked, pieces[1::2]), ""], strict=True)
    )


@register.filter
def break_before_address(lines: str) -> str:
    """Return lines of a shell as HTML in which a long line breaks before an address and not within it."""
    return mark_safe(escape(lines).replace("=http", "=<wbr>http"))  # noqa: S308  # what comes from outside is escaped


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
def stacks(columns: Iterable[Column[datetime]], colours: dict[str, str]) -> str:
    """Return the columns of a chart by time, of which a page may have dozens with several bars each."""
    zone = timezone.get_current_timezone()
    drawn = (_stack(one.key.astimezone(zone), one, colours) for one in columns if one.bars)
    return mark_safe("".join(drawn))  # noqa: S308  # names of series are escaped, numbers are ours


def _stack(at: datetime, column: Column[datetime], colours: dict[str, str]) -> str:
    numbers = "".join(f", {escape(bar.series)} {formats.count(bar.value)}" for bar in column.bars)
    bars = "".join(
        f'<rect class="{colour(bar.series, colours)}" x="{bar.x:g}" y="{bar.y:g}" '
        f'width="{bar.width:g}" height="{bar.height:g}"/>'
        for bar in column.bars
    )
    title = f"{at.day} {at:%b %H:%M}: {formats.count(column.total)}{numbers}"
    return f"<g><title>{title}</title>{bars}</g>"


@register.simple_tag
@cache
def icon(name: str) -> str:
    """Return a symbol of `dashboard/_icons.html`. It is only decoration: a word must stand beside it."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>', name)
