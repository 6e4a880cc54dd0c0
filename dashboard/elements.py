"""HTML elements that are made in Python, because a page has many of them or a text is to be cut into pieces.
Templates have them through `{% load dashboard %}`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import formats

if TYPE_CHECKING:
    from collections.abc import Collection

NEAR = timedelta(hours=20)
MODELS_KEPT = 512


def moment(at: datetime | None, form: str = "clock", late: int | None = None) -> str:
    """Return a `<time>` element. `form` is "clock" (14:59:47, or 24 Nov 14:59 on another day), "short"
    (14:59), "near" (14:59 within 20 hours), "age" (4 s), or "countdown" and "ago", which
    static/dashboard/times.js fills ("in 20 min", "40 min ago"). The element around an age gets the class
    `late` once it is more than `late` seconds."""
    if at is None:
        return formats.NONE
    local = timezone.localtime(at)
    exact = local.isoformat(" ", "seconds")[:19]
    lateness = "" if late is None else f' data-late="{late}"'
    # A page has hundreds of times, and format_html takes five times as long.
    return mark_safe(  # noqa: S308  # nothing in it comes from outside
        f'<time datetime="{at.isoformat()}" data-form="{form}"{lateness} title="{exact} '
        f'{local.tzname()}">{_as_text(local, form, exact[11:])}</time>'
    )


def _as_text(local: datetime, form: str, clock: str) -> str:
    now = datetime.now(local.tzinfo)
    if form == "age":
        return formats.age((now - local).total_seconds())
    if form == "near" and abs(local - now) < NEAR:
        return f"{local:%H:%M}"
    if local.date() != now.date():
        return f"{local.day} {local:%b %H:%M}"
    return clock if form == "clock" else clock[:5]


@lru_cache(MODELS_KEPT)
def model_names(models: str) -> SafeString:
    """Return names of models with " → " between them, each in an element of its own, between which lines can
    break. Also in static/dashboard/rows.js."""
    pieces = re.split(r" (?=→ )", models) if models else []
    return format_html_join(" ", "<span>{}</span>", ([piece] for piece in pieces))


def marked(text: str) -> SafeString:
    """Return a name or an address in an element that the page can hide."""
    return format_html("<span data-private>{}</span>", text)


def mark_names(text: str, names: Collection[str]) -> SafeString:
    """Return the text with these names marked, so that the page can hide them."""
    if not names:
        return format_html("{}", text)
    pieces = re.split(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})", text)
    return format_html_join("", "{}{}", zip(pieces[::2], [*map(marked, pieces[1::2]), ""], strict=True))
