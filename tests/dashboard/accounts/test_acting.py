from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from accounts.models import Account, QuotaSnapshot
from tests.dashboard.accounts.builders import an_account, logged

if TYPE_CHECKING:
    from django.test import Client

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
PARTS = {"card": "<article", "row": "<tr", "page": '<div class="one-account"'}


def act(client: Client, account: Account, action: str, part: str = "card", **fields: str) -> str:
    """Press the button as htmx does; returns the part of the page that replaces the one it stands in."""
    path = reverse("dashboard:account_action", args=[account.pk])
    answer = client.post(path, {"action": action, "part": part, **fields}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("part", PARTS)
def test_an_account_is_switched_off_and_on(operator: Client, part: str) -> None:
    account = an_account(state_reason="Switched off in the imported file")

    off = act(operator, account, "disable", part)
    account.refresh_from_db()
    assert not account.enabled
    on = act(operator, account, "enable", part)
    account.refresh_from_db()

    assert account.is_usable
    assert account.state_reason == ""
    for text, said, next_button in ((off, "Switched off.", "enable"), (on, "Switched on.", "disable")):
        assert text.strip().startswith(PARTS[part])
        assert f'id="account-{account.pk}"' in text
        assert said in text
        assert f'value="{next_button}" id="switch-{account.pk}"' in text
    assert logged() == ["Enabled", "Disabled"]


def test_the_notice_is_accepted(operator: Client) -> None:
    account = an_account(terms_accepted_at=None)
    assert "Notice accepted." in act(operator, account, "accept_terms")
    account.refresh_from_db()
    assert account.is_usable
    assert logged() == ["Accepted the notice about Google's terms"]


@pytest.mark.django_db(transaction=True)
def test_verifying_ends_what_the_operator_has_solved(operator: Client, ada: Account) -> None:
    ada.enter_state(Account.State.NEEDS_VERIFICATION, "Verify your account.")
    ada.save()

    card = act(operator, ada, "verify")

    ada.refresh_from_db()
    assert ada.state == Account.State.OK
    assert "Checked: it works." in card
    assert "Verify your account." not in card
    assert logged() == ["Checked: works"]


@pytest.mark.django_db(transaction=True)
def test_the_error_of_an_action_is_said_beside_it(
    operator: Client, ada: Account, google: EmulatorServer
) -> None:
    google.state.disable_by_provider("ada@example.com")

    card = act(operator, ada, "verify")

    assert 'class="said warn"' in card
    assert "Checked: it cannot be used. " in card
    assert "has been disabled" in card
    assert card.count("have it checked again; else remove it.") == 1, "what to do"
    assert "</span>Disabled by Google</span>" in card


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["verify", "refresh"])
def test_a_check_that_reaches_nobody_says_that_nothing_changed(
    operator: Client, ada: Account, google: EmulatorServer, action: str
) -> None:
    google.state.fault("refuse", status=503, body={}, method="token", times=None)

    card = act(operator, ada, action)

    assert "It could not be checked, and is as it was." in card
    assert "Try again in a minute" in card
    assert "</span>OK</span>" in card


@pytest.mark.django_db(transaction=True)
def test_refreshing_reads_the_quota(operator: Client, ada: Account) -> None:
    card = act(operator, ada, "refresh")
    assert "Quota refreshed." in card
    assert "Claude, GPT" in card
    assert QuotaSnapshot.objects.filter(account=ada).exists()
    assert logged() == ["Refreshed the quota: works"]


def test_a_project_ends_the_state_that_asked_for_it(operator: Client) -> None:
    account = an_account(state="needs_project")
    assert "Project set." in act(operator, account, "project", project=" my-project-1 ")
    account.refresh_from_db()
    assert (account.state, account.project_id) == (Account.State.OK, "my-project-1")
    assert logged() == ["Set the Cloud project"]


@pytest.mark.parametrize("project", ["x" * 201, "x" * 100_000])
def test_a_project_that_is_too_long_is_refused(operator: Client, project: str) -> None:
    account = an_account(state="needs_project")
    assert "said warn" in act(operator, account, "project", project=project)
    account.refresh_from_db()
    assert (account.state, account.project_id) == ("needs_project", "")
    assert logged() == []


def test_thresholds_are_set_in_percent(operator: Client) -> None:
    account = an_account()
    lines = "gemini-3-flash 20\r\n\r\n claude-sonnet-4-6  12.5 % "

    assert "Thresholds set." in act(operator, account, "thresholds", "page", overall="30", by_model=lines)

    account.refresh_from_db()
    assert account.quota_threshold == 0.3
    assert account.model_quota_thresholds == {"gemini-3-flash": 0.2, "claude-sonnet-4-6": 0.125}
    act(operator, account, "thresholds", "page", overall="", by_model="")
    bare = Account.objects.get()
    assert (bare.quota_threshold, bare.model_quota_thresholds) == (None, {})
    assert logged() == ["Set the thresholds"] * 2


@pytest.mark.parametrize(
    ("overall", "by_model"),
    [
        ("100", ""),
        ("-1", ""),
        ("nan", ""),
        ("much", ""),
        ("", "gemini-3-flash"),
        ("", "20"),
        ("", "gemini-3-flash nan"),
        ("", "gemini-3-flash inf"),
        ("", "gemini-3-flash 100"),
        ("", "<script>alert(1)</script> x"),
        ("", "x 1\n" * 200),
        ("", "x" * 30_000),
    ],
)
def test_thresholds_out_of_range_are_refused_beside_the_field(
    operator: Client, overall: str, by_model: str
) -> None:
    account = an_account()

    page = act(operator, account, "thresholds", "page", overall=overall, by_model=by_model)

    account.refresh_from_db()
    assert (account.quota_threshold, account.model_quota_thresholds) == (None, {})
    assert "The thresholds were not changed." in page
    assert '<p class="bad small" role="alert">' in page
    assert "<script>alert" not in page
    assert logged() == []


def test_budgets_are_set_and_taken_back(operator: Client) -> None:
    key = an_account("", kind="gemini", given_name="Gemini key 1")

    page = act(operator, key, "budgets", "page", day="2.50", month="40")

    key.refresh_from_db()
    assert "Budgets set." in page
    assert (key.budget_day, key.budget_month) == (Decimal("2.50"), Decimal(40))
    assert '<span class="quiet">of $2.50</span>' in page
    act(operator, key, "budgets", "page", day="", month="")
    key.refresh_from_db()
    assert (key.budget_day, key.budget_month) == (None, None)
    assert logged() == ["Set the budgets"] * 2


@pytest.mark.parametrize("day", ["-1", "nan", "inf", "much", "1.234", "12345678.00", "9" * 30_000])
def test_a_budget_that_is_none_is_refused_beside_its_field(operator: Client, day: str) -> None:
    key = an_account("", kind="gemini", given_name="Gemini key 1", budget_day=1)

    page = act(operator, key, "budgets", "page", day=day, month="")

    key.refresh_from_db()
    assert key.budget_day == 1
    assert "The budgets were not changed." in page
    assert '<p class="bad small" role="alert">' in page
    assert logged() == []


@pytest.mark.parametrize(
    ("part", "back"),
    [
        ("card", "/accounts?as=cards"),
        ("row", "/accounts?as=table"),
        ("overview", "/"),
        ("https://evil.example/", "/accounts?as=cards"),
    ],
)
def test_without_javascript_an_action_leads_back_and_is_told(operator: Client, part: str, back: str) -> None:
    account = an_account()
    path = reverse("dashboard:account_action", args=[account.pk])

    answer = operator.post(path, {"action": "disable", "part": part}, follow=True)

    assert answer.redirect_chain == [(back, 302)]
    assert "ada@example.com: Switched off." in answer.content.decode()
    assert "ada@example.com: Switched off." not in operator.get(back).content.decode()


def test_without_javascript_the_page_of_the_account_comes_back(operator: Client) -> None:
    account = an_account()
    path = reverse("dashboard:account_action", args=[account.pk])
    answer = operator.post(path, {"action": "enable", "part": "page"})
    assert answer["Location"] == f"/accounts/{account.pk}"


@pytest.mark.parametrize("action", ["", "delete", "__class__", "<script>"])
def test_an_unknown_action_changes_nothing(operator: Client, action: str) -> None:
    account = an_account()
    path = reverse("dashboard:account_action", args=[account.pk])
    answer = operator.post(path, {"action": action})
    assert answer.status_code == 400
    assert b"<script>" not in answer.content
    assert logged() == []


def test_an_action_on_a_deleted_account_is_not_found(operator: Client) -> None:
    path = reverse("dashboard:account_action", args=[77])
    assert operator.post(path, {"action": "verify"}, headers=HTMX).status_code == 404


def test_a_get_acts_never(operator: Client) -> None:
    account = an_account()
    path = reverse("dashboard:account_action", args=[account.pk])
    assert operator.get(path, {"action": "disable"}).status_code == 405
    account.refresh_from_db()
    assert account.enabled
