from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.pools import QuotaPool
from dashboard.asked_models import AskedNames, Name
from dashboard.formats import SPACE
from dashboard.model_rows import ModelRow, Ready, Serving, model_rows
from dashboard.templatetags.dashboard import share_range
from gateway.models import ModelRoute, RequestLog
from gateway.routing.routes import Route, Routes
from tests.dashboard.accounts.builders import an_account

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import DjangoAssertNumQueries

OFFERED = ["claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-3-flash", "gemini-3-pro-high"]
SOON = datetime.now(UTC) + timedelta(hours=1)


def rows_by_name(routes: dict[str, Route], *accounts: list[QuotaPool]) -> dict[str, ModelRow]:
    usable = [Serving(is_usable=True, pools=pools) for pools in accounts]
    rows = model_rows(OFFERED, Routes(routes), usable, {"gemini-3-flash": 7}, "cli")
    return {row.name: row for row in rows}


def test_a_mapped_name_is_answered_by_its_model() -> None:
    row = rows_by_name({"haiku": Route("gemini-3-flash", pinned=True)})["haiku"]
    assert (row.answered_by, row.is_routed, row.is_pinned) == ("gemini-3-flash", True, True)


def test_a_models_requests_are_counted_once() -> None:
    rows = rows_by_name({"haiku": Route("gemini-3-flash"), "small": Route("gemini-3-flash")})
    assert (rows["gemini-3-flash"].requests, rows["haiku"].requests, rows["small"].requests) == (
        7,
        None,
        None,
    )

    routes = Routes({"haiku": Route("gone"), "small": Route("gone")})
    counted = [row.requests for row in model_rows(OFFERED, routes, [], {"gone": 3}, "cli") if row.requests]
    assert counted == [3]


def test_a_model_nobody_offers_is_marked() -> None:
    assert not rows_by_name({"old": Route("claude-2")})["old"].is_offered


def test_what_is_left_is_told_of_all_known_accounts() -> None:
    pools = [
        [QuotaPool("Claude, GPT", "antigravity", ("claude-sonnet-4-6",), refused_until=SOON)],
        [QuotaPool("Claude, GPT", "antigravity", ("claude-sonnet-4-6",))],
    ]
    left = rows_by_name({}, *pools)["claude-sonnet-4-6"].left
    assert (left.least, left.most, left.available, left.accounts, left.back_at) == (0.0, 0.0, 1, 2, None)
    left = rows_by_name({}, pools[0])["claude-sonnet-4-6"].left
    assert (left.available, left.back_at) == (0, SOON)


def test_a_quota_is_found_under_the_name_that_is_sent() -> None:
    pools = [QuotaPool("Gemini (cli)", "cli", ("gemini-3-pro-preview",), refused_until=SOON)]
    assert rows_by_name({}, pools)["gemini-3-pro-high"].left.accounts == 1


def test_an_unknown_quota_has_no_share() -> None:
    assert rows_by_name({})["claude-sonnet-4-6"].left.most is None


def test_an_unusable_account_is_counted_but_not_ready() -> None:
    unread = QuotaPool("Claude, GPT", "antigravity")
    known = QuotaPool("Claude, GPT", "antigravity", ("claude-sonnet-4-6",))
    gemini = QuotaPool("Gemini (cli)", "cli", ("gemini-3-flash",))
    accounts = [Serving(True, [known, gemini]), Serving(True, [unread, gemini]), Serving(False, [unread])]

    rows = {row.name: row.left for row in model_rows(OFFERED, Routes(), accounts, {}, "cli")}

    assert (rows["claude-sonnet-4-6"].available, rows["claude-sonnet-4-6"].accounts) == (2, 3)
    assert (rows["gemini-3-flash"].available, rows["gemini-3-flash"].accounts) == (2, 2)


def test_a_key_serves_the_models_that_it_lists() -> None:
    key = Serving(True, [], "Anthropic key 1", ["claude-opus-4-6-thinking"], kind="anthropic")
    rows = {row.name: row.left for row in model_rows(OFFERED, Routes(), [key], {}, "cli")}
    opus = rows["claude-opus-4-6-thinking"]
    assert (opus.ready, opus.available, opus.accounts) == ([Ready("Anthropic key 1", None)], 1, 1)
    assert (rows["gemini-3-flash"].ready, rows["gemini-3-flash"].accounts) == ([], 0)


def test_an_account_at_a_limit_is_not_ready() -> None:
    for key in ("claude-sonnet-4-6:antigravity", ALL_MODELS):
        one = Serving(True, [], "ada", ["claude-sonnet-4-6", "gemini-3-flash"], limited_until={key: SOON})
        rows = {row.name: row.left for row in model_rows(OFFERED, Routes(), [one], {}, "cli")}
        left = rows["claude-sonnet-4-6"]
        assert (left.available, left.accounts, left.back_at) == (0, 1, SOON)
        assert rows["gemini-3-flash"].available == (0 if key == ALL_MODELS else 1)


def test_the_page_counts_the_names_of_requests(operator: Client) -> None:
    RequestLog.objects.create(
        id=1, instance_id=1, request_id="req_1", started_at=timezone.now(), client_model="claude-opus-4-6"
    )
    page = operator.get("/models").content.decode()
    assert re.search(r"<b>claude-opus-4-6</b>.*?no account offers it.*?number\">1</td>", page, re.DOTALL)
    assert page.count("FALLBACK</a> is off") == 1
    assert page.index("<b>opus</b>") < page.index("<b>claude-opus-4-6</b>") < page.index("All models")


def test_the_page_names_accounts_that_cannot_be_used(operator: Client) -> None:
    assert "cannot be used" not in operator.get("/models").content.decode()
    Account.objects.create(email="ada@example.com", enabled=False)
    assert "ada@example.com</a> cannot be used, so no model counts it" in (
        operator.get("/models").content.decode()
    )


def test_the_page_counts_ready_accounts_as_the_overview_does(operator: Client) -> None:
    for name, fields in {"ada": {}, "grace": {"state": "needs_verification"}, "linus": {}}.items():
        an_account(f"{name}@example.com", **fields)
    refused = {"until": SOON, "kind": "QUOTA", "reason": "quota"}
    Cooldown.objects.create(
        account=Account.objects.get(email="ada@example.com"), model_key="gemini-3-flash:cli", **refused
    )

    overview, page = (operator.get(path).content.decode() for path in ("/", "/models"))

    assert "Claude: yes 2 of 3 accounts" in text_of(overview)
    assert "Gemini: yes 1 of 3" in text_of(overview)
    assert "Ready now: Claude 2 of 3 accounts, Gemini 1 of 3 accounts." in text_of(page)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html).replace("&nbsp;", " ")


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [(0.2, 0.74, "20 to 74 %"), (0.47, 0.474, "47 %"), (0.0, 1.0, "0 to 100 %"), (None, None, "?")],
)
def test_shares_read_as_a_range(least: float | None, most: float | None, text: str) -> None:
    assert share_range(least, most).replace(SPACE, " ") == text


def act(operator: Client, name: str, act: str, **fields: str) -> str:
    data = {"client_name": name, "act": act, **fields}
    return operator.post("/models", data, follow=True).content.decode()


@pytest.mark.parametrize(("there", "back", "field"), [("pin", "unpin", "pinned"), ("hide", "show", "hidden")])
def test_a_name_is_marked_and_unmarked(operator: Client, there: str, back: str, field: str) -> None:
    act(operator, "opus", there)
    assert ModelRoute.objects.get(client_name="opus").__dict__[field] is True
    act(operator, "opus", back)
    assert not ModelRoute.objects.exists()
    assert LogEntry.objects.count() == 2


def test_a_name_is_mapped_and_unmapped(operator: Client) -> None:
    page = act(operator, "opus", "map", upstream_model="gemini-3-pro-high", fallback="claude-sonnet-4-6")
    assert "Mapped opus to gemini-3-pro-high." in page
    assert ModelRoute.objects.get().fallback == "claude-sonnet-4-6"
    act(operator, "opus", "unmap")
    assert not ModelRoute.objects.exists()


def test_models_that_nobody_uses_are_folded(operator: Client) -> None:
    ModelRoute.objects.create(client_name="opus", upstream_model="claude-opus-4-6-thinking")
    ModelRoute.objects.create(client_name="my model", hidden=True)

    page = operator.get("/models").content.decode()
    at_once, _, folded = page.partition('<details class="others"')
    assert 'id="row-opus"' in at_once
    assert "1 more, hidden or not used in 7 days" in folded
    assert "my model" in folded

    answer = operator.post("/models?all=1", {"client_name": "my model", "act": "show"})
    assert answer.headers["Location"] == "/models?all=1"


def test_all_models_are_shown_while_none_is_used(operator: Client) -> None:
    ModelRoute.objects.create(client_name="old", hidden=True)
    assert '<details class="others" id="others" open>' in operator.get("/models").content.decode()


def test_a_name_leads_to_the_mapping_that_applies_to_it(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "my model"
    ModelRoute.objects.create(client_name=name, upstream_model="claude-opus-4-6-thinking")
    monkeypatch.setattr(
        "dashboard.views.models.asked_names", lambda *_: [AskedNames([Name("x", name)], 1, [])]
    )

    page = operator.get("/models").content.decode()
    assert '<a class="small" href="#row-my%20model">mapped below</a>' in page
    assert 'id="row-my%20model"' in page


def test_fallbacks_in_a_cycle_are_refused_beside_the_form(operator: Client) -> None:
    ModelRoute.objects.create(client_name="b", fallback="a")
    assert "These fallbacks form a cycle" in act(operator, "a", "map", fallback="b")


def test_an_unknown_act_changes_nothing(operator: Client) -> None:
    assert "nothing this page can do" in act(operator, "opus", "<b>")
    assert not ModelRoute.objects.exists()


def test_a_hostile_name_stays_text(operator: Client) -> None:
    page = act(operator, '"><script>alert(1)</script>', "pin")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_that_cannot_be_stored_is_refused(operator: Client, name: str) -> None:
    act(operator, name, "pin")
    act(operator, name, "map", upstream_model="gemini-3-flash")
    assert not ModelRoute.objects.exists()


def test_few_queries_make_the_page(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(8):
        operator.get("/models")
