"""Check of OAUTH_CLIENT_ID, its secret and OAUTH_SCOPES at Google before anybody signs in.

Two requests show it. The token endpoint answers a made-up code with `invalid_client` for a wrong id or
secret, and with `invalid_grant` for a correct one (RFC 6749, 5.2: the client is authenticated first). The
authorization URL, fetched without cookies, redirects to an error page when Google refuses the id, redirect
address or scopes; captures of such redirects are published (`accounts/google/oauth_errors.py`). Errors that
depend on the account only show during the sign-in.
"""

from __future__ import annotations

import re
import secrets

from asgiref.sync import async_to_sync
from django.conf import settings

from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.google.oauth_errors import CLIENT_ERRORS, GUIDE, REMEDIES, explain, read_error_page
from accounts.google.sign_in import code_form, new_code_verifier
from accounts.network import AccountsClient, CallFailed
from accounts.values.outside import parse_object

SECRET_MISSING = (
    "OAUTH_CLIENT_SECRET is not set. The client's page at https://console.cloud.google.com/auth/clients has "
    f"it, or makes another one. {GUIDE}"
)


def check_client(address: str, redirect_uri: str) -> str:
    """Check the OAuth client. `address` is the authorization URL. Returns a note when that page could not be
    fetched, else "".

    Raises ClientSecretWrong when Google refuses the client, TokenEndpointDown when it cannot be reached.
    """
    return async_to_sync(_check)(address, redirect_uri)


async def _check(address: str, redirect_uri: str) -> str:
    client = AccountsClient()
    try:
        return await check_client_with(client, address, redirect_uri)
    finally:
        await client.close()


async def check_client_with(client: AccountsClient, address: str, redirect_uri: str) -> str:
    """Do the same as `check_client`, inside an event loop."""
    if not settings.OAUTH_CLIENT_SECRET:
        raise ClientSecretWrong(SECRET_MISSING)
    await _check_secret(client, redirect_uri)
    return await _check_page(client, address)


async def _check_secret(client: AccountsClient, redirect_uri: str) -> None:
    form = code_form(
        code=f"4/made-up-{secrets.token_hex(8)}", code_verifier=new_code_verifier(), redirect_uri=redirect_uri
    )
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
    """Check the authorization page. An unreachable page is only noted: the browser may use another proxy than
    this process."""
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
    """Return the error name in a page's text such as "Error 401: invalid_client"; empty for an unknown
    one."""
    found = re.search(rb"Error(?: \d{3})?: ([a-z_]+)", html)
    name = found[1].decode() if found else ""
    return name if name in REMEDIES else ""
