from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.kinds.registry import KINDS
from accounts.models import Account, SignIn
from accounts.sign_in import attempts
from tests.dashboard.accounts.builders import SCRIPT, an_account, logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client
    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db
ADD = "/accounts/add"


def text_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def begin(client: Client, path: str = ADD, **fields: str) -> SignIn:
    answer = client.post(path, {"kind": "google", **fields})
    attempt = SignIn.objects.get()
    assert answer["Location"] == reverse("dashboard:sign_in", args=[attempt.pk])
    return attempt


def test_the_kinds_and_the_notice_come_first(operator: Client, google: EmulatorServer) -> None:
    page = text_of(operator, ADD)
    places = [page.index(f"({kind.noun})") for kind in KINDS.values()]
    assert places == sorted(places)

    google_page = text_of(operator, f"{ADD}?kind=google")
    assert "breach of its terms" in google_page
    assert 'name="accept_terms"' in google_page
    assert not SignIn.objects.exists()


def test_a_pasted_address_adds_the_account(
    operator: Client, google: EmulatorServer, consent: Callable[..., str]
) -> None:
    attempt = begin(operator, accept_terms="on")
    here = reverse("dashboard:sign_in", args=[attempt.pk])
    waiting = text_of(operator, here)
    assert 'target="_blank" rel="noopener noreferrer">Open Google' in waiting
    assert 'hx-trigger="every 1s"' in waiting

    operator.post(here, {"pasted": consent(attempts.google_address(attempt))})

    done = text_of(operator, here)
    assert "ada@example.com" in done
    assert "The gateway uses this account from now on." in done
    assert 'value="thresholds"' in done
    assert "hx-trigger" not in done
    assert Account.objects.get().is_usable
    assert logged() == ["Started a sign-in at Google"]


def test_without_the_notice_the_account_is_kept_unused(
    operator: Client, google: EmulatorServer, consent: Callable[..., str]
) -> None:
    attempt = begin(operator)
    attempts.finish_from_paste(attempt, consent(attempts.google_address(attempt)))
    page = text_of(operator, reverse("dashboard:sign_in", args=[attempt.pk]))
    assert "It is kept, but not used" in page
    assert 'value="accept_terms"' in page


def test_the_status_counts_down_to_the_end(operator: Client, google: EmulatorServer) -> None:
    attempt = begin(operator)
    path = reverse("dashboard:sign_in_status", args=[attempt.pk])

    waiting = operator.get(path)
    assert "9\N{NO-BREAK SPACE}min" in waiting.content.decode()
    assert "HX-Redirect" not in waiting

    SignIn.objects.update(started_at=timezone.now() - SignIn.LIFETIME)
    over = operator.get(path)
    assert "Nobody signed in within ten minutes." in over.content.decode()
    assert over["HX-Redirect"] == reverse("dashboard:sign_in", args=[attempt.pk])


def test_a_wrong_paste_leaves_the_sign_in_waiting(operator: Client, google: EmulatorServer) -> None:
    attempt = begin(operator)
    here = reverse("dashboard:sign_in", args=[attempt.pk])

    page = operator.post(here, {"pasted": SCRIPT * 1000}).content.decode()

    assert "That was not it" in page
    assert "<script>alert" not in page
    assert 'data-status="pending"' in page


def test_the_reason_of_a_failure_is_text(operator: Client, google: EmulatorServer) -> None:
    attempt = begin(operator)
    SignIn.objects.update(status="failed", reason=f"Google refused {SCRIPT}.")
    page = text_of(operator, reverse("dashboard:sign_in", args=[attempt.pk]))
    assert "Google refused &lt;script&gt;" in page
    assert "Start again" in page


def test_signing_in_again_offers_the_same_account(operator: Client, google: EmulatorServer) -> None:
    account = an_account("grace@example.com", state="invalid")
    path = f"{ADD}?account={account.pk}"
    page = text_of(operator, path)
    assert 'value="grace@example.com"' in page
    assert 'name="accept_terms" id="id_accept_terms" checked' in page
    assert begin(operator, path, email="Grace@example.com").login_hint == "grace@example.com"


@pytest.mark.parametrize("number", ["", "x", "-1", "77", "²", "9" * 5000])
def test_a_number_of_no_account_adds_a_new_one(operator: Client, google: EmulatorServer, number: str) -> None:
    assert ">Add an account</h1>" in operator.get(ADD, {"account": number}).content.decode()


@pytest.mark.parametrize("fields", [{"email": "no address"}, {"kind": "copilot"}])
def test_wrong_fields_start_no_sign_in(
    operator: Client, google: EmulatorServer, fields: dict[str, str]
) -> None:
    page = operator.post(ADD, {"kind": "google", **fields}).content.decode()
    assert '<p class="bad small" role="alert">' in page
    assert not SignIn.objects.exists()


def test_without_an_oauth_client_the_page_says_what_to_do(operator: Client, settings: Settings) -> None:
    settings.OAUTH_CLIENT_ID = ""
    page = text_of(operator, f"{ADD}?kind=google")
    assert "docs/google-oauth.md" in page
    assert "OAUTH_CLIENT_SECRET" in page
    assert "Go on" not in page


def test_a_client_that_google_refuses_starts_no_sign_in(
    operator: Client, google: EmulatorServer, settings: Settings
) -> None:
    settings.OAUTH_CLIENT_SECRET = "another"
    page = operator.post(ADD, {"kind": "google"}).content.decode()
    assert "The sign-in cannot start" in page
    assert "The provided client secret is invalid" in page
