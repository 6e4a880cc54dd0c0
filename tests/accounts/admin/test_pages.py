from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from accounts import live_settings
from accounts.models import Account, ClientProblem, LiveSetting, SharedToken, SignIn
from accounts.offers import ModelOffer
from accounts.operators import passwords
from accounts.quota.snapshots import store_quotas
from accounts.sign_in import attempts
from proxy_site.version import version

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/accounts/account/"
SETTINGS = "/settings"


@pytest.fixture
def admin_client() -> Client:
    client = Client()
    client.force_login(passwords.set_password("a long and good one"))
    return client


def text_of(client: Client, path: str) -> str:
    return client.get(path, follow=True).content.decode()


def do(client: Client, action: str, *accounts: Account) -> str:
    chosen = [str(account.pk) for account in accounts]
    answer = client.post(LIST, {"action": action, "_selected_action": chosen}, follow=True)
    return answer.content.decode()


def log_lines() -> list[str]:
    return [f"{entry.user.get_username()}: {entry.get_change_message()}" for entry in LogEntry.objects.all()]


def test_each_page_names_the_version(admin_client: Client) -> None:
    assert f"version {version()}" in text_of(admin_client, LIST)


@pytest.mark.parametrize(
    ("path", "active"),
    [
        (LIST, [LIST]),
        (f"{LIST}add/", [f"{LIST}add/"]),
        (f"{LIST}?state=ok", [LIST]),
        ("/admin/gateway/modelroute/", ["/admin/gateway/modelroute/"]),
        ("/admin/password_change/", []),
    ],
)
def test_the_menu_marks_the_entry_of_the_page_alone(
    admin_client: Client, path: str, active: list[str]
) -> None:
    assert re.findall(r'<a href="([^"]*)" class="[^"]* active"', text_of(admin_client, path)) == active


# The list


def test_an_empty_admin_says_how_to_begin(admin_client: Client) -> None:
    assert "There is no account yet" in text_of(admin_client, LIST)


def test_the_list_shows_state_tier_and_what_is_left(admin_client: Client, ada: Account) -> None:
    Account.objects.update(tier="pro")
    store_quotas(ada.pk, "cli", [ModelOffer("gemini-3-flash", "", None, None, 0.15, None)])

    page = text_of(admin_client, LIST)

    assert "ada@example.com" in page
    assert 'class="admin-badge pro"' in page
    assert "Gemini (cli)" in page
    assert 'class="fill low" style="width: 15%"' in page


@pytest.mark.parametrize(("minutes", "shown"), [(None, "never"), (0, "just now"), (125, "2\xa0hours ago")])
def test_the_list_says_when_an_account_was_last_used(
    admin_client: Client, ada: Account, minutes: int | None, shown: str
) -> None:
    used = None if minutes is None else timezone.now() - timedelta(minutes=minutes)
    Account.objects.update(last_used_at=used)

    assert shown in text_of(admin_client, LIST)


def test_viewing_pages_calls_nothing_at_google(
    admin_client: Client, ada: Account, google: EmulatorServer
) -> None:
    text_of(admin_client, LIST)
    text_of(admin_client, f"{LIST}{ada.pk}/change/")

    assert google.state.log.received == 0


def test_the_list_can_be_filtered_by_usability(admin_client: Client, ada: Account) -> None:
    Account.objects.create(
        email="broken@example.com",
        sealed_credential="-",
        state="invalid",
        terms_accepted_at=timezone.now(),
    )

    page = text_of(admin_client, f"{LIST}?usable=no")

    assert "broken@example.com" in page
    assert "ada@example.com" not in page


def test_a_wrong_client_secret_is_shown_first(admin_client: Client, ada: Account) -> None:
    ClientProblem.note("Google refuses OAUTH_CLIENT_ID or OAUTH_CLIENT_SECRET (invalid_client).")

    assert "No account is to blame" in text_of(admin_client, LIST)


# Times


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Kolkata", "Since 2026-03-01 17:30 IST"),
        ("Asia%2FKolkata", "Since 2026-03-01 17:30 IST"),
        ("America/Sao_Paulo", "Since 2026-03-01 09:00 -03"),
        ("No/Such_Zone", "Since 2026-03-01 13:00 CET"),
        ("../../etc/passwd", "Since 2026-03-01 13:00 CET"),
        ("/etc/localtime", "Since 2026-03-01 13:00 CET"),
        ("A" * 4000, "Since 2026-03-01 13:00 CET"),
        ("", "Since 2026-03-01 13:00 CET"),
    ],
)
def test_times_are_in_the_browsers_zone_or_else_in_the_settings(
    admin_client: Client, ada: Account, settings: Settings, zone: str, shown: str
) -> None:
    settings.LOCAL_TIME_ZONE = ZoneInfo("Europe/Berlin")
    ada.enter_state("invalid", "gone")
    ada.state_since = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    ada.save()
    admin_client.cookies["gateway_time_zone"] = zone

    assert shown in text_of(admin_client, f"{LIST}{ada.pk}/change/")


def test_each_page_loads_the_time_zone_script(admin_client: Client, ada: Account) -> None:
    assert "accounts/time_zone.js" in text_of(admin_client, LIST)


# One account


@pytest.mark.parametrize(
    ("state", "what_to_do"),
    [
        ("invalid", "Sign in again as this account."),
        ("needs_verification", "Open Google&#x27;s page"),
        ("disabled_by_provider", "it is never tried again by itself"),
        ("needs_project", "Set a Cloud project of your own"),
    ],
)
def test_each_state_says_why_since_when_and_what_to_do(
    admin_client: Client, ada: Account, state: str, what_to_do: str
) -> None:
    link = "https://accounts.google.com/signin/continue?sarp=1"
    ada.enter_state(state, "Google's own words <b>here</b>", link)
    ada.save()

    page = text_of(admin_client, f"{LIST}{ada.pk}/change/")

    assert "Google&#x27;s own words &lt;b&gt;here&lt;/b&gt;" in page
    assert what_to_do in page or what_to_do.replace("it is", "so it is") in page
    assert f"Since {ada.state_since:%Y-%m-%d %H:%M} UTC" in page
    assert "Sign in again" in page if state == "invalid" else "Check it again" in page


def test_thresholds_are_checked(admin_client: Client, ada: Account) -> None:
    form: dict[str, Any] = {"enabled": "on", "priority": "0", "project_id": "", "quota_threshold": "0.2"}
    page = f"{LIST}{ada.pk}/change/"

    for bad in ('{"gemini-3-flash": 1}', '{"gemini-3-flash": "x"}', "[1]", "{"):
        assert admin_client.post(page, {**form, "model_quota_thresholds": bad}).status_code == 200
    assert (
        admin_client.post(page, {**form, "model_quota_thresholds": '{"gemini-3-flash": 0.5}'}).status_code
        == 302
    )

    ada.refresh_from_db()
    assert (ada.quota_threshold, ada.model_quota_thresholds) == (0.2, {"gemini-3-flash": 0.5})


def test_switches_are_set_for_compatible_servers_only(admin_client: Client, ada: Account) -> None:
    form = {"enabled": "on", "priority": "0", "given_switches": '{"thinking": false}'}
    page = f"{LIST}{ada.pk}/change/"
    admin_client.post(page, {**form, "model_quota_thresholds": "{}"})
    assert Account.objects.get(pk=ada.pk).given_switches == {}
    Account.objects.update(kind="compatible")

    assert (
        "There are auth, system_messages"
        in admin_client.post(
            page, {**form, "model_quota_thresholds": "{}", "given_switches": '{"thoughts": false}'}
        ).content.decode()
    )
    assert admin_client.post(page, {**form, "model_quota_thresholds": "{}"}).status_code == 302
    assert Account.objects.get(pk=ada.pk).given_switches == {"thinking": False}


def test_setting_a_project_ends_the_state_needs_project(admin_client: Client, ada: Account) -> None:
    ada.enter_state(Account.State.NEEDS_PROJECT, "none")
    ada.save()

    form = {"enabled": "on", "priority": "0", "project_id": "mine", "model_quota_thresholds": "{}"}
    admin_client.post(f"{LIST}{ada.pk}/change/", form)

    ada.refresh_from_db()
    assert (ada.state, ada.project_id) == (Account.State.OK, "mine")


# What can be done, and that it is remembered


def test_accounts_are_verified_and_the_result_shown(
    admin_client: Client, ada: Account, google: EmulatorServer
) -> None:
    google.state.disable_by_provider("ada@example.com")

    page = do(admin_client, "verify_chosen", ada)

    ada.refresh_from_db()
    assert ada.state == Account.State.DISABLED_BY_PROVIDER
    assert "has been disabled" in page
    assert log_lines()[0].startswith("admin: Checked: ")


def test_the_button_checks_an_account_again(
    admin_client: Client, ada: Account, google: EmulatorServer
) -> None:
    ada.enter_state(Account.State.NEEDS_VERIFICATION, "Verify your account.")
    ada.save()

    admin_client.post(f"{LIST}{ada.pk}/verify/", follow=True)

    ada.refresh_from_db()
    assert ada.state == Account.State.OK


@pytest.mark.parametrize("act", ["verify", "refresh"])
def test_an_action_by_get_only_asks_for_confirmation(
    admin_client: Client, ada: Account, google: EmulatorServer, act: str
) -> None:
    page = text_of(admin_client, f"{LIST}{ada.pk}/{act}/")

    assert "ada@example.com" in page
    assert 'method="post"' in page
    assert (google.state.log.received, log_lines()) == (0, [])


def test_a_confirmed_action_redirects_back(
    admin_client: Client, ada: Account, google: EmulatorServer
) -> None:
    here = f"{LIST}{ada.pk}/change/"

    answer = admin_client.post(f"{LIST}{ada.pk}/refresh/", {"back": f"http://testserver{here}"})
    elsewhere = admin_client.post(f"{LIST}{ada.pk}/refresh/", {"back": "http://evil.example/admin/"})

    assert answer.headers["location"] == here
    assert elsewhere.headers["location"] == LIST
    assert log_lines() == ["admin: Refreshed the quota: works"] * 2


ACTS = [
    f"{LIST}1/verify/",
    f"{LIST}1/refresh/",
    f"{LIST}1/change/",
    f"{LIST}1/delete/",
    f"{LIST}add/",
    LIST,
    SETTINGS,
    "/admin/logout/",
]


@pytest.mark.parametrize("path", ACTS)
def test_every_admin_action_requires_a_csrf_token(path: str, ada: Account) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(passwords.set_password("a long and good one"))

    answer = strict.post(path, {"name": "FALLBACK", "value": "true", "action": "disable_chosen"})

    assert answer.status_code == 403
    assert log_lines() == []


def test_switching_off_and_on_and_accepting_the_terms(admin_client: Client, ada: Account) -> None:
    Account.objects.update(terms_accepted_at=None, state_reason="Switched off in the imported file")

    for action, expected in (("disable_chosen", False), ("enable_chosen", True)):
        do(admin_client, action, ada)
        ada.refresh_from_db()
        assert ada.enabled is expected
    assert ada.state_reason == ""
    do(admin_client, "accept_terms_chosen", ada)

    ada.refresh_from_db()
    assert ada.terms_accepted_at is not None
    assert log_lines() == [
        "admin: Accepted the notice about Google's terms",
        "admin: Enabled",
        "admin: Disabled",
    ]


def test_the_notice_is_offered_to_accounts_that_need_it(admin_client: Client, ada: Account) -> None:
    Account.objects.create(kind="gemini", given_name="Gemini key 1", terms_accepted_at=timezone.now())
    assert "accept_terms_chosen" not in text_of(admin_client, LIST)

    Account.objects.filter(pk=ada.pk).update(terms_accepted_at=None)
    assert "accept_terms_chosen" in text_of(admin_client, LIST)


def test_removing_is_confirmed_and_logged(admin_client: Client, ada: Account) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [str(ada.pk)]}

    admin_client.post(LIST, chosen)
    assert Account.objects.exists()
    admin_client.post(LIST, {**chosen, "post": "yes"})

    assert not Account.objects.exists()
    assert LogEntry.objects.get().object_repr == "ada@example.com"


def test_the_audit_log_cannot_be_changed(admin_client: Client, ada: Account) -> None:
    do(admin_client, "disable_chosen", ada)
    entry = LogEntry.objects.get()

    assert "Disabled" in text_of(admin_client, "/admin/admin/logentry/")
    assert admin_client.post(f"/admin/admin/logentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


# Adding an account


def test_a_sign_in_is_started_pasted_and_completed(
    admin_client: Client, google: EmulatorServer, consent: Callable[..., str]
) -> None:
    started = admin_client.post(f"{LIST}add/", {"email": "", "accept_terms": "on"})
    attempt = SignIn.objects.get()

    assert 'data-status="pending"' in text_of(admin_client, started.headers["location"])
    admin_client.post(started.headers["location"], {"pasted": consent(attempts.google_address(attempt))})

    page = text_of(admin_client, started.headers["location"])
    assert "Completed: ada@example.com" in page
    assert Account.objects.get().terms_accepted_at is not None


def test_a_failed_and_an_expired_sign_in_say_so(admin_client: Client, google: EmulatorServer) -> None:
    admin_client.post(f"{LIST}add/", {"email": ""})
    attempt = SignIn.objects.get()

    page = f"{LIST}sign-in/{attempt.pk}/status/"
    SignIn.objects.update(started_at=timezone.now() - SignIn.LIFETIME)
    assert "Expired" in text_of(admin_client, page)
    SignIn.objects.update(status="failed", reason="Google refused the <sign-in>.")
    assert "Google refused the &lt;sign-in&gt;." in text_of(admin_client, page)


def test_a_client_that_google_refuses_starts_no_sign_in(
    admin_client: Client, google: EmulatorServer, settings: Settings
) -> None:
    settings.OAUTH_CLIENT_SECRET = "another"

    page = admin_client.post(f"{LIST}add/", {"email": ""}).content.decode()

    assert "The sign-in cannot start" in page
    assert "The provided client secret is invalid" in page
    assert SignIn.objects.get().status == SignIn.Status.FAILED


def test_without_a_client_id_the_page_says_how_to_get_one(admin_client: Client, settings: Settings) -> None:
    settings.OAUTH_CLIENT_ID = ""

    answer = admin_client.post(f"{LIST}add/", {"email": ""})

    assert "OAUTH_CLIENT_ID is not set: create an OAuth client" in answer.content.decode()


# Settings


def test_a_setting_is_changed_shown_and_logged(admin_client: Client) -> None:
    admin_client.post(SETTINGS, {"name": "DEFAULT_COOLDOWN_MS", "value": "20000"})

    page = text_of(admin_client, SETTINGS)
    assert 'value="20000"' in page
    assert "set by admin" in page
    assert log_lines() == ["admin: Changed DEFAULT_COOLDOWN_MS to '20000'"]


def test_a_value_out_of_range_is_refused_beside_its_field(admin_client: Client) -> None:
    answer = admin_client.post(SETTINGS, {"name": "DEFAULT_COOLDOWN_MS", "value": "1"})

    assert "must be a whole number from 1000 to 600000" in answer.content.decode()
    assert not LiveSetting.objects.exists()


def test_a_value_that_cannot_work_is_shown_with_a_warning(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        live_settings.warnings, "SAFEGUARDS_MODEL", lambda value: f"Nobody offers <{value}>." if value else ""
    )
    assert b"Nobody offers" not in admin_client.get(SETTINGS).content

    admin_client.post(SETTINGS, {"name": "SAFEGUARDS_MODEL", "value": "gemni-3-flash"})

    assert b"Nobody offers &lt;gemni-3-flash&gt;." in admin_client.get(SETTINGS).content


def test_a_name_that_is_no_live_setting_is_refused(admin_client: Client) -> None:
    for name in ("SECRET_KEY", "WEBUI_PASSWORD", ""):
        admin_client.post(SETTINGS, {"name": name, "value": "x"})

    assert not LiveSetting.objects.exists()


# Secrets


def test_no_page_holds_a_secret(admin_client: Client, ada: Account, google: EmulatorServer) -> None:
    do(admin_client, "verify_chosen", ada)
    secrets = [
        ada.credential["refresh_token"],
        ada.sealed_credential,
        SharedToken.objects.get().sealed_access_token,
        google.state.client_secret,
        "a long and good one",
    ]

    pages = [LIST, f"{LIST}{ada.pk}/change/", f"{LIST}add/", SETTINGS, "/admin/admin/logentry/"]
    text = "".join(text_of(admin_client, page) for page in [*pages, f"{LIST}{ada.pk}/history/"])

    assert [secret for secret in secrets if secret in text] == []
    assert ada.credential["refresh_token"] not in f"{ada!r} {vars(ada)!r}"
