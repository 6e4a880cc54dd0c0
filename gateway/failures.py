"""What each kind of refusal means: for the client, and for what is tried next.

One table, so that the whole policy can be read at once. How long the account rests is in accounts/rest.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.google.errors import Trouble
from accounts.models import Account
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    OperatorMustAct,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
    UpstreamFailed,
)
from gateway.translation.errors import client_message

if TYPE_CHECKING:
    from accounts.google.errors import Refusal


@dataclass(frozen=True, slots=True)
class Verdict:
    error: type[GatewayError]
    """What the client gets when this is the last word."""
    ends_request: bool = False
    """The same everywhere: no other account is tried."""
    is_limit: bool = False
    """The account may answer this very request later: its rest is worth waiting for."""
    state: Account.State | None = None
    """The account leaves the pool until the operator acts."""

    def as_error(self, refusal: Refusal) -> GatewayError:
        error = self.error(client_message(refusal.body) or refusal.message)
        error.may_quote_request = True
        return error


NEXT_ACCOUNT = Verdict(UpstreamFailed)
LIMIT = Verdict(RateLimited, is_limit=True)
NOT_ALLOWED = Verdict(PermissionDenied)

VERDICTS: dict[Trouble, Verdict] = {
    Trouble.BAD_REQUEST: Verdict(InvalidRequest, ends_request=True),
    Trouble.BAD_SIGNATURE: Verdict(InvalidRequest, ends_request=True),
    Trouble.CLIENT_TOO_OLD: Verdict(OperatorMustAct, ends_request=True),
    Trouble.NOT_FOUND: Verdict(NotFound),
    Trouble.QUOTA: LIMIT,
    Trouble.RATE_LIMIT: LIMIT,
    Trouble.UNKNOWN_LIMIT: LIMIT,
    Trouble.CAPACITY: Verdict(Overloaded),
    Trouble.SERVER_ERROR: NEXT_ACCOUNT,
    Trouble.ACCESS_TOKEN_REFUSED: NEXT_ACCOUNT,
    Trouble.NO_LICENCE: NOT_ALLOWED,
    Trouble.WRONG_PROJECT: NOT_ALLOWED,
    Trouble.FORBIDDEN: NOT_ALLOWED,
    Trouble.NEEDS_VERIFICATION: Verdict(OperatorMustAct, state=Account.State.NEEDS_VERIFICATION),
    Trouble.DISABLED: Verdict(OperatorMustAct, state=Account.State.DISABLED_BY_PROVIDER),
}

TOO_LARGE = Verdict(RequestTooLarge, ends_request=True)


def verdict_on(refusal: Refusal) -> Verdict:
    return TOO_LARGE if refusal.status == 413 else VERDICTS[refusal.trouble]
