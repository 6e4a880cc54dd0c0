"""OAuth 2.0 at Google's token endpoint (developers.google.com/identity/protocols/oauth2/native-app)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from accounts.google.oauth_errors import CLIENT_ERRORS, GUIDE, explain
from accounts.network import AccountsClient, CallFailed
from accounts.values.outside import number, parse_object, word
from accounts.values.sanitize import truncate

DEFAULT_LIFETIME_SECONDS = 300.0
"""When Google says none, or one that no token has."""
LONGEST_LIFETIME_SECONDS = 24 * 3600.0
"""Google's live an hour."""
LONGEST_TOKEN = 8192
"""Google's have a few hundred characters; a header line of more is refused by servers."""


class SignInExpired(Exception):
    """`invalid_grant`: the person must sign in again. The only answer that condemns an account."""


class ClientSecretWrong(Exception):
    """Google refuses OAUTH_CLIENT_ID or its secret: the operator's matter, no account's fault."""


class TokenEndpointDown(Exception):
    """No usable answer: try again later, nothing is known about the account."""


@dataclass(frozen=True, slots=True)
class TokenGrant:
    access_token: str = field(repr=False)
    lifetime_seconds: float
    refresh_token: str | None = field(repr=False)
    """Google normally sends none on refresh; when it does, the old one may stop working."""


async def refresh_access_token(client: AccountsClient, refresh_token: str) -> TokenGrant:
    """Raises SignInExpired, ClientSecretWrong or TokenEndpointDown."""
    form = {
        "client_id": settings.OAUTH_CLIENT_ID,
        "client_secret": settings.OAUTH_CLIENT_SECRET,
        "refresh_token": refresh_token,
        "grant_type": "refresh_token",
    }
    if not settings.OAUTH_CLIENT_ID:
        raise ClientSecretWrong(f"OAUTH_CLIENT_ID is not set. {GUIDE}")
    try:
        answer = await client.post(settings.OAUTH_TOKEN_URL, data=form)
    except CallFailed as error:
        raise TokenEndpointDown(f"Google's token endpoint {error}.") from error
    said = parse_object(answer.content)
    if answer.status == 200:
        return _grant(said)
    error_name = said.get("error")
    raise _refresh_error(answer.status, error_name if isinstance(error_name, str) else "")


def _grant(answer: dict[str, Any]) -> TokenGrant:
    """A token is sent in a header: one with a line end or a letter of another alphabet could not be."""
    access_token = word(answer.get("access_token"), LONGEST_TOKEN)
    if access_token is None:
        raise TokenEndpointDown("Google's token endpoint answered without a usable access token.")
    lifetime = number(answer.get("expires_in"), 1.0, LONGEST_LIFETIME_SECONDS)
    return TokenGrant(
        access_token=access_token,
        lifetime_seconds=DEFAULT_LIFETIME_SECONDS if lifetime is None else lifetime,
        refresh_token=word(answer.get("refresh_token"), LONGEST_TOKEN),
    )


def _refresh_error(status: int, error: str) -> Exception:
    if error == "invalid_grant":
        return SignInExpired("Google says the sign-in has expired or was revoked.")
    if error in CLIENT_ERRORS:
        return ClientSecretWrong(explain(error))
    return TokenEndpointDown(
        f"Google's token endpoint answered {status} {truncate(error, 100)}".strip() + "."
    )
