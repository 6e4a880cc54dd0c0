"""The names of Google's sign-in errors, and what the operator must do about each. Pure. docs/google-oauth.md
has a row for each name."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from accounts.values.sanitize import truncate

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = "docs/google-oauth.md has all steps."
CLIENT_ERRORS = frozenset({"invalid_client", "deleted_client", "disabled_client", "unauthorized_client"})
"""Errors of OAUTH_CLIENT_ID and its secret, the same for every account."""

CLIENTS = "https://console.cloud.google.com/auth/clients"
AUDIENCE = "https://console.cloud.google.com/auth/audience"
REMEDIES = {
    "invalid_client": f"Copy both once more from {CLIENTS}, without blanks.",
    "deleted_client": f"It was deleted at Google: make another one at {CLIENTS}.",
    "disabled_client": f"It was disabled at Google: make another one at {CLIENTS}.",
    "unauthorized_client": "The sign-in was made with another OAuth client: sign in again as this account, "
    "or set the id and secret it was made with.",
    "invalid_scope": "Your OAuth client may not ask for one of OAUTH_SCOPES. Take that setting out: its "
    "default is what any client may ask for.",
    "redirect_uri_mismatch": f'Your OAuth client is not of the type "Desktop app": make one at {CLIENTS}.',
    "access_denied": "Somebody pressed Cancel there; or the account is no test user of your OAuth client: "
    f"add it at {AUDIENCE}.",
    "org_internal": "Your OAuth client is for accounts of its organization only: make its audience External "
    f"at {AUDIENCE}, or use an account of the organization.",
    "admin_policy_enforced": "The account's organization does not allow your OAuth client: ask its "
    "administrator to trust the client's id, or use another account.",
    "access_not_configured": "The account's organization does not allow your OAuth client: ask its "
    "administrator.",
    "disallowed_useragent": "Open the address in an ordinary browser, not within another app.",
    "invalid_request": 'Check that your OAuth client is of the type "Desktop app", and that OAUTH_AUTH_URL '
    "is not set.",
}
LONGEST_SAID = 300
ERROR_PATH = "/signin/oauth/error"


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """An error in the address of a page at Google, which ends a sign-in. `said` is Google's message, or
    ""."""

    error: str
    said: str = ""


def explain(error: str, said: str = "") -> str:
    """Explain an error to the operator; an unknown name is shown unchanged."""
    detail = f": {truncate(' '.join(said.split()), LONGEST_SAID).rstrip('.')}" if said.strip() else ""
    name = truncate(error, 100)
    if error in CLIENT_ERRORS:
        refused = f"Google refuses OAUTH_CLIENT_ID or OAUTH_CLIENT_SECRET ({name}{detail})."
    else:
        refused = f"Google refuses the sign-in ({name}{detail})."
    return f"{refused} {REMEDIES.get(error, '')}".strip()


def read_error_page(address: str) -> ErrorPage | None:
    """Return the error in the address of Google's error page; None for any other address.

    `authError` is a protocol buffer in base64 with the name in field 1 and the sentence in field 2, or the
    bare name, as in published addresses.
    """
    try:
        parts = urlsplit(address)
        values = parse_qs(parts.query).get("authError") if parts.path == ERROR_PATH else None
    except ValueError:
        return None
    if not values:
        return None
    if re.fullmatch("[a-z]+(_[a-z]+)+", values[0]):
        return ErrorPage(values[0])
    texts = dict(_texts(_decoded(values[0])))
    return ErrorPage(texts.get(1) or "no reason given", texts.get(2, ""))


def _decoded(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding; a blank stands for a plus sign."""
    plain = re.sub("[^A-Za-z0-9+/]", "", text.replace(" ", "+").replace("-", "+").replace("_", "/"))
    return base64.b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "=" * (-len(plain) % 4))


def _texts(message: bytes) -> Iterator[tuple[int, str]]:
    """Yield the fields that have a length, up to the first malformed one (protobuf.dev, "Encoding")."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value].decode(errors="replace")
            at += value
        elif tag & 7:
            return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read a varint: its value, and the position behind it."""
    number = shift = 0
    for byte in message[at : at + 10]:
        number |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            break
    return number, at
