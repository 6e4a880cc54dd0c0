"""What the page of models says of the names that clients ask for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import Account, Cooldown
from accounts.offers import ModelOffer
from accounts.pool.cooldowns import ALL_MODELS
from accounts.quota.pools import QuotaPool
from accounts.service import MergedOffers
from dashboard.account_pools import read_account_pools
from dashboard.answering import answered_now
from dashboard.asked_models import ASKED_BY_CLAUDE_CODE, MOST_ASKED, AskedNames, Chosen, Name, asked_names
from dashboard.model_rows import Serving
from gateway.models import ModelRoute
from gateway.relay.models.choice import ModelChoice
from gateway.routing.routes import Routes
from gateway.routing.upstream_model import upstream_model

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import DjangoAssertNumQueries

    from accounts.service import AccountsService

OPUS = {"google": upstream_model("claude-opus-4-6-thinking")}
SONNET = {
    "google": upstream_model("claude-sonnet-4-6"),
    "anthropic": upstream_model("claude-sonnet-4-6", kind="anthropic"),
}
FLASH = {"google": upstream_model("gemini-3-flash")}
SOON = datetime.now(UTC) + timedelta(hours=1)
POOL = ("claude-opus-4-6-thinking", "claude-sonnet-4-6")
FULL = QuotaPool("Claude, GPT", "antigravity", POOL)
EMPTY = QuotaPool("Claude, GPT", "antigravity", POOL, refused_until=SOON)
KEY = Serving(True, [], "Anthropic key 1", ["claude-sonnet-4-6"], "anthropic", rank=(10, 0))


def ada(*pools: QuotaPool, rank: tuple[int, int] = (0, 0)) -> Serving:
    return Serving(True, pools, "ada", [*POOL, "gemini-3-flash"], rank=rank)


def answered(name: str, chosen: Chosen, *accounts: Serving) -> AskedNames:
    rows = asked_names({}, lambda one: chosen if one == name else Chosen({}), accounts, "antigravity")
    return next(row for row in rows if row.names[0].text == name)


def ways(row: AskedNames) -> list[tuple[str, str]]:
    return [(way.model, way.kind) for way in (*([row.now] if row.now else []), *row.then)]


def test_the_account_that_is_asked_first_answers_now() -> None:
    row = answered("sonnet", Chosen(SONNET), ada(FULL), KEY)
    assert ways(row) == [("claude-sonnet-4-6", "google"), ("claude-sonnet-4-6", "anthropic")]
    row = answered("sonnet", Chosen(SONNET), ada(FULL, rank=(20, 0)), KEY)
    assert ways(row) == [("claude-sonnet-4-6", "anthropic"), ("claude-sonnet-4-6", "google")]


def test_an_empty_account_does_not_answer_now() -> None:
    row = answered("sonnet", Chosen(SONNET), ada(EMPTY), KEY)
    assert ways(row) == [("claude-sonnet-4-6", "anthropic")]
    row = answered("opus", Chosen(OPUS), ada(EMPTY), KEY)
    assert (row.now, row.then, row.back_at, row.is_offered) == (None, [], SOON, True)


def test_a_fallback_comes_after_all_accounts_of_the_model() -> None:
    row = answered("opus", Chosen(OPUS, [FLASH]), ada(FULL))
    assert ways(row) == [("claude-opus-4-6-thinking", "google"), ("gemini-3-flash", "google")]
    assert row.then[0].is_fallback
    assert ways(answered("opus", Chosen(OPUS, [FLASH]), ada(EMPTY))) == [("gemini-3-flash", "google")]


def test_a_name_that_no_account_serves_is_not_offered() -> None:
    assert not answered("opus", Chosen(OPUS), KEY).is_offered
    assert not answered("opus", Chosen({})).is_offered


def test_claude_codes_names_come_first_then_those_asked_for_most() -> None:
    asked = {"": 99, "opus": 2, **{f"model-{number:02}": number for number in range(30)}}
    rows = asked_names(asked, lambda _: Chosen({}), [], "cli")
    assert [row.names[0].text for row in rows[:3]] == list(ASKED_BY_CLAUDE_CODE)
    assert [row.asked for row in rows] == [2, 0, 0, *range(29, 29 - MOST_ASKED, -1)]


def test_names_that_are_answered_alike_share_a_row() -> None:
    asked = {"opus": 2, "claude-opus-4-6": 40, "opus-with-fallback": 1, "unknown-a": 7, "unknown-b": 6}
    opus = {"opus": Chosen(OPUS, mapped_as="opus"), "claude-opus-4-6": Chosen(OPUS)}
    chosen = opus | {"opus-with-fallback": Chosen(OPUS, [FLASH])}

    for account in (ada(FULL), ada(EMPTY)):
        rows = asked_names(asked, lambda name: chosen.get(name, Chosen({})), [account], "antigravity")
        assert rows[0].names == [Name("opus", mapped_as="opus"), Name("claude-opus-4-6")]
        assert [(row.names[0].text, row.asked) for row in rows if row.asked] == [
            ("opus", 42), ("unknown-a", 7), ("unknown-b", 6), ("opus-with-fallback", 1)
        ]  # fmt: skip


@pytest.fixture
def two_kinds(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """A Google account, and an Anthropic key that is asked after it."""
    now = timezone.now()
    google = Account.objects.create(email="ada@example.com", terms_accepted_at=now)
    key = Account.objects.create(
        kind="anthropic", given_name="Anthropic key 1", terms_accepted_at=now, priority=10
    )
    offers = {"google": POOL, "anthropic": ("claude-opus-5-5", "claude-sonnet-4-6")}
    by_kind = {kind: {one: ModelOffer(one, one, None, None) for one in ids} for kind, ids in offers.items()}
    merged = MergedOffers({**by_kind["google"], **by_kind["anthropic"]}, by_kind, {})
    service = SimpleNamespace(
        merged_offers=lambda: merged,
        offered_models=lambda: merged.all,
        models_of={google.pk: POOL, key.pk: offers["anthropic"]}.get,
    )
    choice = ModelChoice(cast("AccountsService", service), Routes)
    gateway = SimpleNamespace(accounts=service, relay=SimpleNamespace(choice=choice), routes=Routes())
    for module in ("dashboard.answering", "dashboard.model_rows"):
        monkeypatch.setattr(f"{module}.running_gateway", lambda: gateway)
    monkeypatch.setattr("dashboard.account_pools.running_service", lambda: service)


def row_of(operator: Client, name: str) -> str:
    page = operator.get("/models").content.decode()
    (row,) = re.findall(rf"<tr>\s*<td class=\"name\"><p><b>{name}</b>.*?</tr>", page, re.DOTALL)
    return re.sub(r"\s+", " ", strip_tags(row)).strip()


@pytest.mark.usefixtures("two_kinds")
def test_the_page_says_what_answers_now_and_what_then(operator: Client) -> None:
    assert row_of(operator, "opus") == ("opus claude-opus-5-5 Anthropic key 1 nothing else: error 429")
    ModelRoute.objects.create(client_name="sonnet", upstream_model="claude-sonnet-4-6")
    assert row_of(operator, "sonnet") == (
        "sonnet mapped below haiku claude-sonnet-4-6 ada@example.com claude-sonnet-4-6 Anthropic key 1"
    )


def opus_of_overview(operator: Client) -> str:
    (answer,) = re.findall(
        r"<dt[^>]*>opus is</dt> <dd>(.*?)</dd>", operator.get("/").content.decode(), re.DOTALL
    )
    return strip_tags(answer)


@pytest.mark.usefixtures("two_kinds")
def test_the_overview_says_what_answers_opus(operator: Client) -> None:
    assert opus_of_overview(operator) == "claude-opus-5-5 Models"
    key = Account.objects.get(kind="anthropic")
    Cooldown.objects.create(
        account=key, model_key=ALL_MODELS, until=timezone.now() + timedelta(hours=1), kind="SPEND_LIMIT"
    )
    assert re.fullmatch(
        r"✕ nothing: all accounts are used up, back at [\w :]*\d\d:\d\d Models", opus_of_overview(operator)
    )
    key.delete()
    assert opus_of_overview(operator) == "! offered by no account Models"


@pytest.mark.usefixtures("db")
def test_the_overview_says_that_a_fallback_answers(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answered("opus", Chosen(OPUS, [FLASH]), ada(EMPTY))
    monkeypatch.setattr("dashboard.views.overview.answered_now", lambda *_: found)
    assert opus_of_overview(operator) == "gemini-3-flash (a fallback) Models"


@pytest.mark.usefixtures("two_kinds")
def test_what_answers_opus_costs_the_overview_no_query(
    operator: Client, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    accounts = read_account_pools()
    with django_assert_num_queries(0):
        assert answered_now("opus", accounts) is not None
    monkeypatch.setattr("dashboard.answering.running_gateway", lambda: None)
    assert answered_now("opus", accounts) is None, "a process that serves no requests"
    assert "opus is" not in operator.get("/").content.decode()


@pytest.mark.usefixtures("two_kinds")
def test_a_used_up_key_answers_nothing_until_its_limit_ends(operator: Client) -> None:
    key = Account.objects.get(kind="anthropic")
    Cooldown.objects.create(
        account=key, model_key=ALL_MODELS, until=timezone.now() + timedelta(hours=1), kind="SPEND_LIMIT"
    )
    assert re.fullmatch(
        r"opus ✕ nothing: all accounts are used up, back at [\w :]*\d\d:\d\d", row_of(operator, "opus")
    )
