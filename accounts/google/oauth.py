"""OAuth 2.0 at Google's token endpoint (developers.google.com/identity/protocols/oauth2/native-app)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from accounts.google.oauth_errors import CLIENT_ERRORS, GUIDE, explain
from accounts.network import AccountsClient, CallFailed
from accounts.values.emails import parse_email
from accounts.values.outside import number, parse_object, word
from accounts.values.sanitize import truncate

DEFAULT_LIFETIME_SECONDS = 300.0
"""The lifetime that is assumed when Google reports none, or an implausible one."""
LONGEST_LIFETIME_SECONDS = 24 * 3600.0
"""The longest plausible lifetime; Google's tokens are valid for an hour."""
LONGEST_TOKEN = 8192
"""The longest token in characters. Google's have a few hundred; servers refuse longer header lines."""


class SignInExpired(Exception):
    """`invalid_grant`: the account must be signed in again. The only answer that marks an account invalid."""


class ClientSecretWrong(Exception):
    """Google refuses OAUTH_CLIENT_ID or its secret. The operator must correct them; the accounts are
    unaffected."""


class TokenEndpointDown(Exception):
    """No usable answer of the token endpoint. It says nothing about the account, so try again later."""


class OwnerNotNamed(Exception):
    """Raised when Google does not say which account an access token belongs to."""


@dataclass(frozen=True, slots=True)
class TokenGrant:
    access_token: str = field(repr=False)
    lifetime_seconds: float
    refresh_token: str | None = field(repr=False)
    """A new refresh token, with which the old one may stop working; None in most answers to a refresh."""
    scopes: tuple[str, ...] = ()
    """The granted scopes; empty when Google names none."""


async def refresh_access_token(client: AccountsClient, refresh_token: str) -> TokenGrant:
    """Exchange a refresh token for an access token. Raises SignInExpired, ClientSecretWrong or
    TokenEndpointDown."""
    form = {
        "client_id": settings.OAUTH_CLIENT_ID,
        "client_secret": settings.OAUTH_CLIENT_SECRET,
        "refresh_token": refresh_token,
        "grant_type": "refresh_token",
    }
    if not settings.OAUTH_CLIENT_ID:
        raise ClientSecretWrong(f"OAUTH_CLIENT_ID is not set. {GUIDE}")
    return await request_token(client, form)


async def request_token(client: AccountsClient, form: dict[str, str]) -> TokenGrant:
    """Ask the token endpoint. Raises SignInExpired, also for a refused code, ClientSecretWrong or
    TokenEndpointDown."""
    try:
        answer = await client.post(settings.OAUTH_TOKEN_URL, data=form)
    except CallFailed as error:
        raise TokenEndpointDown(f"Google's token endpoint {error}.") from error
    said = parse_object(answer.content)
    if answer.status == 200:
        return _grant(said)
    error_name = said.get("error")
    raise _refresh_error(answer.status, error_name if isinstance(error_name, str) else "")


async def fetch_email(client: AccountsClient, access_token: str) -> str:
    """Return the e-mail address of the token's account. Raises OwnerNotNamed, also for an address that Google
    has not verified."""
    bearer = {"Authorization": f"Bearer {access_token}"}
    try:
        answer = await client.get(settings.OAUTH_USERINFO_URL, headers=bearer)
    except CallFailed as error:
        raise OwnerNotNamed(f"Google did not say whose account it is: its userinfo {error}.") from error
    person = parse_object(answer.content) if answer.status == 200 else {}
    email = parse_email(person.get("email"))
    if email is None or person.get("verified_email") is False:
        raise OwnerNotNamed("Google did not say whose account it is.")
    return email


def _grant(answer: dict[str, Any]) -> TokenGrant:
    """Check the fields of an answer. The token is sent in a header, so it must be visible ASCII without line
    ends."""
    access_token = word(answer.get("access_token"), LONGEST_TOKEN)
    if access_token is None:
        raise TokenEndpointDown("Google's token endpoint answered without a usable access token.")
    lifetime = number(answer.get("expires_in"), 1.0, LONGEST_LIFETIME_SECONDS)
    return TokenGrant(
        access_token=access_token,
        lifetime_seconds=DEFAULT_LIFETIME_SECONDS if lifetime is None else lifetime,
        refresh_token=word(answer.get("refresh_token"), LONGEST_TOKEN),
        scopes=tuple(scope.split()) if isinstance(scope := answer.get("scope"), str) else (),
    )


def _refresh_error(status: int, error: str) -> Exception:
    if error == "invalid_grant":
        return SignInExpired("Google says the sign-in has expired or was revoked.")
    if error in CLIENT_ERRORS:
        return ClientSecretWrong(explain(error))
    return TokenEndpointDown(
        f"Google's token endpoint answered {status} {truncate(error, 100)}".strip() + "."
    )
