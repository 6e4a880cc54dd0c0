from __future__ import annotations

import logging
import re
from html import unescape
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.utils.html import strip_tags

from dashboard.templatetags.dashboard import PRIVATE, mark_private
from gateway.telemetry.activity import Activity
from gateway.telemetry.log_ring import LogRing

if TYPE_CHECKING:
    from django.test import Client


@pytest.mark.parametrize(("asked", "level"), [("error", "error"), ("", "info"), ("<b>", "info")])
def test_the_level_stands_in_the_address(operator: Client, asked: str, level: str) -> None:
    page = operator.get("/logs", {"level": asked}).content.decode()
    assert f'data-level="{level}"' in page
    assert page.count('aria-pressed="true"') == 2  # the level, and wrapped lines


def test_the_filter_stands_in_the_address(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = LogRing(Activity())
    monkeypatch.setattr("dashboard.views.logs.running_gateway", lambda: SimpleNamespace(log_ring=ring))
    for request_id in ("req_1", "req_2"):
        record = logging.LogRecord("a", logging.INFO, "", 0, "a line of %s", (request_id,), None)
        record.request_id = request_id
        ring.emit(record)

    page = operator.get("/logs", {"q": "req_1"}).content.decode()

    assert 'data-search value="req_1"' in page
    assert "a line of req_1" in page
    assert "a line of req_2" not in page
    assert 'value="&quot;&gt;&lt;b&gt;"' in operator.get("/logs", {"q": '"><b>'}).content.decode()


LINES = [
    (
        "alice sonnet → claude-sonnet-4-6, ada@example.com: 200 end_turn; 10 in",
        ["alice", "ada@example.com"],
    ),
    ("my laptop [safeguards] - → -, no account: 404 not_found_error", ["my laptop"]),
    (
        "grace.o'hara+1@mail.example.co.uk for gemini: quota → next account",
        ["grace.o'hara+1@mail.example.co.uk"],
    ),
    ("account=ada@example.com at http://10.0.0.7:80 (linus@example.com)", None),
    ("Heartbeat: 2 in flight, 0 waiting; ad…@e… limited until 14:59:47", []),
    ("a@b and @example.com and 1.2.3 <b>&", []),
    ("", []),
    ("x" * 4000, []),
    ("a@" * 2000, []),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=lambda value: str(value)[:20])
def test_names_and_addresses_in_a_line_can_be_hidden(line: str, expected: list[str] | None) -> None:
    marked = mark_private(line)

    found = re.findall(r"<span data-private>(.*?)</span>", marked)
    wanted = expected if expected is not None else ["ada@example.com", "10.0.0.7", "linus@example.com"]
    assert [unescape(one) for one in found] == wanted
    assert unescape(strip_tags(marked)) == line or "<b>" in line
    assert "<b>" not in marked


def test_javascript_gets_the_same_expression(operator: Client) -> None:
    page = operator.get("/logs").content.decode()
    found = re.search(r'data-private-texts="([^"]*)"', page)
    assert found is not None
    assert unescape(found[1]) == PRIVATE
