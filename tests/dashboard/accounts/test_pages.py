from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, ClientProblem, Cooldown, QuotaSnapshot, QuotaWindow
from accounts.quota.snapshots import forecasts
from dashboard.views.accounts import cards, pages
from dashboard.views.accounts.pages import MOST_CARDS
from gateway.models import HourlyUsage
from tests.dashboard.accounts.builders import SCRIPT, an_account, keep_quota, keep_request, queries_of

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
KEYS = ("gemini", "anthropic", "compatible")
SHOWN = [{"as": "cards"}, {"as": "table"}]


def text_of(client: Client, path: str, query: dict[str, str] | None = None) -> str:
    return client.get(path, query or {}).content.decode()


def test_without_accounts_the_page_says_how_to_begin(operator: Client) -> None:
    page = text_of(operator, "/accounts")
    assert "No account yet" in page
    assert f'href="{reverse("dashboard:account_add")}"' in page


@pytest.mark.parametrize("query", SHOWN)
def test_quotas_requests_and_cooldowns_are_shown(operator: Client, query: dict[str, str]) -> None:
    ada = an_account(tier="pro")
    keep_quota(ada, 0.4)
    until = timezone.now() + timedelta(minutes=20)
    Cooldown.objects.create(account=ada, model_key="gemini-3-flash:cli", until=until, reason="Too fast")
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for ago, requests in ((0, 30), (5, 1), (30, 500)):
        HourlyUsage.objects.create(
            hour=hour - timedelta(hours=ago), model="m", account=ada.email, client="c", requests=requests
        )

    page = text_of(operator, "/accounts", query)

    for shown in ("ada@example.com", "pro", "Claude, GPT", "40\N{NO-BREAK SPACE}%", "31 requests in 24 h"):
        assert shown in page
    assert "gemini-3-flash:cli" in page
    assert "Too fast" in page
    assert page.count("h3v") == 2, "hours with requests"


@pytest.mark.parametrize("path", ["/accounts?as=cards", "/accounts?as=table", "/accounts/{}"])
def test_requests_in_flight_can_be_changed_live(path: str, operator: Client) -> None:
    ada = an_account()

    assert f'<span data-live-account="{ada.pk}">' in text_of(operator, path.format(ada.pk))


def test_an_unknown_quota_is_never_full(operator: Client) -> None:
    an_account()
    page = text_of(operator, "/accounts")
    assert "What is left: ?" in page
    assert "100" not in page.partition("<main")[2]


@pytest.mark.parametrize("query", SHOWN)
def test_the_quota_of_an_account_that_cannot_be_used_is_grey(operator: Client, query: dict[str, str]) -> None:
    ada = an_account()
    keep_quota(ada)
    page = text_of(operator, "/accounts", query)
    assert "unused" not in page
    assert "cannot be used" not in page

    Account.objects.update(state="needs_verification")
    page = text_of(operator, "/accounts", query)
    assert "unused" in page
    assert page.count("cannot be used") == 2, "for each quota"
    assert "full again at" not in page.partition("<main")[2]
    page = text_of(operator, f"/accounts/{ada.pk}")
    assert "Google asks to verify it, so it cannot be used" in page
    assert "to-come" not in page


def test_the_table_says_of_a_key_that_nothing_is_told_of_what_is_left(operator: Client) -> None:
    an_account(kind="anthropic", given_name="Anthropic key 1")
    assert "not told" in text_of(operator, "/accounts", {"as": "table"})


def test_the_quota_of_the_other_header_mode_is_told_with_the_setting(operator: Client) -> None:
    ada = an_account()
    keep_quota(ada)
    setting = f'href="{reverse("dashboard:settings")}#GEMINI_HEADER_MODE"'
    assert setting not in text_of(operator, "/accounts")
    QuotaSnapshot.objects.filter(model_id="gemini-3-flash").update(header_mode="antigravity")
    forecasts.forget()
    for path in ("/accounts", f"/accounts/{ada.pk}"):
        page = text_of(operator, path)
        assert f"not used while <a {setting}>GEMINI_HEADER_MODE</a> is cli" in page
        assert "Gemini (antigravity)" in page


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "Sign-in works since"),
        ({"kind": "anthropic"}, "Key works since"),
        ({"state": "invalid"}, "In this state since"),
    ],
)
def test_a_state_that_is_ok_says_what_has_worked_since(
    operator: Client, fields: dict[str, str], label: str
) -> None:
    assert f"<dt>{label}</dt>" in text_of(operator, f"/accounts/{an_account(**fields).pk}")


def test_an_old_quota_says_how_old(operator: Client) -> None:
    keep_quota(an_account(), minutes=40)
    assert "Quota of <time" in text_of(operator, "/accounts")


@pytest.mark.parametrize(
    ("fields", "word", "button"),
    [
        ({"state": "invalid"}, "Sign-in expired", "Sign in again</a>"),
        (
            {"state": "needs_verification", "state_link": "https://accounts.google.com/x"},
            "Google asks to verify it",
            'href="https://accounts.google.com/x"',
        ),
        ({"state": "disabled_by_provider"}, "Disabled by Google", 'value="verify"'),
        ({"state": "needs_project"}, "Has no Cloud project", 'value="project"'),
        ({"terms_accepted_at": None}, "Notice not accepted", 'value="accept_terms"'),
        ({"enabled": False}, "Off", 'value="enable"'),
        ({}, "OK", 'value="disable"'),
    ],
)
def test_each_state_has_a_word_and_a_button(
    operator: Client, fields: dict[str, Any], word: str, button: str
) -> None:
    account = an_account(**fields)
    for path in ("/accounts", f"/accounts/{account.pk}"):
        page = text_of(operator, path)
        assert f"</span>{word}</span>" in page
        assert button in page
    assert f"</span>{word}</span>" in text_of(operator, "/accounts", {"as": "table"})


@pytest.mark.parametrize(
    ("fields", "left", "level"),
    [
        ({"state": "needs_verification"}, 0.4, "bad"),
        ({"terms_accepted_at": None}, 0.4, "bad"),
        ({}, 0.0, "warn"),
        ({"enabled": False}, 0.0, "quiet"),
    ],
)
def test_only_what_needs_the_operator_is_red(
    operator: Client, fields: dict[str, Any], left: float, level: str
) -> None:
    keep_quota(an_account(**fields), left)
    assert re.findall(r'class="pill (\w+)"', operator.get("/accounts").content.decode()) == [level]


def test_an_empty_account_says_so(operator: Client) -> None:
    keep_quota(an_account(), 0.0)
    page = text_of(operator, "/accounts")
    assert "</span>Empty</span>" in page
    assert "empty until" in page


@pytest.mark.parametrize("query", SHOWN)
def test_the_list_costs_as_many_queries_for_fifty(operator: Client, query: dict[str, str]) -> None:
    path = f"/accounts?as={query['as']}"
    counts = []
    for numbers in (range(3), range(3, 50)):
        for number in numbers:
            keep_quota(an_account(f"{number}@example.com"))
        counts.append(queries_of(operator, path))
    assert counts[0] == counts[1] <= 8


@pytest.mark.parametrize("query", SHOWN)
def test_the_list_costs_as_many_queries_for_fifty_keys(operator: Client, query: dict[str, str]) -> None:
    path = f"/accounts?as={query['as']}"
    counts = []
    for numbers in (range(3), range(3, 50)):
        for number in numbers:
            kind = KEYS[number % len(KEYS)]
            an_account("", kind=kind, given_name=f"{kind} key {number}", budget_day=5, quota_group="one")
        counts.append(queries_of(operator, path))
    assert counts[0] == counts[1] <= 8


def test_many_accounts_are_a_table_unless_cards_are_asked_for(operator: Client) -> None:
    for number in range(MOST_CARDS):
        an_account(f"{number}@example.com")
    assert "<table" not in text_of(operator, "/accounts")

    an_account("one-more@example.com")

    assert "<table" in text_of(operator, "/accounts")
    assert "<table" not in text_of(operator, "/accounts", {"as": "cards"})


def test_an_account_costs_nine_queries_at_most(operator: Client) -> None:
    ada = an_account()
    keep_quota(ada)
    assert queries_of(operator, f"/accounts/{ada.pk}") <= 9


def test_an_account_shows_its_own_requests_and_failures(operator: Client) -> None:
    ada, linus = an_account(), an_account("linus@example.com")
    keep_request(ada, 1, client_model="model-of-ada")
    keep_request(ada, 2, client_model="failed-model", status=429, problem="rate_limit_error")
    keep_request(linus, 3, client_model="model-of-linus")

    newest, _, failures = text_of(operator, f"/accounts/{ada.pk}").partition("Newest failures")

    assert "model-of-ada" in newest
    assert 'data-live-filter="{&quot;account&quot;: &quot;ada@example.com&quot;}"' in newest
    assert "data-live-rows" not in failures
    assert "model-of-linus" not in newest
    assert "failed-model" in failures
    assert "model-of-ada" not in failures
    assert "Newest failures" not in text_of(operator, f"/accounts/{linus.pk}")


def test_an_account_shows_what_was_and_what_comes(operator: Client) -> None:
    ada = an_account(
        quota_threshold=0.2, model_quota_thresholds={"gemini-3-flash": 0.55}, project_id="proj-1"
    )
    keep_quota(ada, 0.1)

    page = text_of(operator, f"/accounts/{ada.pk}")

    assert page.count('class="history"') == 2
    assert page.count('class="to-come"') == 2
    assert 'value="20"' in page
    assert "gemini-3-flash 55" in page
    assert "proj-1" in page


def test_text_from_outside_stays_text(operator: Client) -> None:
    account = an_account(
        label=SCRIPT, tier=SCRIPT[:20], project_id=SCRIPT, state="needs_verification", state_reason=SCRIPT
    )
    until = timezone.now() + timedelta(minutes=20)
    Cooldown.objects.create(account=account, model_key=SCRIPT, until=until, reason=SCRIPT)
    keep_request(account, client_model=SCRIPT)

    for path in ("/accounts", "/accounts?as=table", f"/accounts/{account.pk}", "/"):
        page = text_of(operator, path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_a_link_that_is_no_web_page_leads_nowhere(operator: Client) -> None:
    an_account(state="needs_verification", state_link="javascript:alert(1)")
    for path in ("/accounts", "/"):
        assert "javascript:alert" not in text_of(operator, path)


def test_a_refused_client_is_said_first(operator: Client) -> None:
    an_account()
    ClientProblem.note("invalid_client")
    assert "No account is to blame" in text_of(operator, "/accounts")


@pytest.mark.parametrize("path", ["/accounts/77", "/accounts/99999999999999999999999999"])
def test_an_account_that_is_not_there_is_a_page_of_its_own(operator: Client, path: str) -> None:
    response = operator.get(path)
    assert response.status_code == 404
    assert b"There is no such page" in response.content


def test_the_overview_leads_to_what_solves_it(operator: Client) -> None:
    verify = an_account(
        "grace@example.com", state="needs_verification", state_link="https://accounts.google.com/x"
    )
    expired = an_account("edsger@example.com", state="invalid")

    page = text_of(operator, "/")

    assert 'href="https://accounts.google.com/x" target="_blank"' in page
    assert f'action="{reverse("dashboard:account_action", args=[verify.pk])}"' in page
    assert f"{reverse('dashboard:account_add')}?account={expired.pk}" in page
    assert "/admin/accounts/account/add/" not in page


@pytest.mark.parametrize("path", ["/accounts", "/accounts?as=table", "/accounts/{pk}"])
def test_a_change_loads_the_accounts_anew(operator: Client, path: str) -> None:
    here = path.format(pk=an_account().pk)
    page = text_of(operator, here)
    assert f'data-refresh hidden hx-get="{here}" hx-trigger="live:accounts from:body' in page
    part = re.findall('hx-select="#([^"]+)"', page)
    assert page.count(f'id="{part[0]}"') == len(part) == 1


def test_accounts_are_listed_in_their_order(operator: Client) -> None:
    an_account("last@example.com", priority=9)
    an_account("first@example.com", priority=-1)
    page = text_of(operator, "/accounts")
    assert page.index("first@example.com") < page.index("last@example.com")
    assert Account.objects.count() == 2


def test_the_windows_of_five_hours_and_a_week_are_shown(operator: Client) -> None:
    ada = an_account()
    keep_quota(ada)
    now = timezone.now()
    for span, left in (("5h", 0.62), ("weekly", 0.31)):
        QuotaWindow.objects.create(
            account=ada,
            family="claude",
            span=span,
            remaining_fraction=left,
            reset_at=now + timedelta(hours=3),
            taken_at=now,
            seen_at=now,
        )
    for path in ("/accounts", f"/accounts/{ada.pk}", "/"):
        page = text_of(operator, path)
        assert "5 hours: 62\N{NO-BREAK SPACE}%, full again at <time" in page
        assert "The week: 31\N{NO-BREAK SPACE}%" in page


def test_an_account_without_any_of_its_week_is_empty(operator: Client) -> None:
    ada = an_account()
    keep_quota(ada, 0.87)
    now = timezone.now()
    QuotaWindow.objects.create(
        account=ada,
        family="claude",
        span="weekly",
        remaining_fraction=0,
        reset_at=now + timedelta(days=3),
        taken_at=now,
        seen_at=now,
    )

    assert "</span>Partly empty</span>" in text_of(operator, "/accounts")
    overview = text_of(operator, "/")
    assert re.search(r"Claude: no, back at <time.*>0 of 1 account</span>", overview)
    assert overview.count("87\N{NO-BREAK SPACE}%") == 1, "that of Gemini"


def test_costs_and_budgets_of_a_key_are_shown(operator: Client) -> None:
    key = an_account("", kind="gemini", given_name="Gemini key 1", budget_day="5.00")
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    HourlyUsage.objects.create(
        hour=hour, model="m", account=key.name, client="c", requests=1, cost=1_234_000_000, unpriced=2
    )

    page = text_of(operator, f"/accounts/{key.pk}")

    assert re.search(r"<dt>Cost this day</dt><dd>≥ \$1\.23 <span class=\"quiet\">of \$5\.00</span>", page)
    assert "<dt>Cost this month</dt><dd>≥ $1.23</dd>" in page


def test_a_google_account_has_no_cost(operator: Client) -> None:
    page = text_of(operator, f"/accounts/{an_account().pk}")
    assert "Cost this" not in page
    assert "Budgets" not in page


def test_switches_are_said_to_be_learned_or_set(operator: Client) -> None:
    server = an_account(
        "",
        kind="compatible",
        given_name="Compatible server 1",
        learned_switches={"system_messages": False},
        given_switches={"betas": ["context-1m-2025-08-07"]},
    )

    page = text_of(operator, f"/accounts/{server.pk}")

    assert 'system messages: no <span class="quiet">(learned)</span>' in page
    assert 'betas: context-1m-2025-08-07 <span class="quiet">(set)</span>' in page


def test_learned_limits_are_said_to_be_learned(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    key = an_account("", kind="gemini", given_name="Gemini key 1")
    learned = {"gemini-2.5-flash:gemini": {"requests": 10, "input_tokens": 250_000}}
    pool = SimpleNamespace(learned_limits={key.pk: learned}.get, in_flight=lambda number: 0)
    gateway = SimpleNamespace(accounts=SimpleNamespace(pool=pool))
    for module in (pages, cards):
        monkeypatch.setattr(module, "running_gateway", lambda: gateway)

    page = text_of(operator, f"/accounts/{key.pk}")

    assert "<dt>Learned limits</dt>" in page
    assert "gemini-2.5-flash: 10 requests, 250,000 input tokens a minute" in page
