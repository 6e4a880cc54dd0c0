"""The rows of a list of requests, as their template writes them.

A page has fifty rows of a dozen values. The values are made here and not by filters, which takes a third of
the time; dictionaries are what a template reads fastest.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import formats
from dashboard.elements import mark_names, model_names, moment
from dashboard.requests import explanation
from dashboard.requests.operator_text import INSTANT
from dashboard.requests.outcomes import LATE_AFTER, is_slow, outcome_of
from gateway.ledger.record import tokens_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from dashboard.requests.explanation import Explanation
    from gateway.models import RequestLog

SLOW = mark_safe(' <span class="warn small" title="Nothing was heard for 5 s or more">slow</span>')


class ListedRow(TypedDict):
    """A request of a list. Its texts are HTML."""

    key: str
    address: str
    began: str
    models: str
    model_names: str
    account: str
    client: str
    end: str
    note: str
    tokens_in: str
    tokens_out: str
    first_event: str
    whole: str


def listed(rows: Iterable[RequestLog], explained: Mapping[int, Explanation]) -> list[ListedRow]:
    """Return the rows of a list. `explained` has the explanations, by key, that stand below the rows of
    answered requests."""
    list_address, now = reverse("dashboard:requests"), timezone.now()
    return [_listed(row, f"{list_address}/", now, explained.get(row.pk)) for row in rows]


def _listed(row: RequestLog, prefix: str, now: datetime, explained: Explanation | None) -> ListedRow:
    models = models_of(row)
    return {
        "key": str(row.pk),
        "address": _safe(prefix + quote(row.request_id, safe="")),
        "began": moment(row.started_at),
        "models": escape(models),
        "model_names": model_names(models) or formats.NONE,
        "account": escape(row.account),
        "client": escape(row.client),
        "end": end_of(row, now),
        "note": _note(row, explained),
        "tokens_in": _safe(formats.count(tokens_of(row).all_input or None)),
        "tokens_out": _safe(formats.count(row.output_tokens or None)),
        "first_event": _safe(formats.seconds(row.first_event_seconds)),
        "whole": _safe(formats.seconds(row.duration_seconds)),
    }


def _safe(text: str) -> SafeString:
    """Return a text of digits, units and percent signs as HTML."""
    return mark_safe(text)  # noqa: S308


def models_of(row: RequestLog) -> str:
    """Return the model asked for, followed by the one that was used if it is another."""
    return " → ".join(dict.fromkeys(filter(None, (row.client_model, row.upstream_model))))


def end_of(row: RequestLog, now: datetime) -> SafeString:
    """Return how a request has ended, or how far it is: a sign with a word, whether it was slow, and the
    number of tries."""
    level, sign, text = outcome_of(row, now)
    slow = SLOW if is_slow(row) else ""
    tries = f' <span class="quiet small nowrap">{row.attempts} tries</span>' if row.attempts > 1 else ""
    return mark_safe(  # noqa: S308  # the text is escaped, the rest is made here
        f'<span class="end"><span class="pill {level}"><span class="sign" aria-hidden="true">{sign}</span>'
        f"{escape(text)}{_age_of(row)}</span>{slow}{tries}</span>"
    )


def _age_of(row: RequestLog) -> str:
    if row.outcome != "open":
        return ""
    late = int(LATE_AFTER.total_seconds()) if row.first_event_seconds is None else None
    return f" {moment(row.started_at, 'age', late)}"


def _note(row: RequestLog, explained: Explanation | None) -> str:
    """Return why a request failed and what to do; else the explanation."""
    said = local_times(explanation.note(row.outcome, row.status, row.error, row.started_at))
    if not said and explained is not None:
        said = mark_names(explained.cause or explained.sentence, explained.accounts)
    private = mark_safe(" data-private") if "@" in said else ""
    return format_html(' <span class="note quiet small"{}>{}</span>', private, said) if said else ""


def local_times(text: str, names: Collection[str] = ()) -> SafeString:
    """Return a text of `operator_text`, with its times in `<time>` elements for the browser's zone, and with
    `names` marked, so that the page can hide them."""
    if not text:
        return SafeString()
    pieces = re.split(f"({INSTANT})", text)
    times = [moment(datetime.fromisoformat(at), "short") for at in pieces[1::2]]
    texts = [mark_names(piece, names) for piece in pieces[::2]]
    return format_html_join("", "{}{}", zip(texts, [*times, ""], strict=True))
