"""Keys on the page `/accounts/add`, and in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from accounts.models import Account
from tests.dashboard.accounts.builders import SCRIPT, logged

if TYPE_CHECKING:
    from django.test import Client

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/accounts/add"
KEY = "AIza-emulator-ada"


@pytest.mark.parametrize("kind", ["gemini", "anthropic", "compatible"])
def test_each_kind_has_a_form_with_its_terms(kind: str, operator: Client) -> None:
    page = operator.get(ADD, {"kind": kind}).content.decode()

    assert 'type="password" name="key"' in page
    assert ("Permitted" in page) == (kind != "compatible")
    assert ('name="base_url"' in page) == (kind == "compatible")
    assert ('value="free"' in page) == (kind == "gemini")


def test_a_key_is_checked_and_kept_unshown(operator: Client, google: EmulatorServer) -> None:
    answer = operator.post(ADD, {"kind": "gemini", "key": f" {KEY}\n", "tier": "free"}, follow=True)

    account = Account.objects.get()
    assert answer.redirect_chain == [(reverse("dashboard:account", args=[account.pk]), 302)]
    page = answer.content.decode()
    assert "Gemini key 1: works, " in page
    assert "nothing is known of what is left" in page
    assert "Cloud project" not in page
    assert KEY not in page
    assert account.is_usable
    assert logged() == ["Added (Gemini key)"]


def test_the_second_unpaid_key_is_remarked(operator: Client, google: EmulatorServer) -> None:
    operator.post(ADD, {"kind": "gemini", "key": KEY, "tier": "free"})

    second = {"kind": "gemini", "key": "AIza-emulator-grace", "tier": "free"}
    page = operator.post(ADD, second, follow=True).content.decode()

    assert "stand by until you switch it off" in page
    assert "Stands by" in page
    assert "switch the other one off to use this one" in page
    assert operator.get("/accounts").content.decode().count("Stands by") == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "gemini", "key": "AIzaWrong", "tier": "paid"}, "Google refuses the key"),
        ({"kind": "gemini", "key": "sk-ant-oat01-x", "tier": "paid"}, "subscription"),
        ({"kind": "gemini", "key": "", "tier": "paid"}, "This field is required"),
        ({"kind": "anthropic", "key": SCRIPT}, "has characters that no key has"),
        ({"kind": "anthropic", "key": "sk-ant-api03-other"}, "refuses the key"),
        ({"kind": "compatible", "base_url": "http://169.254.169.254"}, "must never get a key"),
        ({"kind": "compatible", "base_url": SCRIPT}, "must begin with"),
        ({"kind": "copilot", "key": "xyzzy"}, "no such kind"),
    ],
)
def test_what_cannot_be_added_is_told(
    fields: dict[str, str], words: str, operator: Client, google: EmulatorServer
) -> None:
    page = operator.post(ADD, fields).content.decode()

    assert words in page
    assert 'role="alert"' in page
    assert "<script>alert" not in page
    assert fields["key"] not in page if fields.get("key") else True
    assert not Account.objects.exists()


def test_a_server_is_added_with_its_models(operator: Client, google: EmulatorServer) -> None:
    url = google.compatible_url("vllm")
    fields = {"kind": "compatible", "base_url": url, "auth": "none", "models": "qwen3-coder\n"}

    page = operator.post(ADD, fields, follow=True).content.decode()

    assert "Compatible server 1: works, 1 models" in page
    assert url in page


def test_a_refused_key_is_replaced(operator: Client, google: EmulatorServer) -> None:
    operator.post(ADD, {"kind": "gemini", "key": KEY, "tier": "paid", "label": "At work"})
    Account.objects.update(state=Account.State.INVALID)
    account = Account.objects.get()
    page = operator.get(reverse("dashboard:account", args=[account.pk])).content.decode()
    assert "Key refused" in page
    assert "Enter a new key" in page

    path = f"{ADD}?account={account.pk}"
    assert "A new key for" in operator.get(path).content.decode()
    operator.post(path, {"key": "AIza-emulator-grace", "tier": "paid", "label": "At work"})

    account.refresh_from_db()
    assert account.credential == {"api_key": "AIza-emulator-grace"}
    assert (account.state, str(account)) == (Account.State.OK, "At work")


def test_a_key_that_was_added_is_shown_without_quota(operator: Client, google: EmulatorServer) -> None:
    operator.post(ADD, {"kind": "gemini", "key": KEY, "tier": "paid"})

    page = operator.get("/accounts").content.decode()

    assert "Gemini key 1" in page
    assert "100" not in page.partition("Gemini key 1")[2][:400]


# In the admin


def test_the_admin_has_the_same_forms(admin_client: Client, google: EmulatorServer) -> None:
    path = reverse("admin:accounts_account_add")
    assert "Add Gemini API key" in admin_client.get(path).content.decode()
    assert 'type="password"' in admin_client.get(path, {"kind": "anthropic"}).content.decode()

    refused = admin_client.post(path, {"kind": "anthropic", "key": "sk-ant-api03-wrong"})
    added = admin_client.post(
        path, {"kind": "anthropic", "key": "sk-ant-api03-emulator-ada"}, follow=True
    ).content.decode()

    assert "Anthropic refuses the key" in refused.content.decode()
    assert "Anthropic key 1: works" in added
    account = Account.objects.get()
    page = admin_client.get(reverse("admin:accounts_account_change", args=[account.pk])).content.decode()
    assert "Anthropic API key" in page
    assert "sk-ant-api03" not in page + added
