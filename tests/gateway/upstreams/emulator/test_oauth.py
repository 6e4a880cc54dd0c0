from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.upstreams.emulator.oauth import challenge_for

if TYPE_CHECKING:
    import httpx

    from gateway.upstreams.emulator.server import EmulatorServer

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


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "somebody-else"}, 401, "invalid_client"),
        ({"redirect_uri": "https://example.com/callback"}, 400, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, 400, "redirect_uri_mismatch"),
        ({"response_type": "token"}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"code_challenge": ""}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
    ],
)
def test_a_consent_request_that_is_wrong_gets_a_page_and_no_redirect(
    http: httpx.Client, change: dict[str, str], status: int, error: str
) -> None:
    answer = authorize(http, **change)

    assert answer.status_code == status
    assert f"Error {status}: {error}" in answer.text


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
        ({"client_secret": "wrong"}, 401, "invalid_client"),
    ],
)
def test_a_refresh_is_refused_like_google_does(
    http: httpx.Client, change: dict[str, str], status: int, error: str
) -> None:
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
