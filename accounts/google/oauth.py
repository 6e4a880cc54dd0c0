"""OAuth 2.0 at Google's token endpoint (developers.google.com/identity/protocols/oauth2/native-app)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson
from django.conf import settings

if TYPE_CHECKING:
    from accounts.outbound import AccountsClient

DEFAULT_LIFETIME_SECONDS = 300.0


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
        raise ClientSecretWrong("OAUTH_CLIENT_ID is not set.")
    try:
        response = await client.post(settings.OAUTH_TOKEN_URL, data=form)
    except httpx.HTTPError as error:
        raise TokenEndpointDown(f"Google's token endpoint cannot be reached: {error!r}") from error
    answer = _json_object(response)
    if response.status_code == 200:
        return _grant(answer)
    raise _refusal(response.status_code, str(answer.get("error", "")))


def _json_object(response: httpx.Response) -> dict[str, Any]:
    """orjson: the standard library would take NaN and Infinity for numbers."""
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _grant(answer: dict[str, Any]) -> TokenGrant:
    access_token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(access_token, str) or not access_token:
        raise TokenEndpointDown("Google's token endpoint answered without an access token.")
    refresh_token = answer.get("refresh_token")
    return TokenGrant(
        access_token=access_token,
        lifetime_seconds=float(lifetime) if isinstance(lifetime, int | float) else DEFAULT_LIFETIME_SECONDS,
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
    )


def _refusal(status: int, error: str) -> Exception:
    if error == "invalid_grant":
        return SignInExpired("Google says the sign-in has expired or was revoked.")
    if error in {"invalid_client", "unauthorized_client"}:
        return ClientSecretWrong(f"Google refuses OAUTH_CLIENT_ID or OAUTH_CLIENT_SECRET ({error}).")
    return TokenEndpointDown(f"Google's token endpoint answered {status} {error}".strip() + ".")
