"""What each kind of refusal means: for the client, and for what is tried next.

One table, so that the whole policy can be read at once. How long the account rests is in accounts/rest.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
from gateway.translation.errors import PromptTooLong, client_message, prompt_too_long

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

CLEARLY_TOO_LONG = 1.3
"""So many times the model's maximum, by our estimate, which is good to about 30 % at first."""

TOO_LARGE = Verdict(RequestTooLarge, ends_request=True)


def verdict_on(refusal: Refusal) -> Verdict:
    return TOO_LARGE if refusal.status == 413 else VERDICTS[refusal.trouble]


def named_if_too_long(refusal: Refusal, estimate: int, maximum: int | None) -> Refusal:
    """A prompt that is too long is a bad request in Anthropic's words, whatever it was in the upstream's.

    Gemini answers some of them with 500 INTERNAL (ai.google.dev, Troubleshooting): then the estimate decides
    what the matter is. By itself it never refuses anything.
    """
    too_long = prompt_too_long(refusal.body)
    if too_long is None and refusal.status == 500 and estimate > (maximum or math.inf) * CLEARLY_TOO_LONG:
        too_long = PromptTooLong(None, None)
    if too_long is None:
        return refusal
    sentence = too_long.sentence(estimate, maximum)
    return replace(
        refusal,
        trouble=Trouble.BAD_REQUEST,
        status=400,
        message=sentence,
        body={"error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}},
    )
