"""Trying OAUTH_CLIENT_ID, its secret and OAUTH_SCOPES at Google while nobody has signed in yet.

Neither question needs a person. A made-up code at the token endpoint is answered `invalid_client` to a wrong
id or secret and `invalid_grant` to a right one (RFC 6749, 5.2: the client is authenticated first). The
address for the browser, fetched without cookies, leads to an error page at once when Google refuses id,
redirect address or scopes; captures of that are published (`accounts/google/oauth_errors.py`). What depends
on the account comes later.
"""

from __future__ import annotations

import re
import secrets

from asgiref.sync import async_to_sync
from django.conf import settings

from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.google.oauth_errors import CLIENT_ERRORS, GUIDE, REMEDIES, explain, read_error_page
from accounts.network import AccountsClient, CallFailed
from accounts.values.outside import parse_object

SECRET_MISSING = (
    "OAUTH_CLIENT_SECRET is not set. The client's page at https://console.cloud.google.com/auth/clients has "
    f"it, or makes another one. {GUIDE}"
)


def check_client(address: str, redirect_uri: str) -> str:
    """`address` is where the person would sign in. A note when that page could not be asked, else "".

    Raises ClientSecretWrong when Google refuses the client, TokenEndpointDown when the sign-in could not be
    finished.
    """
    if not settings.OAUTH_CLIENT_SECRET:
        raise ClientSecretWrong(SECRET_MISSING)
    return async_to_sync(_check)(address, redirect_uri)


async def _check(address: str, redirect_uri: str) -> str:
    client = AccountsClient()
    try:
        await _check_secret(client, redirect_uri)
        return await _check_page(client, address)
    finally:
        await client.close()


async def _check_secret(client: AccountsClient, redirect_uri: str) -> None:
    form = {
        "client_id": settings.OAUTH_CLIENT_ID,
        "client_secret": settings.OAUTH_CLIENT_SECRET,
        "grant_type": "authorization_code",
        "code": f"4/made-up-{secrets.token_hex(8)}",
        "code_verifier": secrets.token_urlsafe(32),
        "redirect_uri": redirect_uri,
    }
    try:
        answer = await client.post(settings.OAUTH_TOKEN_URL, data=form)
    except CallFailed as error:
        raise TokenEndpointDown(
            f"Google's token endpoint {error}, so that a sign-in could not be finished. Check the network, "
            "and HTTPS_PROXY if there is a proxy."
        ) from error
    said = parse_object(answer.content)
    if said.get("error") in CLIENT_ERRORS:
        raise ClientSecretWrong(f"{explain(said['error'], str(said.get('error_description', '')))} {GUIDE}")


async def _check_page(client: AccountsClient, address: str) -> str:
    """The browser may have another way to Google than this machine, so that a failure here ends nothing."""
    try:
        answer = await client.get(address)
    except CallFailed as error:
        return f"Scopes and redirect address were not checked: Google's sign-in page {error}."
    page = read_error_page(answer.headers.get("location", ""))
    if page is not None:
        raise ClientSecretWrong(f"{explain(page.error, page.said)} {GUIDE}")
    if answer.status >= 400 and (error_name := _named(answer.content)):
        raise ClientSecretWrong(f"{explain(error_name)} {GUIDE}")
    return ""


def _named(html: bytes) -> str:
    """The error that a page shows as "Error 401: invalid_client"; empty for none that is known."""
    found = re.search(rb"Error(?: \d{3})?: ([a-z_]+)", html)
    name = found[1].decode() if found else ""
    return name if name in REMEDIES else ""
