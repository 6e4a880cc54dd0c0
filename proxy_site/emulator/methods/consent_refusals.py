"""Errors before consent, and the address of Google's error page.

Google sends the browser to a page of its own, ``/signin/oauth/error?authError=...``, not back to the client.
``authError`` is a protocol buffer in base64: field 1 the error's name, 2 a sentence, 3 a page of help, 4 the
status. As in published captures of the authorization endpoint.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from proxy_site.emulator.state import EmulatorState

Form = dict[str, str]

ERROR_PATH = "/signin/oauth/error"
HELP_URL = "https://developers.google.com/identity/protocols/oauth2/native-app#authorization-errors"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

LONG_NAMES = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
SIGN_IN_SCOPES = frozenset({"openid", *LONG_NAMES, *LONG_NAMES.values()})
"""Scopes granted with the sign-in itself; every other scope has a box that the user may untick."""
PUBLIC_SCOPES = SIGN_IN_SCOPES | {"https://www.googleapis.com/auth/cloud-platform"}
"""Scopes that any client may ask for; those of Google's own clients are not among them."""

CLIENT_STATES = {
    "deleted_client": "The OAuth client was deleted.",
    "disabled_client": "The OAuth client was disabled.",
}
ACCOUNT_REFUSALS = {
    "access_denied": (403, "The app is being tested, and only approved testers may use it."),
    "admin_policy_enforced": (400, "Access to your account is restricted by policies of your organization."),
    "org_internal": (403, "The app is restricted to users within its organization."),
}
"""Errors that depend on the account, shown after one was chosen."""


class ConsentRefused(Exception):
    def __init__(self, status: int, error: str, explanation: str) -> None:
        super().__init__(explanation)
        self.status, self.error, self.explanation = status, error, explanation

    @classmethod
    def read(cls, auth_error: str) -> ConsentRefused:
        """Read the error from what ``page`` has written; an invalid request for anything else."""
        try:
            message = base64.urlsafe_b64decode(auth_error)
            error, message = _text(message)
            explanation, message = _text(message)
            _, message = _text(message)
            return cls(message[1] & 127 | message[2] << 7, error, explanation)
        except (ValueError, IndexError):
            return cls(400, "invalid_request", "The request is invalid.")

    def page(self, origin: str, client_id: str) -> str:
        """Return the address to which the browser is sent."""
        query = {
            "authError": base64.urlsafe_b64encode(self._message()).decode(),
            "client_id": client_id,
            "flowName": "GeneralOAuthFlow",
        }
        return f"{origin}{ERROR_PATH}?{urlencode(query)}"

    def _message(self) -> bytes:
        texts = (self.error, self.explanation, HELP_URL)
        fields = (
            bytes([number << 3 | 2]) + _varint(len(text.encode())) + text.encode()
            for number, text in enumerate(texts, 1)
        )
        return b"".join(fields) + bytes([4 << 3]) + _varint(self.status)


def check_consent_request(state: EmulatorState, query: Form) -> None:
    """Check a request for consent. Raises ConsentRefused."""
    if query.get("client_id") != state.client_id:
        raise ConsentRefused(401, "invalid_client", "The OAuth client was not found.")
    if state.client_state:
        raise ConsentRefused(401, state.client_state, CLIENT_STATES[state.client_state])
    _check_redirect_uri(state, query.get("redirect_uri", ""))
    if query.get("response_type") != "code":
        raise ConsentRefused(400, "invalid_request", "Required parameter is missing: response_type")
    _check_scopes(state, query.get("scope", "").split())
    if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
        explanation = "code_challenge with code_challenge_method S256 is required for this client."
        raise ConsentRefused(400, "invalid_request", explanation)


def _check_redirect_uri(state: EmulatorState, redirect_uri: str) -> None:
    """Check the redirect address: a desktop client may use any port of its machine, a web client registered
    addresses only."""
    registered = state.registered_redirect_uris
    if not (is_loopback(redirect_uri) if registered is None else redirect_uri in registered):
        raise ConsentRefused(400, "redirect_uri_mismatch", "The redirect URI is not registered.")


def _check_scopes(state: EmulatorState, scopes: list[str]) -> None:
    if not scopes:
        raise ConsentRefused(400, "invalid_request", "Missing required parameter: scope")
    if hidden := [scope for scope in scopes if scope not in state.client_scopes]:
        shown = ", ".join(hidden)
        raise ConsentRefused(400, "invalid_scope", f"Some requested scopes cannot be shown: [{shown}]")


def is_loopback(redirect_uri: str) -> bool:
    try:
        parts = urlsplit(redirect_uri)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS


def _text(message: bytes) -> tuple[str, bytes]:
    """Read the first field, and return what follows it."""
    begin = 2 if message[1] < 128 else 3
    length = message[1] if begin == 2 else message[1] & 127 | message[2] << 7
    return message[begin : begin + length].decode(), message[begin + length :]


def _varint(number: int) -> bytes:
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])
