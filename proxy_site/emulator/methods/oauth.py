"""Google's OAuth 2.0 for installed apps: the consent page, the token endpoint, userinfo.

What a client can observe is as at Google: PKCE is checked, a code works once, a refresh never brings a new
refresh token, and errors have Google's texts. Consent is one click, or none with ``auto_approve=1``; with
``granted=SCOPE`` it is given for these scopes only, as if the other boxes had been unticked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import orjson
from aiohttp import web

from proxy_site.emulator import google_errors
from proxy_site.emulator.methods.consent_refusals import (
    ACCOUNT_REFUSALS,
    CLIENT_STATES,
    LONG_NAMES,
    SIGN_IN_SCOPES,
    ConsentRefused,
    check_consent_request,
)
from proxy_site.emulator.methods.html_pages import page

if TYPE_CHECKING:
    from proxy_site.emulator.accounts import Account
    from proxy_site.emulator.methods.google_exchange import GoogleExchange
    from proxy_site.emulator.state import EmulatorState

Json = dict[str, Any]
Form = dict[str, str]

CODE_LIFETIME_SECONDS = 600.0
APPROVE_PATH = "/o/oauth2/v2/auth/approve"


@dataclass(frozen=True)
class Grant:
    """The grant that a code stands for until it is exchanged."""

    email: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    offline: bool
    expires_at: float


class TokenRefused(Exception):
    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


class OAuth:
    """The OAuth endpoints of one emulator."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._grants: dict[str, Grant] = {}

    # The consent page

    async def authorize(self, exchange: GoogleExchange) -> web.StreamResponse:
        query = dict(exchange.web_request.query)
        try:
            check_consent_request(self._state, query)
            if query.get("auto_approve") and query.get("login_hint"):
                exchange.note(outcome="answered", status=302)
                return self._redirect(exchange, query, query["login_hint"])
        except ConsentRefused as refused:
            return _refuse(exchange, refused)
        exchange.note(outcome="answered", status=200)
        return page("Sign in", _consent_page(query, self._state.accounts))

    async def approve(self, exchange: GoogleExchange) -> web.StreamResponse:
        query = dict(exchange.web_request.query)
        email = query.pop("account", "")
        exchange.note(outcome="answered", status=302)
        try:
            check_consent_request(self._state, query)
            if query.pop("decision", "allow") != "allow":
                return _redirect_to(query, error="access_denied")
            return self._redirect(exchange, query, email)
        except ConsentRefused as refused:
            return _refuse(exchange, refused)

    async def show_error(self, exchange: GoogleExchange) -> web.StreamResponse:
        """Show the page to which the browser is sent when a request for consent is refused."""
        refused = ConsentRefused.read(exchange.web_request.query.get("authError", ""))
        exchange.note(outcome="answered", status=refused.status)
        name = html.escape(f"Error {refused.status}: {refused.error}")
        content = (
            f"<h1>Access blocked: authorization error</h1><p>{html.escape(refused.explanation)}</p>"
            f'<p class="quiet">{name}</p>'
        )
        return page(name, content, refused.status)

    def _redirect(self, exchange: GoogleExchange, query: Form, email: str) -> web.Response:
        """Redirect to the client with a code. Raises ConsentRefused for an account that may not use the
        client."""
        if email not in {account.email for account in self._state.accounts}:
            return _redirect_to(query, error="access_denied")
        if error := self._state.account(email).consent_refusal:
            raise ConsentRefused(ACCOUNT_REFUSALS[error][0], error, ACCOUNT_REFUSALS[error][1])
        scope = _granted(query["scope"], exchange.web_request.query.getall("granted", None))
        return _redirect_to(query, code=self._issue_code(query, email, scope), scope=scope)

    def _issue_code(self, query: Form, email: str, scope: str) -> str:
        account = self._state.account(email)
        # Google sends a refresh token at the first consent, and later only when asked to prompt again.
        offline = query.get("access_type") == "offline"
        offline = offline and ("consent" in query.get("prompt", "") or not account.consented)
        account.consented = True
        code = f"4/emulator-{secrets.token_urlsafe(24)}"
        self._grants[code] = Grant(
            email=email,
            client_id=query["client_id"],
            redirect_uri=query["redirect_uri"],
            code_challenge=query["code_challenge"],
            scope=scope,
            offline=offline,
            expires_at=self._state.clock.now() + CODE_LIFETIME_SECONDS,
        )
        return code

    # The token endpoint

    async def token(self, exchange: GoogleExchange) -> web.StreamResponse:
        form = dict(parse_qsl(exchange.body.decode(errors="replace"), keep_blank_values=True))
        try:
            answer = self._grant(form)
        except TokenRefused as refused:
            exchange.note(outcome="refused", status=refused.status, message=str(refused))
            return _json(refused.body, refused.status)
        exchange.note(outcome="answered", status=200)
        return _json(answer)

    def _grant(self, form: Form) -> Json:
        self._check_client(form)
        grant_type = form.get("grant_type")
        if grant_type == "authorization_code":
            return self._exchange_code(form)
        if grant_type == "refresh_token":
            return self._refresh(form)
        raise TokenRefused(400, "unsupported_grant_type", f"Invalid grant_type: {grant_type or ''}")

    def _check_client(self, form: Form) -> None:
        if form.get("client_id") != self._state.client_id:
            raise TokenRefused(401, "invalid_client", "The OAuth client was not found.")
        if self._state.client_state:
            raise TokenRefused(401, self._state.client_state, CLIENT_STATES[self._state.client_state])
        given, right = form.get("client_secret", ""), self._state.client_secret
        if not hmac.compare_digest(given.encode(), right.encode()):
            raise TokenRefused(401, "invalid_client", "The provided client secret is invalid.")

    def _exchange_code(self, form: Form) -> Json:
        # Removed before it is checked: a code works once, whatever the outcome.
        grant = self._grants.pop(form.get("code", ""), None)
        if grant is None or grant.expires_at <= self._state.clock.now():
            raise TokenRefused(400, "invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise TokenRefused(400, "redirect_uri_mismatch", "Bad Request")
        if not form.get("code_verifier"):
            raise TokenRefused(400, "invalid_grant", "Missing code verifier.")
        if challenge_for(form["code_verifier"]) != grant.code_challenge:
            raise TokenRefused(400, "invalid_grant", "Invalid code verifier.")
        answer = self._access_token(grant.email, grant.scope)
        account = self._state.account(grant.email)
        if account.revoked:
            # A revoked refresh token stays invalid: a new consent creates another one.
            account.refresh_token = f"emulator-refresh-{account.short_name}-{secrets.token_hex(4)}"
            account.revoked = False
        return {**answer, "refresh_token": account.refresh_token} if grant.offline else answer

    def _refresh(self, form: Form) -> Json:
        if not form.get("refresh_token"):
            raise TokenRefused(400, "invalid_request", "Missing required parameter: refresh_token")
        if form["refresh_token"] in self._state.refresh_tokens_of_other_clients:
            raise TokenRefused(401, "unauthorized_client", "Unauthorized")
        account = self._state.account_with_refresh_token(form["refresh_token"])
        if account is None or account.revoked:
            raise TokenRefused(400, "invalid_grant", "Token has been expired or revoked.")
        return self._access_token(account.email, account.scopes)

    def _access_token(self, email: str, scope: str) -> Json:
        access_token, lifetime = self._state.issue_access_token(email)
        return {
            "access_token": access_token,
            "expires_in": int(lifetime),
            "scope": scope,
            "token_type": "Bearer",
        }


def userinfo(exchange: GoogleExchange) -> Json:
    account = exchange.account_or_none
    if account is None:
        raise google_errors.unauthenticated()
    return {
        "id": str(int.from_bytes(hashlib.sha256(account.email.encode()).digest()[:8])),
        "email": account.email,
        "verified_email": True,
        "name": account.name,
        "picture": "",
    }


def challenge_for(code_verifier: str) -> str:
    """Compute the PKCE challenge (RFC 7636, method S256)."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _granted(asked: str, ticked: list[str] | None) -> str:
    """Return the granted scopes by their long names, as Google has them. ``ticked`` None: all of them."""
    return " ".join(
        LONG_NAMES.get(scope, scope)
        for scope in asked.split()
        if ticked is None or scope in SIGN_IN_SCOPES or scope in ticked
    )


def _redirect_to(query: Form, **answer: str) -> web.Response:
    if "state" in query:
        answer["state"] = query["state"]
    separator = "&" if "?" in query["redirect_uri"] else "?"
    location = query["redirect_uri"] + separator + urlencode(answer)
    return web.Response(status=302, headers={"Location": location})


def _json(body: Json, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers=headers
    )


# Pages


def _refuse(exchange: GoogleExchange, refused: ConsentRefused) -> web.Response:
    exchange.note(outcome="refused", status=302, message=refused.explanation)
    request = exchange.web_request
    location = refused.page(str(request.url.origin()), request.query.get("client_id", ""))
    return web.Response(status=302, headers={"Location": location})


def _consent_page(query: Form, accounts: list[Account]) -> str:
    chosen = query.get("login_hint") or (accounts[0].email if accounts else "")
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in query.items()
    )
    choices = "".join(_choice(account, checked=account.email == chosen) for account in accounts)
    boxes = "".join(_box(scope) for scope in query["scope"].split() if scope not in SIGN_IN_SCOPES)
    return (
        "<h1>Choose an account</h1>"
        '<p class="quiet">This is the emulator. It stands in for Google; nobody is signed in anywhere.</p>'
        f'<form action="{APPROVE_PATH}" method="get">{hidden}{choices}'
        f'<input type="hidden" name="granted" value="">{boxes}'
        '<p><button class="main" name="decision" value="allow">Allow</button> '
        '<button name="decision" value="deny">Cancel</button></p></form>'
    )


def _choice(account: Account, *, checked: bool) -> str:
    email = html.escape(account.email)
    mark = " checked" if checked else ""
    return (
        f'<label><input type="radio" name="account" value="{email}" required{mark}> '
        f'{html.escape(account.name)} <span class="quiet">{email}</span></label>'
    )


def _box(scope: str) -> str:
    value = html.escape(scope)
    return f'<label><input type="checkbox" name="granted" value="{value}" checked> {value}</label>'
