"""The page on which a person verifies an account that Google asks to verify: one click does it.

Google's own asks for a password and a phone.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from proxy_site.emulator import google_errors
from proxy_site.emulator.methods.html_pages import page

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.accounts import Account
    from proxy_site.emulator.methods.google_exchange import GoogleExchange

VERIFY_PATH = "/signin/continue"


def verification_url(origin: str, email: str) -> str:
    """Return the page's address. `origin` is the emulator's own address."""
    return f"{origin}{VERIFY_PATH}?{urlencode({'Email': email})}"


async def show(exchange: GoogleExchange) -> web.StreamResponse:
    account = _account(exchange)
    exchange.note(outcome="answered", status=200)
    if account.verification_url is None:
        return page("Verify it's you", _nothing_to_do(account))
    return page("Verify it's you", _question(account))


async def verify(exchange: GoogleExchange) -> web.StreamResponse:
    account = _account(exchange)
    account.verification_url = None
    exchange.note(outcome="answered", status=200)
    return page("Verified", _nothing_to_do(account))


def _account(exchange: GoogleExchange) -> Account:
    """Return the account that the address names. Raises Refusal."""
    try:
        return exchange.state.account(exchange.web_request.query.get("Email", ""))
    except KeyError as error:
        raise google_errors.not_found() from error


def _question(account: Account) -> str:
    return (
        f"<h1>Verify it's you</h1><p>{html.escape(account.email)} must be verified before it may be used.</p>"
        '<p class="quiet">This is the emulator. It stands in for Google; nobody is signed in anywhere.</p>'
        '<form method="post"><p><button class="main">It is me</button></p></form>'
    )


def _nothing_to_do(account: Account) -> str:
    return (
        f"<h1>{html.escape(account.email)} is verified</h1>"
        "<p>Close this page, and have the gateway check the account again.</p>"
    )
