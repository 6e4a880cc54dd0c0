"""The rows of a list of requests as HTML.

A page has fifty rows of a dozen values, which a template takes three times as long to write.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import formats
from dashboard.addresses import address
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
ROW = """<tr data-id="{key}">
  <td class="at"><a data-row href="{address}">{began}</a></td>
  <td class="model" title="{models}">{model_names}</td>
  <td class="account"{no_account} data-private title="{account}">{shown_account}</td>
  <td class="client"{no_client} data-private title="{client}">{shown_client}</td>
  <td class="outcome">{end}{note}</td>
  <td class="number">{tokens_in}</td>
  <td class="number">{tokens_out}</td>
  <td class="number first"{no_first_event}>{first_event}</td>
  <td class="number">{whole}</td>
</tr>
  """
"""A request of a list, also in `_row_template.html`. Its values are HTML."""


def listed(rows: Iterable[RequestLog], explained: Mapping[int, Explanation]) -> SafeString:
    """Return the rows of a list. `explained` has the explanations, by key, that stand below the rows of
    answered requests."""
    prefix, now = f"{address('requests')}/", timezone.now()
    drawn = (ROW.format_map(_values(row, prefix, now, explained.get(row.pk))) for row in rows)
    return mark_safe("".join(drawn))  # noqa: S308  # texts from outside are escaped


def _values(row: RequestLog, prefix: str, now: datetime, explained: Explanation | None) -> dict[str, str]:
    models, account, client = models_of(row), escape(row.account), escape(row.client)
    return {
        "key": str(row.pk),
        "address": prefix + quote(row.request_id, safe=""),
        "began": moment(row.started_at),
        "models": escape(models),
        "model_names": model_names(models) or formats.NONE,
        "account": account,
        "shown_account": account or formats.NONE,
        "no_account": _none_if_not(account),
        "client": client,
        "shown_client": client or formats.NONE,
        "no_client": _none_if_not(client),
        "end": end_of(row, now),
        "note": _note(row, explained),
        "tokens_in": formats.count(tokens_of(row).all_input or None),
        "tokens_out": formats.count(row.output_tokens or None),
        "first_event": formats.seconds(row.first_event_seconds),
        "no_first_event": _none_if_not(row.first_event_seconds is not None),
        "whole": formats.seconds(row.duration_seconds),
    }


def _none_if_not(value: object) -> str:
    """Return the HTML attribute that marks an empty cell, which narrow screens hide; "" for a cell with a
    value."""
    return "" if value else " data-none"


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
