"""Sign-in at Google: the authorization URL, and the exchange of the code for a refresh token.

OAuth 2.0 for installed apps with PKCE (developers.google.com/identity/protocols/oauth2/native-app).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import certifi
import requests
import urllib3
from django.conf import settings
from oauthlib.oauth2 import InsecureTransportError, OAuth2Error, WebApplicationClient
from requests.adapters import HTTPAdapter
from requests.exceptions import ContentDecodingError
from requests_oauthlib import OAuth2Session

from accounts.google.oauth import LONGEST_TOKEN, ClientSecretWrong
from accounts.google.oauth_errors import CLIENT_ERRORS, GUIDE, explain
from accounts.network import ANSWER_BYTES, TIMEOUT_SECONDS, is_loopback, proxy_for, tls_context
from accounts.values.emails import parse_email
from accounts.values.outside import NotJson, parse_json, word
from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT_ID_MISSING = (
    'OAUTH_CLIENT_ID is not set: create an OAuth client of the type "Desktop app" at '
    "https://console.cloud.google.com/auth/clients and set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET "
    f"to what it shows. {GUIDE}"
)
CONSENT_WAS_NOT_NEW = (
    "Google sent no refresh token, which it does only at the first consent: remove this program at "
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
    """Raises ClientSecretWrong when OAUTH_CLIENT_ID is not set."""
    if not settings.OAUTH_CLIENT_ID:
        raise ClientSecretWrong(CLIENT_ID_MISSING)


def authorization_url(*, state: str, code_verifier: str, redirect_uri: str, login_hint: str = "") -> str:
    """The address at which a person signs in. Raises ClientSecretWrong when OAUTH_CLIENT_ID is not set or
    OAUTH_AUTH_URL is not https."""
    require_client_id()
    challenge = WebApplicationClient("").create_code_challenge(code_verifier, "S256")
    session = OAuth2Session(
        settings.OAUTH_CLIENT_ID, redirect_uri=redirect_uri, scope=settings.OAUTH_SCOPES, state=state
    )
    if not _as_https(settings.OAUTH_AUTH_URL).startswith("https://"):
        raise ClientSecretWrong("OAUTH_AUTH_URL must begin with https://.")
    url, _ = session.authorization_url(
        _as_https(settings.OAUTH_AUTH_URL),
        code_challenge=challenge,
        code_challenge_method="S256",
        access_type="offline",
        prompt="consent",  # without it Google sends a refresh token at the first consent only
        **({"login_hint": login_hint} if login_hint else {}),
    )
    return url.replace("https://", urlsplit(settings.OAUTH_AUTH_URL).scheme + "://", 1)


def exchange_code(*, code: str, code_verifier: str, redirect_uri: str) -> SignedIn:
    """Exchange the code for a refresh token, and look up its account. Raises SignInFailed or
    ClientSecretWrong."""
    with _session(redirect_uri) as session:
        token = _fetch_token(session, code, code_verifier)
        missing = _missing_scopes(token.get("scope"))
        if not token.get("refresh_token"):
            raise SignInFailed(CONSENT_WAS_NOT_NEW)
        refresh_token = word(token["refresh_token"], LONGEST_TOKEN)
        if refresh_token is None:
            raise SignInFailed("Google's token endpoint gave no usable refresh token.")
        return SignedIn(_fetch_email(session), refresh_token, missing)


def _missing_scopes(granted: Any) -> tuple[str, ...]:
    """The optional scopes that were not granted. Raises SignInFailed for a missing needed one. An answer
    without scopes grants all that were requested (RFC 6749, 5.1)."""
    if not isinstance(granted, list | str) or not granted:
        return ()
    names = granted.split() if isinstance(granted, str) else granted
    asked = [SAME_SCOPES.get(scope, scope) for scope in settings.OAUTH_SCOPES]
    missing = [scope for scope in dict.fromkeys(asked) if scope not in names]
    if not_done := [scope for scope in missing if scope in NEEDED_SCOPES]:
        raise SignInFailed(
            f"Google has not granted {_shown(not_done)}, which is needed: sign in again, and tick every box "
            "that Google shows."
        )
    return tuple(scope.removeprefix(SCOPE_PREFIX) for scope in missing)


def _shown(scopes: list[str]) -> str:
    return " and ".join(scope.removeprefix(SCOPE_PREFIX) for scope in scopes)


def _fetch_token(session: OAuth2Session, code: str, code_verifier: str) -> Mapping[str, Any]:
    try:
        return session.fetch_token(
            _as_https(settings.OAUTH_TOKEN_URL),
            code=code,
            code_verifier=code_verifier,
            client_secret=settings.OAUTH_CLIENT_SECRET,
            include_client_id=True,
            timeout=TIMEOUT_SECONDS,
        )
    except InsecureTransportError:
        raise ClientSecretWrong("OAUTH_TOKEN_URL must begin with https://.") from None
    except OAuth2Error as error:
        raise _sign_in_error(error) from None  # the library's error may hold the answer's text
    except (requests.RequestException, ValueError, TypeError, AttributeError, OverflowError) as error:
        # The last three: oauthlib raises them for JSON that is not an object, and for malformed lifetimes.
        raise SignInFailed(
            f"Google's token endpoint gave no usable answer ({type(error).__name__})."
        ) from None


def _sign_in_error(error: OAuth2Error) -> Exception:
    name = truncate(str(error.error or ""), 100)
    if name in CLIENT_ERRORS:
        return ClientSecretWrong(explain(name))
    if name == "invalid_grant":
        return CodeRefused("Google refuses the code: it is incomplete, has been used, or is too old.")
    return SignInFailed(f"Google's token endpoint refused: {name or 'no reason given'}.")


def _fetch_email(session: OAuth2Session) -> str:
    try:
        response = session.get(_as_https(settings.OAUTH_USERINFO_URL), timeout=TIMEOUT_SECONDS)
        person = parse_json(response.content) if response.status_code == 200 else {}
    except (requests.RequestException, ValueError) as error:
        raise SignInFailed(f"Google did not say whose account it is ({type(error).__name__}).") from None
    email = parse_email(person.get("email")) if isinstance(person, dict) else None
    if email is None or person.get("verified_email") is False:
        raise SignInFailed("Google did not say whose account it is.")
    return email


# Connections. The library refuses plain http unless an environment variable allows it for the whole process.
# So it is given https addresses, and for loopback addresses an adapter sends them as plain http.


class _BoundedAdapter(HTTPAdapter):
    """HTTP adapter that reads at most ANSWER_BYTES of JSON within TIMEOUT_SECONDS; requests itself bounds
    neither."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **{**kwargs, "stream": True})
        try:
            response._content = _read(response)
        finally:
            response.close()
        return response


def _read(response: requests.Response) -> bytes:
    """Read the body. Raises requests.RequestException, also for bodies that make requests-oauthlib fail
    otherwise."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ContentDecodingError("packed, although that was not asked for")
    content, ends_at = bytearray(), time.monotonic() + TIMEOUT_SECONDS
    try:
        while piece := response.raw.read1(ANSWER_BYTES + 1 - len(content)):
            content += piece
            if len(content) > ANSWER_BYTES:
                raise requests.RequestException(f"more than {ANSWER_BYTES} bytes")
            if time.monotonic() > ends_at:
                raise requests.Timeout("its answer drips")
        parse_json(bytes(content))
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    except NotJson as error:
        raise requests.exceptions.InvalidJSONError(str(error)) from error
    return bytes(content)


class _PlainOnLoopback(_BoundedAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


class _OurCertificates(_BoundedAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=tls_context())

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, **kwargs, ssl_context=tls_context())


def _session(redirect_uri: str) -> OAuth2Session:
    """A session for one exchange. It has no scopes, since oauthlib raises when Google grants others than
    requested."""
    session = OAuth2Session(settings.OAUTH_CLIENT_ID, redirect_uri=redirect_uri)
    session.trust_env = False
    session.max_redirects = 0  # codes and tokens are sent to the configured addresses only
    session.headers["Accept-Encoding"] = "identity"
    session.verify = settings.SSL_CERT_FILE or certifi.where()
    session.mount("https://", _OurCertificates())
    for url in (settings.OAUTH_TOKEN_URL, settings.OAUTH_USERINFO_URL):
        if _is_plain_loopback(url):
            session.mount(_as_https(url), _PlainOnLoopback())
        elif proxy := proxy_for(url):
            session.proxies[f"https://{urlsplit(url).hostname}"] = proxy
    return session


def _is_plain_loopback(url: str) -> bool:
    address = urlsplit(url)
    return address.scheme == "http" and is_loopback(address.hostname or "")


def _as_https(url: str) -> str:
    """The https form of a plain loopback address; any other address is unchanged."""
    return url.replace("http://", "https://", 1) if _is_plain_loopback(url) else url
