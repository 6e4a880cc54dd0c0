"""The rows of a list, whose texts are HTML."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import timezone

from dashboard.formats import NONE
from dashboard.requests.explanation import Explanation
from dashboard.requests.listed import listed
from gateway.ledger.record import TOKEN_COLUMNS
from gateway.models import RequestLog

HOSTILE = """"><script>alert('&1')</script>"""


def a_row(**changes: Any) -> RequestLog:
    facts = {"pk": 7, "request_id": "req_1", "started_at": timezone.now(), "status": 200, "attempts": 1}
    tokens = dict.fromkeys(TOKEN_COLUMNS, 0)
    return RequestLog(**{**facts, **tokens, "duration_seconds": 2.0, "first_event_seconds": 0.5, **changes})


def elements_of(html: str) -> list[str]:
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(tag)  # type: ignore[method-assign]
    parser.feed(html)
    return found


def cell(html: str, column: str) -> str:
    """Return what the first cell with this class contains."""
    found = re.search(f'<td class="{column}"(?: [^<]*)?>(.*?)</td>', html, re.DOTALL)
    assert found is not None
    return found[1]


def test_names_from_outside_stay_text() -> None:
    names = ("account", "client", "client_model", "problem", "error")
    html = listed([a_row(request_id=HOSTILE, **dict.fromkeys(names, HOSTILE))], {})
    assert set(elements_of(html)) == {"tr", "td", "a", "time", "span"}
    assert "<script>" not in html
    for column in ("model", "account", "client", "outcome"):
        assert "&lt;script&gt;" in cell(html, column), column
    assert 'href="/requests/%22%3E%3Cscript%3Ealert%28%27%261%27%29%3C%2Fscript%3E"' in html


def test_what_is_unknown_is_a_dash() -> None:
    html = listed([a_row(first_event_seconds=None)], {})
    columns = ("model", "account", "client", "number", "number first")
    assert [cell(html, column) for column in columns] == [NONE] * 5


@pytest.mark.parametrize(("seconds", "late"), [(None, ' data-late="60"'), (1.0, "")])
def test_an_open_request_counts_up_and_is_late_without_an_event(seconds: float | None, late: str) -> None:
    started_at = timezone.now() - timedelta(seconds=20)
    facts = {"status": None, "duration_seconds": None, "first_event_seconds": seconds}
    html = listed([a_row(started_at=started_at, **facts)], {})
    assert f'data-form="age"{late} title' in cell(html, "outcome")


def test_an_explanation_stands_below_its_request_with_names_that_can_be_hidden() -> None:
    explained = Explanation("", cause="ada took 9 s", accounts=frozenset({"ada"}))
    first, second = listed([a_row(), a_row(pk=8)], {8: explained}).split("</tr>")[:2]
    assert "note" not in first
    note = ' <span class="note quiet small"><span data-private>ada</span> took 9 s</span>'
    assert cell(second, "outcome").endswith(f"</span>{note}")
