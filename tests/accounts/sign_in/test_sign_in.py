from __future__ import annotations

import gzip
import itertools
import os
import socket
import time
from contextlib import ExitStack, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_from_bytes, urlsplit

import httpx
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.google.sign_in import SignInFailed, exchange_code
from accounts.models import Account, ClientProblem, SignIn
from accounts.sign_in import attempts
from accounts.sign_in.attempts import finish_from_callback, finish_from_paste, google_address
from accounts.sign_in.callback_server import CallbackListener, NoPortFree
from accounts.sign_in.pasted_address import AnswerUnusable, parse_pasted
from proxy_site.emulator.delivery.behaviour import refuse
from tests.accounts.values.any_json import TEXTS
from tests.hostile_server import answering, http

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

    Consent = Callable[..., str]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("google")]


def start(port: int = 51121, email: str = "", *, terms_accepted: bool = True) -> SignIn:
    return attempts.start(port=port, started_by="admin", terms_accepted=terms_accepted, login_hint=email)


AUTH = "https://www.googleapis.com/auth/"
NOT_FOUND = "Cg5pbnZhbGlkX2NsaWVudBIfVGhlIE9BdXRoIGNsaWVudCB3YXMgbm90IGZvdW5kLiCRAw%3D%3D"
"""`authError` of invalid_client, as it was published with a question about Azure AD B2C."""


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


# The address at Google


def test_the_address_asks_for_a_code_with_pkce_and_a_refresh_token() -> None:
    attempt = start()

    query = query_of(google_address(attempt))

    assert query["state"] == attempt.state
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert (query["access_type"], query["prompt"]) == ("offline", "consent")
    assert query["redirect_uri"] == "http://localhost:51121/oauth-callback"


def test_scopes_are_a_setting(settings: Settings) -> None:
    settings.OAUTH_SCOPES = ["one", "two"]

    assert query_of(google_address(start()))["scope"] == "one two"


def test_a_missing_client_id_names_the_remedy(settings: Settings) -> None:
    settings.OAUTH_CLIENT_ID = ""

    with pytest.raises(ClientSecretWrong, match=r"OAUTH_CLIENT_ID is not set: create an OAuth client of"):
        start()


def test_plain_http_is_used_for_loopback_only(settings: Settings) -> None:
    settings.OAUTH_AUTH_URL = "http://google.example.com/"

    with pytest.raises(ClientSecretWrong, match="must begin with https"):
        start()
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in os.environ


# Trying the client beforehand


def test_a_valid_oauth_client_passes_the_check(google: EmulatorServer) -> None:
    assert attempts.check(start()) == ""
    assert [entry.method for entry in google.state.log.entries()] == ["token", "auth"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"OAUTH_CLIENT_ID": "123.apps.googleusercontent.com"}, "OAUTH_CLIENT_ID .*was not found"),
        ({"OAUTH_CLIENT_SECRET": "wrong"}, "OAUTH_CLIENT_SECRET .*secret is invalid"),
        ({"OAUTH_CLIENT_SECRET": ""}, "OAUTH_CLIENT_SECRET is not set"),
        ({"OAUTH_SCOPES": [f"{AUTH}cloud-platform", f"{AUTH}cclog"]}, r"cannot be shown: \[.*cclog\]"),
    ],
)
def test_a_client_that_google_refuses_ends_the_attempt(
    settings: Settings, changes: dict[str, object], sentence: str
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    attempt = start()

    with pytest.raises(ClientSecretWrong, match=f"{sentence}.*google-oauth.md"):
        attempts.check(attempt)

    assert SignIn.objects.get().status == SignIn.Status.FAILED


@pytest.mark.parametrize("state", ["deleted_client", "disabled_client"])
def test_a_deleted_oauth_client_is_reported(google: EmulatorServer, state: str) -> None:
    google.state.client_state = state

    with pytest.raises(ClientSecretWrong, match="make another one"):
        attempts.check(start())


def test_a_web_client_is_told_from_a_desktop_client(google: EmulatorServer) -> None:
    google.state.registered_redirect_uris = frozenset()

    with pytest.raises(ClientSecretWrong, match='not of the type "Desktop app"'):
        attempts.check(start())


def test_without_the_token_endpoint_no_sign_in_starts(settings: Settings) -> None:
    settings.OAUTH_TOKEN_URL = "http://127.0.0.1:9/token"

    with pytest.raises(TokenEndpointDown, match=r"cannot be reached: .*Check the network"):
        attempts.check(start())


def test_an_unreachable_sign_in_page_is_only_noted(settings: Settings) -> None:
    settings.OAUTH_AUTH_URL = "http://127.0.0.1:9/auth"

    assert attempts.check(start()).startswith("Scopes and redirect address were not checked")


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [
        (http(b"<h1>401.</h1>Error: invalid_client", status="401 Unauthorized"), True),
        (http(b"<p>Error 400: invalid_scope</p>", status="400 Bad Request"), True),
        (http(b"<p>Error 400: something_new</p>", status="400 Bad Request"), False),
        (http(b"", f"Location: https://accounts.google.com/signin/oauth/error?authError={NOT_FOUND}",
              status="302 Found"), True),
        (http(b"", "Location: https://accounts.google.com/v3/signin/identifier", status="302 Found"), False),
        (http(b"", "Location: http://[", status="302 Found"), False),
        (http(b"Error 400: invalid_scope"), False),
        (http(b"x" * 2_000_000), False),
        (b"hello", False),
    ],
    ids=range(9),
)  # fmt: skip
def test_googles_sign_in_page_is_understood_in_every_form(
    answer: bytes, is_refused: bool, settings: Settings
) -> None:
    with answering([answer]) as url:
        settings.OAUTH_AUTH_URL = url

        with pytest.raises(ClientSecretWrong) if is_refused else nullcontext():
            attempts.check(start())


# Coming back


def test_a_pasted_address_completes_the_sign_in(consent: Consent) -> None:
    attempt = start()

    finish_from_paste(attempt, consent(google_address(attempt)))

    account = Account.objects.get()
    assert (attempt.status, attempt.account) == (SignIn.Status.COMPLETED, account)
    assert account.email == "ada@example.com"
    assert account.credential["refresh_token"] == "emulator-refresh-ada"
    assert account.terms_accepted_at is not None


def test_the_code_alone_is_enough(consent: Consent) -> None:
    attempt = start()
    code = query_of(consent(google_address(attempt)))["code"]

    finish_from_paste(attempt, f"  {code.replace('/', '%2F')}\n")

    assert attempt.status == SignIn.Status.COMPLETED


def test_without_the_terms_the_account_is_kept_but_not_used(consent: Consent) -> None:
    attempt = start(terms_accepted=False)

    finish_from_paste(attempt, consent(google_address(attempt)))

    assert Account.objects.get().terms_accepted_at is None


def test_a_box_that_was_not_ticked_is_named(consent: Consent) -> None:
    attempt = start()

    finish_from_paste(attempt, consent(f"{google_address(attempt)}&granted=none"))

    assert attempt.status == SignIn.Status.FAILED
    assert attempt.reason.startswith("Google has not granted cloud-platform, which is needed: sign in again")


def test_a_scope_that_is_not_needed_may_be_missing(
    consent: Consent, google: EmulatorServer, settings: Settings
) -> None:
    settings.OAUTH_SCOPES = [f"{AUTH}cloud-platform", "email", f"{AUTH}cclog"]
    google.state.client_scopes |= {f"{AUTH}cclog"}
    attempt = start()

    finish_from_paste(attempt, consent(f"{google_address(attempt)}&granted={AUTH}cloud-platform"))

    assert attempt.status == SignIn.Status.COMPLETED
    assert attempt.reason.startswith("Google has not granted cclog; the account works without.")


def test_signing_in_again_renews_the_account_and_clears_its_state(consent: Consent) -> None:
    account = Account(email="ada@example.com", enabled=False, priority=7)
    account.credential = {"refresh_token": "an old one"}
    account.enter_state(Account.State.INVALID, "expired")
    account.save()
    attempt = start()

    finish_from_paste(attempt, consent(google_address(attempt)))

    account.refresh_from_db()
    assert (account.state, account.state_reason) == (Account.State.OK, "")
    assert account.credential["refresh_token"] == "emulator-refresh-ada"
    assert (account.enabled, account.priority) == (False, 7)


def test_signing_in_as_another_account_is_remarked(consent: Consent) -> None:
    attempt = start(email="ada@example.com")

    finish_from_paste(attempt, consent(google_address(attempt), "linus@example.com"))

    assert attempt.reason == "You asked for ada@example.com, but signed in as linus@example.com."


def test_two_sign_ins_side_by_side_do_not_disturb_each_other(consent: Consent) -> None:
    first, second = start(), start()

    finish_from_callback(query_of(consent(google_address(second), "linus@example.com")))
    finish_from_callback(query_of(consent(google_address(first), "ada@example.com")))

    emails = [SignIn.objects.get(pk=one.pk).account.email for one in (first, second)]  # type: ignore[union-attr]
    assert emails == ["ada@example.com", "linus@example.com"]


# Bad answers


def test_an_address_of_another_sign_in_is_refused(consent: Consent) -> None:
    mine, other = start(), start()

    with pytest.raises(AnswerUnusable, match="belongs to another sign-in"):
        finish_from_paste(mine, consent(google_address(other)))

    assert {one.status for one in SignIn.objects.all()} == {SignIn.Status.PENDING}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": "", "code": "4/x"},
        {"state": "guessed", "code": "4/x"},
        {"state": "a\0b", "code": "4/x"},
        {"state": "\ud800", "code": "4/x"},
        {"state": "a" * 100_000, "code": "4/x"},
    ],
    ids=lambda query: ascii(query)[:30],
)
def test_an_unknown_state_is_refused(query: dict[str, str]) -> None:
    start()

    with pytest.raises(AnswerUnusable, match="belongs to no sign-in"):
        finish_from_callback(query)


def test_an_answer_counts_once(consent: Consent, google: EmulatorServer) -> None:
    attempt = start()
    answer = query_of(consent(google_address(attempt)))
    finish_from_callback(answer)

    with pytest.raises(AnswerUnusable, match=r"This sign-in is over \(completed\)"):
        finish_from_callback(answer)

    assert len(google.state.log.entries("token")) == 1


def test_a_code_of_another_sign_in_fails_by_pkce(consent: Consent) -> None:
    mine, other = start(), start()
    code = query_of(consent(google_address(other)))["code"]

    with pytest.raises(AnswerUnusable, match="Google refuses the code"):
        finish_from_paste(mine, code)

    assert not Account.objects.exists()


ADDRESS = "http://localhost:51121/oauth-callback"
CODE = "4/0AVGzR1D-the_code"


@pytest.mark.parametrize(
    "pasted",
    [
        f"{ADDRESS}?state=s&code={CODE}&scope=x",
        f"  <{ADDRESS}?state=s&code={CODE}&scope=x>.\n",
        f'"{ADDRESS}?state=s&code={CODE}&scope=x"',
        f"{ADDRESS}?state=s&code=4/0AVGz\n  R1D-the_code&scope=x",
        f"{ADDRESS}?state=s&co\r\nde={CODE}&scope=x",
        f"\x1b[200~{ADDRESS}?state=s&code={CODE}&scope=x\x1b[201~",
        f"\ufeff{ADDRESS}?state=s&code=4/0AVGz\u200bR1D-the_code&scope=x",
        f"{ADDRESS}?state=s&code={quote(CODE, safe='')}&scope=x",
        f"{ADDRESS}?state=s&code={quote(quote(CODE, safe=''))}&scope=x",
        quote(f"{ADDRESS}?state=s&code={CODE}&scope=x", safe=""),
        quote(quote(f"{ADDRESS}?state=s&code={CODE}&scope=x", safe=""), safe=""),
        f"{ADDRESS}?state=s&amp;code={CODE}&amp;scope=x",
        f"The address is: {ADDRESS}?state=s&code={CODE}&scope=x",
        f"[the page]({ADDRESS}?state=s&code={CODE}&scope=x)",
        f"localhost:51121/oauth-callback?state=s&code={CODE}",
        f"?state=s&code={CODE}",
        f"code={CODE}&state=s",
        CODE,
        f"'{CODE}'",
        "4/0AVGz\nR1D-the_code",
        quote(CODE, safe=""),
        quote(quote(CODE, safe="")),
    ],
)
def test_line_breaks_and_encodings_of_a_paste_are_undone(pasted: str) -> None:
    assert parse_pasted(pasted)["code"] == CODE


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("", "neither the address nor a code"),
        ("short", "neither the address nor a code"),
        ("two words, more than ten", "neither the address nor a code"),
        ("only words without a comma", "neither the address nor a code"),
        ("http://localhost:51121/oauth-callback?state=x", "holds no code"),
        ("https://example.com/", "holds no code"),
        ("https://accounts.google.com/o/oauth2/v2/auth?client_id=x", "Finish the sign-in there"),
        (f"{ADDRESS}?code=4/0AV%00Gz&state=s", "not whole"),
        (f"{ADDRESS}?code=4/0AV&state=s", "not whole"),
        (f"{ADDRESS}?code={CODE[:12]}", "is incomplete"),
        (f"{ADDRESS}?error=access_denied", "pressed Cancel there.*open Google's page again"),
        (f"https://accounts.google.com/signin/oauth/error?authError={NOT_FOUND}", "client was not found"),
    ],
)
def test_a_paste_that_is_no_answer_leaves_the_sign_in_waiting(pasted: str, sentence: str) -> None:
    attempt = start()

    with pytest.raises(AnswerUnusable, match=sentence):
        finish_from_paste(attempt, pasted)

    assert attempts.refresh_status(attempt).status == SignIn.Status.PENDING


def test_after_a_broken_paste_the_right_one_completes_the_sign_in(consent: Consent) -> None:
    attempt = start()
    answer = consent(google_address(attempt))

    with pytest.raises(AnswerUnusable, match="is incomplete"):
        finish_from_paste(attempt, answer.replace("&scope", "x&scope"))
    finish_from_paste(attempt, answer)

    assert attempt.status == SignIn.Status.COMPLETED


def test_an_error_from_google_ends_it_with_the_reason() -> None:
    attempt = start()

    attempt = finish_from_callback({"state": attempt.state, "error": "access_denied"})

    assert attempt.status == SignIn.Status.FAILED
    assert "Somebody pressed Cancel there" in attempt.reason


def test_after_ten_minutes_it_is_expired() -> None:
    attempt = start()
    SignIn.objects.update(started_at=timezone.now() - timedelta(minutes=10))

    with pytest.raises(AnswerUnusable, match="expired"):
        finish_from_callback({"state": attempt.state, "code": "4/some-code"})

    assert attempts.refresh_status(attempt).status == SignIn.Status.EXPIRED


def test_a_wrong_client_secret_fails_the_sign_in(consent: Consent, settings: Settings) -> None:
    attempt = start()
    answer = consent(google_address(attempt))
    settings.OAUTH_CLIENT_SECRET = "wrong"

    finish_from_paste(attempt, answer)

    assert attempt.status == SignIn.Status.FAILED
    assert "OAUTH_CLIENT_SECRET" in ClientProblem.objects.get().reason


GRANT = '{"access_token": "fresh", "refresh_token": "1//fresh", "token_type": "Bearer", '


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "[]",
        "access_token=fresh&refresh_token=fresh",
        '{"access_token": 7}',
        GRANT + '"expires_in": "nan"}',
        GRANT + '"expires_in": ' + "9" * 400 + "}",
        GRANT + '"expires_in": 1e300}',
        GRANT + '"expires_in": [1]}',
        GRANT + '"more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        GRANT + '"more": "' + "a" * 1024 * 1024 + '"}',
        GRANT.replace("1//fresh", "two\\r\\nlines") + '"expires_in": 3599}',
        GRANT.replace("1//fresh", "\\ud83d") + '"expires_in": 3599}',
        GRANT.replace('"1//fresh"', "[1]") + '"expires_in": 3599}',
        GRANT.replace('"fresh"', '"two\\r\\nlines"') + '"expires_in": 3599}',
        GRANT.replace('"fresh"', '["a"]') + '"expires_in": 3599}',
    ],
    ids=lambda body: body[-20:],
)
def test_an_invalid_token_answer_fails_the_sign_in(
    body: str, consent: Consent, google: EmulatorServer
) -> None:
    attempt = start()
    answer = consent(google_address(attempt))
    google.state.fault(refuse(200, body), method="token")

    finish_from_paste(attempt, answer)

    assert attempt.status == SignIn.Status.FAILED
    assert attempt.reason


@pytest.mark.parametrize("email", ["<img src=x>@example.com", "a\x1b[31m@example.com", "", None, 7])
def test_an_account_name_that_is_no_address_is_refused(
    email: object, consent: Consent, google: EmulatorServer
) -> None:
    attempt = start()
    google.state.fault(refuse(200, {"email": email, "verified_email": True}), method="userinfo")

    finish_from_paste(attempt, consent(google_address(attempt)))

    assert (attempt.status, attempt.reason) == ("failed", "Google did not say whose account it is.")
    assert not Account.objects.exists()


def test_an_address_that_google_has_not_verified_is_refused(consent: Consent, google: EmulatorServer) -> None:
    attempt = start()
    google.state.fault(refuse(200, {"email": "ada@example.com", "verified_email": False}), method="userinfo")

    finish_from_paste(attempt, consent(google_address(attempt)))

    assert (attempt.status, attempt.reason) == ("failed", "Google did not say whose account it is.")


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"email": "ada@example.com", "more": "' + "a" * 1024 * 1024 + '"}',
        '{"email": "\\ud83d@example.com"}',
        "NaN",
        "",
    ],
    ids=lambda body: body[-20:],
)
def test_invalid_userinfo_fails_the_sign_in(body: str, consent: Consent, google: EmulatorServer) -> None:
    attempt = start()
    google.state.fault(refuse(200, body), method="userinfo")

    finish_from_paste(attempt, consent(google_address(attempt)))

    assert (attempt.status, attempt.account) == ("failed", None)
    assert attempt.reason.startswith("Google did not say whose account it is")


def exchange() -> None:
    exchange_code(code="4/some-code", code_verifier="v" * 43, redirect_uri="http://localhost:1/x")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (http(b"{}", "Location: http://127.0.0.1:9/", status="302 Found"), r"answered 302\."),
        (http(gzip.compress(b'{"access_token": "' + b"a" * 10_000_000 + b'"}'), "Content-Encoding: gzip"),
         "more than 1 MiB"),
        (http(b"{").replace(b"length: 1", b"length: 9"), "connection broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "connection broke"),
        (b"hello", "connection broke"),
    ],
    ids=["elsewhere", "packed", "half", "chunks that are none", "no HTTP"],
)  # fmt: skip
def test_an_answer_that_is_not_read_fails_the_sign_in(
    answer: bytes, sentence: str, settings: Settings
) -> None:
    with answering([answer]) as url:
        settings.OAUTH_TOKEN_URL = url

        with pytest.raises(SignInFailed, match=f"^Google's token endpoint .*{sentence}"):
            exchange()


def test_a_slow_token_endpoint_times_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.network.TIMEOUT_SECONDS", 0.3)
    started = time.monotonic()

    with answering(itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(b" ")), 0.05) as url:
        settings.OAUTH_TOKEN_URL = url
        with pytest.raises(SignInFailed, match="has not answered within"):
            exchange()

    assert time.monotonic() - started < 3


def test_the_exchange_goes_through_the_proxy_of_the_settings(settings: Settings) -> None:
    settings.OAUTH_TOKEN_URL = "https://tokens.example.com/token"
    settings.HTTPS_PROXY = "http://127.0.0.1:9"

    with pytest.raises(SignInFailed, match="connection to the proxy could not be made"):
        exchange()


@pytest.mark.parametrize("setting", ["OAUTH_TOKEN_URL", "OAUTH_USERINFO_URL"])
def test_no_code_is_sent_while_an_address_is_plain_http(
    setting: str, settings: Settings, google: EmulatorServer
) -> None:
    setattr(settings, setting, "http://google.example.com/")

    with pytest.raises(ClientSecretWrong, match=f"^{setting} must begin with https"):
        exchange()

    assert not google.state.log.entries("token")


# The listener


def test_the_browser_comes_back_to_the_listener(consent: Consent) -> None:
    with CallbackListener() as listener:
        attempt = start(listener.port)
        answer = httpx.get(consent(google_address(attempt)))

    assert answer.status_code == 200
    assert "ada@example.com" in answer.text
    assert attempts.refresh_status(attempt).status == SignIn.Status.COMPLETED


def test_a_taken_port_moves_the_listener_and_the_redirect_address_together(
    consent: Consent, settings: Settings
) -> None:
    with socket.create_server(("127.0.0.1", settings.OAUTH_CALLBACK_PORT)), CallbackListener() as listener:
        attempt = start(listener.port)
        answer = httpx.get(consent(google_address(attempt)))

    assert listener.port in attempts.callback_ports()[1:]
    assert f"localhost:{listener.port}/" in attempt.redirect_uri
    assert answer.status_code == 200


def test_with_all_ports_taken_it_says_so(settings: Settings) -> None:
    with ExitStack() as stack:
        for port in attempts.callback_ports():
            with suppress(OSError):  # then it is taken anyhow
                stack.enter_context(socket.create_server(("127.0.0.1", port)))

        with pytest.raises(NoPortFree, match="--no-browser"):
            CallbackListener()


def test_the_listener_is_reached_from_this_machine_only() -> None:
    with CallbackListener() as listener:
        addresses = {server.server_address[0] for server in listener._servers}
        other_name = httpx.get(
            f"http://127.0.0.1:{listener.port}/oauth-callback?state=x&code=y",
            headers={"Host": "evil.example"},
        )
        other_path = httpx.get(f"http://127.0.0.1:{listener.port}/")

    assert addresses <= {"127.0.0.1", "::1"}
    assert (other_name.status_code, other_path.status_code) == (404, 404)


@pytest.mark.parametrize(
    "lines",
    [
        b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET /oauth-callback?state=x&code=y HTTP/1.1\r\nHost: [",
        b"GET /oauth-callback?state=%00&code=y HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET /oauth-callback?state=\xff&code=y HTTP/1.1\r\nHost: 127.0.0.1",
    ],
)
def test_the_listener_answers_any_request(lines: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with CallbackListener() as listener, socket.create_connection(("127.0.0.1", listener.port)) as connection:
        connection.settimeout(5)
        connection.sendall(lines + b"\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece

    assert answer[:12] in {b"HTTP/1.0 400", b"HTTP/1.0 404"}
    assert "Traceback" not in capfd.readouterr().err


@given(st.text() | TEXTS | st.binary().map(lambda raw: f"http://localhost/?{quote_from_bytes(raw)}"))
def test_any_paste_is_parsed_or_refused_with_a_sentence(pasted: str) -> None:
    with suppress(AnswerUnusable):
        assert parse_pasted(pasted).keys() & {"code", "error"}


def test_what_unauthenticated_callers_send_is_escaped() -> None:
    with CallbackListener() as listener:
        attempt = start(listener.port)
        address = f"http://127.0.0.1:{listener.port}/oauth-callback"
        answer = httpx.get(address, params={"state": attempt.state, "error": "<script>alert(1)</script>"})

    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
