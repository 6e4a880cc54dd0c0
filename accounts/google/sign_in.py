"""Sign-in at Google: the authorization URL, and the exchange of the code for a refresh token.

OAuth 2.0 for installed apps with PKCE (developers.google.com/identity/protocols/oauth2/native-app).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from asgiref.sync import async_to_sync
from django.conf import settings
from oauthlib.oauth2 import WebApplicationClient

from accounts.google.oauth import (
    ClientSecretWrong,
    OwnerNotNamed,
    SignInExpired,
    TokenEndpointDown,
    fetch_email,
    request_token,
)
from accounts.google.oauth_errors import GUIDE
from accounts.network import AccountsClient, is_loopback

CLIENT_ID_MISSING = (
    'OAUTH_CLIENT_ID is not set: create an OAuth client of the type "Desktop app" at '
    "https://console.cloud.google.com/auth/clients and set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET "
    f"to what it shows. {GUIDE}"
)
CONSENT_WAS_NOT_NEW = (
    "Google sent no usable refresh token. It sends one only at the first consent: remove this program at "
    "https://myaccount.google.com/permissions and sign in again."
)


SCOPE_PREFIX = "https://www.googleapis.com/auth/"
NEEDED_SCOPES = {f"{SCOPE_PREFIX}cloud-platform", f"{SCOPE_PREFIX}userinfo.email"}
SAME_SCOPES = {"email": f"{SCOPE_PREFIX}userinfo.email", "profile": f"{SCOPE_PREFIX}userinfo.profile"}
"""Short names of scopes, for which Google's answer has the long name."""


class SignInFailed(Exception):
    """The sign-in has failed; the text is the reason, for the operator."""


class CodeRefused(SignInFailed):
    """The code is incomplete, already used, or too old; another code may work."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    email: str
    refresh_token: str
    missing_scopes: tuple[str, ...] = ()
    """Optional scopes that were requested and not granted, without SCOPE_PREFIX."""

    def __repr__(self) -> str:
        return f"SignedIn({self.email!r})"


def new_code_verifier() -> str:
    return str(WebApplicationClient("").create_code_verifier(64))


def require_client_id() -> None:
    """Raise ClientSecretWrong when OAUTH_CLIENT_ID is not set."""
    if not settings.OAUTH_CLIENT_ID:
        raise ClientSecretWrong(CLIENT_ID_MISSING)


def authorization_url(*, state: str, code_verifier: str, redirect_uri: str, login_hint: str = "") -> str:
    """Return the address at which a person signs in. Raises ClientSecretWrong when OAUTH_CLIENT_ID is not set
    or OAUTH_AUTH_URL is not https."""
    require_client_id()
    _refuse_plain_http("OAUTH_AUTH_URL")
    address = urlsplit(settings.OAUTH_AUTH_URL)
    client = WebApplicationClient(settings.OAUTH_CLIENT_ID)
    url = client.prepare_request_uri(
        address._replace(scheme="https").geturl(),  # the library refuses any other
        redirect_uri=redirect_uri,
        scope=" ".join(settings.OAUTH_SCOPES),
        state=state,
        code_challenge=client.create_code_challenge(code_verifier, "S256"),
        code_challenge_method="S256",
        access_type="offline",
        prompt="consent",  # without it Google sends a refresh token at the first consent only
        login_hint=login_hint,
    )
    return urlsplit(url)._replace(scheme=address.scheme).geturl()


def code_form(*, code: str, code_verifier: str, redirect_uri: str) -> dict[str, str]:
    """Return the form fields of a code for the token endpoint."""
    body = WebApplicationClient(settings.OAUTH_CLIENT_ID).prepare_request_body(
        code=code,
        code_verifier=code_verifier,
        redirect_uri=redirect_uri,
        client_secret=settings.OAUTH_CLIENT_SECRET,
    )
    return dict(parse_qsl(body, keep_blank_values=True))


def exchange_code(*, code: str, code_verifier: str, redirect_uri: str) -> SignedIn:
    """Exchange the code for a refresh token, and look up its account. Raises SignInFailed or
    ClientSecretWrong."""
    _refuse_plain_http("OAUTH_TOKEN_URL")
    _refuse_plain_http("OAUTH_USERINFO_URL")
    form = code_form(code=code, code_verifier=code_verifier, redirect_uri=redirect_uri)
    return async_to_sync(_exchange)(form)


async def _exchange(form: dict[str, str]) -> SignedIn:
    client = AccountsClient()
    try:
        grant = await request_token(client, form)
        missing = _missing_scopes(grant.scopes)
        if grant.refresh_token is None:
            raise SignInFailed(CONSENT_WAS_NOT_NEW)
        return SignedIn(await fetch_email(client, grant.access_token), grant.refresh_token, missing)
    except SignInExpired:
        text = "Google refuses the code: it is incomplete, has been used, or is too old."
        raise CodeRefused(text) from None
    except (TokenEndpointDown, OwnerNotNamed) as error:
        raise SignInFailed(str(error)) from error
    finally:
        await client.close()


def _missing_scopes(granted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the optional scopes that were not granted. Raises SignInFailed when a needed scope is missing.
    An answer without scopes grants all that were requested (RFC 6749, 5.1)."""
    if not granted:
        return ()
    asked = [SAME_SCOPES.get(scope, scope) for scope in settings.OAUTH_SCOPES]
    missing = [scope for scope in dict.fromkeys(asked) if scope not in granted]
    if not_done := [scope for scope in missing if scope in NEEDED_SCOPES]:
        raise SignInFailed(
            f"Google has not granted {_shown(not_done)}, which is needed: sign in again, and tick every box "
            "that Google shows."
        )
    return tuple(scope.removeprefix(SCOPE_PREFIX) for scope in missing)


def _shown(scopes: list[str]) -> str:
    return " and ".join(scope.removeprefix(SCOPE_PREFIX) for scope in scopes)


def _refuse_plain_http(setting: str) -> None:
    """Raise ClientSecretWrong for an address with plain HTTP, since its secrets could be read on the way.
    Loopback may be plain."""
    address = urlsplit(getattr(settings, setting))
    is_plain_loopback = address.scheme == "http" and is_loopback(address.hostname or "")
    if address.scheme != "https" and not is_plain_loopback:
        raise ClientSecretWrong(f"{setting} must begin with https://.")
