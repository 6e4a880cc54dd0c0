"""One request at Google's Cloud Code or sign-in, with its account and that account's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator import google_errors
from proxy_site.emulator.accounts import CLOUD_PLATFORM
from proxy_site.emulator.exchange import Exchange
from proxy_site.emulator.log import decoded
from proxy_site.emulator.models import HeaderMode, header_mode_for
from proxy_site.emulator.pretend_model.safety_check import is_safety_check
from proxy_site.emulator.state import GENERATE_METHODS

if TYPE_CHECKING:
    from proxy_site.emulator.accounts import Account
    from proxy_site.emulator.google_errors import Json
    from proxy_site.emulator.log import Purpose
    from proxy_site.emulator.rules import wire


class GoogleExchange(Exchange):
    """A request to Google. The account is that of the access token."""

    provider = "cloud_code"
    account_or_none: Account | None = None

    def identify(self) -> None:
        scheme, _, token = self.web_request.headers.get("Authorization", "").partition(" ")
        self.account_or_none = self.state.account_for_token(token) if scheme.lower() == "bearer" else None
        self.entry.account = self.account_or_none.email if self.account_or_none else None
        if self.method in GENERATE_METHODS:
            self.entry.model, self.entry.purpose = _model_of(self.payload), _purpose_of(self.payload)

    @property
    def mode(self) -> HeaderMode:
        return header_mode_for(self.web_request.headers.get("User-Agent", ""))

    @property
    def account(self) -> Account:
        """Return the account of the access token. Raises 401 without one, 403 for an account that was
        disabled by Google or signed in without the scope."""
        if self.account_or_none is None:
            raise google_errors.unauthenticated()
        if self.account_or_none.disabled_by_provider:
            raise google_errors.account_disabled()
        if CLOUD_PLATFORM not in self.account_or_none.scopes.split():
            raise google_errors.insufficient_scopes()
        return self.account_or_none

    @property
    def usable_account(self) -> Account:
        """Return the account, if Google allows it to use models. loadCodeAssist answers other accounts as
        well."""
        account = self.account
        if account.verification_url is not None:
            raise google_errors.verification_required(account.verification_url)
        if not account.licensed:
            raise google_errors.no_licence()
        return account

    def json(self) -> Json:
        """Return the decoded body; an empty body is an empty message."""
        if not self.body:
            return {}
        if not isinstance(self.payload, dict):
            raise google_errors.invalid_argument("Invalid JSON payload received. A message is expected.")
        return self.payload

    def message(self, read: wire.Message) -> Json:
        """Return the body, read as one of the messages of ``wire.py``."""
        return read(self.json(), "")

    def usage_in(self, event: bytes) -> Json | None:
        return usage_metadata_in(event)


def usage_metadata_in(event: bytes) -> Json | None:
    """Return the usageMetadata of one of Google's chunks, in an envelope or without."""
    chunk = decoded(event.removeprefix(b"data: ")) if b'"usageMetadata"' in event else None
    if not isinstance(chunk, dict):
        return None
    usage: Json = chunk.get("response", chunk).get("usageMetadata", {})
    return usage


def _model_of(payload: Any) -> str | None:
    model = payload.get("model") if isinstance(payload, dict) else None
    return model if isinstance(model, str) else None


def _purpose_of(payload: Any) -> Purpose:
    request = payload.get("request") if isinstance(payload, dict) else None
    return "safeguards" if is_safety_check(request) else "answer"
