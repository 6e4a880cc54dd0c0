from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from proxy_site.emulator.methods.consent_refusals import ConsentRefused
from proxy_site.emulator.methods.oauth import challenge_for

if TYPE_CHECKING:
    import httpx

    from proxy_site.emulator.server import EmulatorServer

VERIFIER = "a-verifier-that-is-long-enough-to-be-one-of-them"
REDIRECT_URI = "http://localhost:51121/oauth-callback"


def consent_query(**changes: str) -> dict[str, str]:
    query = {
        "client_id": "emulator-client-id",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "access_type": "offline",
        "prompt": "consent",
        "code_challenge": challenge_for(VERIFIER),
        "code_challenge_method": "S256",
        "state": "the-state",
        **changes,
    }
    return {name: value for name, value in query.items() if value}


def authorize(http: httpx.Client, **changes: str) -> httpx.Response:
    query = consent_query(login_hint="ada@example.com", auto_approve="1", **changes)
    return http.get(f"/o/oauth2/v2/auth?{urlencode(query)}")


def answer_in(redirect: httpx.Response) -> dict[str, str]:
    query = parse_qs(urlsplit(redirect.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def a_code(http: httpx.Client, **changes: str) -> str:
    return answer_in(authorize(http, **changes))["code"]


def exchange(http: httpx.Client, code: str, **changes: str) -> httpx.Response:
    form = {
        "client_id": "emulator-client-id",
        "client_secret": "emulator-client-secret",
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT_URI,
        **changes,
    }
    return http.post("/token", data={name: value for name, value in form.items() if value})


def refresh(http: httpx.Client, **changes: str) -> httpx.Response:
    form = {
        "client_id": "emulator-client-id",
        "client_secret": "emulator-client-secret",
        "grant_type": "refresh_token",
        "refresh_token": "emulator-refresh-ada",
        **changes,
    }
    return http.post("/token", data={name: value for name, value in form.items() if value})


def test_a_code_becomes_tokens_and_the_token_says_who_it_is(http: httpx.Client) -> None:
    redirect = authorize(http)
    assert redirect.status_code == 302
    assert redirect.headers["location"].startswith(REDIRECT_URI)
    assert answer_in(redirect)["state"] == "the-state"

    tokens = exchange(http, answer_in(redirect)["code"]).json()

    assert tokens["refresh_token"] == "emulator-refresh-ada"
    assert (tokens["expires_in"], tokens["token_type"]) == (3599, "Bearer")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    user = http.get("/oauth2/v1/userinfo", headers=bearer).json()
    assert (user["email"], user["verified_email"]) == ("ada@example.com", True)


def test_the_consent_page_offers_every_account_and_echoes_nothing_unescaped(http: httpx.Client) -> None:
    query = urlencode(consent_query(state='"><script>'))

    page = http.get(f"/o/oauth2/v2/auth?{query}").text

    assert "ada@example.com" in page
    assert "linus@example.com" in page
    assert "<script>" not in page


def test_the_allow_button_redirects_with_a_code(http: httpx.Client) -> None:
    query = consent_query(account="grace@example.com", decision="allow")

    redirect = http.get(f"/o/oauth2/v2/auth/approve?{urlencode(query)}")

    assert exchange(http, answer_in(redirect)["code"]).json()["refresh_token"] == "emulator-refresh-grace"


def test_the_cancel_button_redirects_with_access_denied(http: httpx.Client) -> None:
    query = consent_query(account="grace@example.com", decision="deny")

    redirect = http.get(f"/o/oauth2/v2/auth/approve?{urlencode(query)}")

    assert answer_in(redirect) == {"error": "access_denied", "state": "the-state"}


CCLOG = "https://www.googleapis.com/auth/cclog"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "somebody-else"}, 401, "invalid_client"),
        ({"redirect_uri": "https://example.com/callback"}, 400, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, 400, "redirect_uri_mismatch"),
        ({"response_type": "token"}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"scope": f"{PLATFORM} {CCLOG}"}, 400, "invalid_scope"),
        ({"code_challenge": ""}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
    ],
)
def test_a_wrong_consent_request_ends_at_googles_own_page(
    http: httpx.Client, change: dict[str, str], status: int, error: str
) -> None:
    redirect = authorize(http, **change)

    assert redirect.status_code == 302
    assert urlsplit(redirect.headers["location"]).path == "/signin/oauth/error"
    page = http.get(redirect.headers["location"])
    assert page.status_code == status
    assert f"Error {status}: {error}" in page.text


def test_the_error_address_has_the_form_that_was_captured_at_google() -> None:
    refused = ConsentRefused(401, "invalid_client", "The OAuth client was not found.")

    (auth_error,) = parse_qs(urlsplit(refused.page("", "id")).query)["authError"]

    # From a troubleshooting page about Azure AD B2C; it leaves out the address of help (field 3).
    captured = base64.b64decode("Cg5pbnZhbGlkX2NsaWVudBIfVGhlIE9BdXRoIGNsaWVudCB3YXMgbm90IGZvdW5kLiCRAw==")
    ours = base64.urlsafe_b64decode(auth_error)
    assert (ours[:49], ours[-3:]) == (captured[:49], captured[-3:])


@pytest.mark.parametrize("error", ["access_denied", "admin_policy_enforced", "org_internal"])
def test_an_account_that_may_not_use_the_client_is_told_so_by_google(
    google: EmulatorServer, http: httpx.Client, error: str
) -> None:
    google.state.account("ada@example.com").consent_refusal = error

    redirect = authorize(http)

    assert ConsentRefused.read(answer_in(redirect)["authError"]).error == error


@pytest.mark.parametrize("state", ["deleted_client", "disabled_client"])
def test_a_client_that_is_gone_is_refused_everywhere(
    google: EmulatorServer, http: httpx.Client, state: str
) -> None:
    google.state.client_state = state

    assert ConsentRefused.read(answer_in(authorize(http))["authError"]).error == state
    assert refresh(http).json()["error"] == state


def test_a_web_client_is_redirected_to_registered_addresses_only(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.registered_redirect_uris = frozenset({"https://example.com/callback"})

    assert "authError" in answer_in(authorize(http))
    assert "code" in answer_in(authorize(http, redirect_uri="https://example.com/callback"))


def test_boxes_that_are_unticked_are_not_granted(http: httpx.Client) -> None:
    redirect = authorize(http, scope=f"{PLATFORM} {EMAIL}", granted="none of them")

    assert answer_in(redirect)["scope"] == EMAIL
    assert exchange(http, answer_in(redirect)["code"]).json()["scope"] == EMAIL


@pytest.mark.parametrize("host", ["127.0.0.1:51126", "[::1]:51122", "localhost"])
def test_any_loopback_address_may_be_redirected_to(http: httpx.Client, host: str) -> None:
    assert authorize(http, redirect_uri=f"http://{host}/oauth-callback").status_code == 302


def test_a_code_works_once(http: httpx.Client) -> None:
    code = a_code(http)
    assert exchange(http, code).status_code == 200

    again = exchange(http, code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_works_for_ten_minutes(google: EmulatorServer, http: httpx.Client) -> None:
    code = a_code(http)
    google.state.clock.advance(601)

    assert exchange(http, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"code_verifier": "another-verifier"}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
        ({"redirect_uri": "http://localhost:51122/oauth-callback"}, 400, "redirect_uri_mismatch"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_code_is_refused_when_something_does_not_fit(
    http: httpx.Client, change: dict[str, str], status: int, error: str
) -> None:
    answer = exchange(http, a_code(http), **change)

    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_without_offline_access_there_is_no_refresh_token(http: httpx.Client) -> None:
    assert "refresh_token" not in exchange(http, a_code(http, access_type="online")).json()


def test_a_second_consent_brings_a_refresh_token_only_when_prompted(http: httpx.Client) -> None:
    a_code(http)

    assert "refresh_token" not in exchange(http, a_code(http, prompt="")).json()
    assert "refresh_token" in exchange(http, a_code(http)).json()


def test_a_refresh_brings_an_access_token_and_no_refresh_token(http: httpx.Client) -> None:
    answer = refresh(http)

    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "expires_in", "scope", "token_type"}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"refresh_token": "never-seen"}, 400, "invalid_grant"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"refresh_token": "of another client"}, 401, "unauthorized_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
    ],
)
def test_a_refresh_is_refused_like_google_does(
    google: EmulatorServer, http: httpx.Client, change: dict[str, str], status: int, error: str
) -> None:
    google.state.refresh_tokens_of_other_clients.add("of another client")

    answer = refresh(http, **change)

    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_revoked_account_gets_invalid_grant_and_its_tokens_die(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.revoke("ada@example.com")

    answer = refresh(http)
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "Token has been expired or revoked.",
    }
    assert http.get("/oauth2/v1/userinfo").status_code == 401


def test_consenting_after_revoking_brings_another_refresh_token(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.revoke("ada@example.com")

    refresh_token = exchange(http, a_code(http)).json()["refresh_token"]

    assert refresh_token != "emulator-refresh-ada"
    assert refresh(http, refresh_token=refresh_token).status_code == 200
    assert refresh(http).json()["error"] == "invalid_grant"


def test_access_tokens_live_as_long_as_they_say(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.token_lifetime_seconds = 120
    tokens = refresh(http).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert tokens["expires_in"] == 120

    google.state.clock.advance(119)
    assert http.get("/oauth2/v1/userinfo", headers=bearer).status_code == 200

    google.state.clock.advance(1)
    assert http.get("/oauth2/v1/userinfo", headers=bearer).status_code == 401


def test_the_token_endpoint_can_be_down(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("unavailable", method="token", times=2)

    assert [refresh(http).status_code for _ in range(3)] == [503, 503, 200]
